//! Traffic with a check on every byte, from sockets opened inside the places. None of it shapes or
//! measures precisely; rates come from iperf3.

pub mod flood;
pub mod frames;
pub mod http;
pub mod iperf;
pub mod names;
pub mod ping;
pub mod service;
pub mod stream;
pub mod tcp;
pub mod udp;

/// The deterministic bytes of one transfer: any slice can be made again at the other end.
/// A 64-bit counter goes through a mixing function, so no two blocks of a transfer are alike.
#[derive(Clone, Debug)]
pub struct Pattern {
    state: u64,
    block: [u8; 8],
    used: usize,
}

impl Pattern {
    /// The pattern numbered `seed`.
    pub fn new(seed: u64) -> Pattern {
        Pattern { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), block: [0; 8], used: 8 }
    }

    /// Fills the buffer with the next bytes of the pattern.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            if self.used == 8 {
                // The finaliser of SplitMix64.
                self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut x = self.state;
                x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                self.block = (x ^ (x >> 31)).to_le_bytes();
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    /// The pattern's first `length` bytes.
    pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Pattern::new(seed).fill(&mut bytes);
        bytes
    }
}
