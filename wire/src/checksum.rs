//! The internet checksum (RFC 1071): sums, pseudo-headers, incremental updates.
//! Sums are of big-endian words and not complemented; pieces of even length may be summed apart and added.
//! What is done to whole frames is in `transport`.

mod transport;

pub use transport::{complete, is_partial, verify_transport};
pub(crate) use transport::{complete_at, pseudo, segment_end};

/// Bytes per step: four words, in lanes of their own, so that no addition waits for the one before.
const STEP: usize = 32;

/// The one's-complement sum of `bytes`, folded to 16 bits; an odd last byte is padded with zero.
/// Adding up to 65,537 such sums is safe; [`fold`] the result.
///
/// Adds words of eight bytes in the machine's byte order and swaps once at the end: 2^16 is 1 here, and the sum does not
/// depend on the order (RFC 1071 section 2 (B)). A lane of 128 bits keeps all carries: an addition is two instructions,
/// which is less than lanes of 16 bits take in the registers that every x86-64 has.
#[inline]
pub fn sum(bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let mut lanes = [0u128; STEP / 8];
    for step in steps {
        for (lane, word) in lanes.iter_mut().zip(step.as_chunks::<8>().0) {
            *lane += u128::from(u64::from_ne_bytes(*word));
        }
    }
    let mut total: u128 = lanes.iter().sum();
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        total += u128::from(u64::from_ne_bytes(*word));
    }
    let (words, rest) = rest.as_chunks::<2>();
    for word in words {
        total += u128::from(u16::from_ne_bytes(*word));
    }
    if let [last] = rest {
        total += u128::from(u16::from_ne_bytes([*last, 0]));
    }
    let (high, low) = ((total >> 64) as u64, total as u64);
    let quarters = (high & 0xffff_ffff) + (high >> 32) + (low & 0xffff_ffff) + (low >> 32);
    u32::from(u16::from_be(fold(((quarters >> 16) + (quarters & 0xffff)) as u32)))
}

/// Folds a sum to 16 bits. Not complemented: a header's field takes `!fold(sum)`.
#[inline]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// The sum of the IPv4 pseudo-header (RFC 9293 section 3.1); `len` is that of transport header and payload, in bytes.
#[inline]
pub const fn pseudo_ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, len: u16) -> u32 {
    let (src, dst) = (u32::from_be_bytes(src), u32::from_be_bytes(dst));
    (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff) + protocol as u32 + len as u32
}

/// The sum of the IPv6 pseudo-header (RFC 8200 section 8.1); `len` is that of transport header and payload, in bytes.
#[inline]
pub fn pseudo_ipv6(src: &[u8; 16], dst: &[u8; 16], protocol: u8, len: u32) -> u32 {
    let words = |address: &[u8; 16]| {
        address.as_chunks::<2>().0.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum::<u32>()
    };
    words(src) + words(dst) + u32::from(protocol) + (len >> 16) + (len & 0xffff)
}

/// The checksum after one word under it changed from `old` to `new`: RFC 1624 equation 3, HC' = ~(~HC + ~m + m').
/// A UDP checksum of 0 (none) is not to be updated, and one that becomes 0 is sent as 0xffff: that is the caller's part.
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u32 + !old as u32 + new as u32)
}

/// The checksum for an IPv4 header, its field taken as zero.
#[inline]
pub fn ipv4_header(header: &[u8]) -> u16 {
    let (before, after) = header.split_at(header.len().min(10));
    !fold(sum(before) + sum(after.get(2..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(bytes: &[u8]) -> u16 {
        let mut total = 0u64;
        for pair in bytes.chunks(2) {
            total += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
        while total > 0xffff {
            total = (total >> 16) + (total & 0xffff);
        }
        total as u16
    }

    #[test]
    fn sum_of_the_rfc_1071_example() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn sum_of_the_longest_runs_does_not_overflow() {
        for len in [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 7] {
            let bytes = vec![0xff; len];
            assert_eq!(fold(sum(&bytes)), plain(&bytes), "{len}");
        }
    }

    #[test]
    fn ipv4_header_ignores_the_field_and_short_input() {
        let header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 192, 168, 0, 1, 192, 168, 0, 199];
        assert_eq!(ipv4_header(&header), 0xb861);
        for len in 0..header.len() {
            ipv4_header(&header[..len]);
        }
    }

    /// CK-02: the update equals the full computation for every checksum and the words at the boundaries.
    #[test]
    fn ck_02_update_is_the_full_computation() {
        let boundary = [0, 1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];
        for other in 0..=u16::MAX {
            for old in boundary {
                for new in boundary {
                    // A constant third word stands for what is never all zero in an IP, TCP, UDP or ICMP packet.
                    let full = |word: u16| !fold(u32::from(other) + u32::from(word) + 0x4500);
                    assert_eq!(update(full(old), old, new), full(new), "{other:#x} {old:#x} {new:#x}");
                }
            }
        }
    }

    /// CK-01: the example of RFC 1624 section 4, where the equation of RFC 1141 gives 0xffff.
    #[test]
    fn ck_01_update_of_the_rfc_1624_example() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn sum_is_the_plain_one(bytes in prop::collection::vec(any::<u8>(), 0..4000), at in 0usize..2000) {
            prop_assert_eq!(fold(sum(&bytes)), plain(&bytes));
            let (head, tail) = bytes.split_at((at * 2).min(bytes.len()));
            prop_assert_eq!(fold(sum(head) + sum(tail)), plain(&bytes));
        }

        #[test]
        fn pseudo_headers_are_their_bytes(src: [u8; 16], dst: [u8; 16], protocol: u8, len: u16) {
            let six = [&src[..], &dst, &u32::from(len).to_be_bytes(), &[0, 0, 0, protocol]].concat();
            prop_assert_eq!(fold(pseudo_ipv6(&src, &dst, protocol, u32::from(len))), plain(&six));
            let [s, d] = [src, dst].map(|a| [a[0], a[1], a[2], a[3]]);
            let four = [&s[..], &d, &[0, protocol], &len.to_be_bytes()].concat();
            prop_assert_eq!(fold(pseudo_ipv4(s, d, protocol, len)), plain(&four));
        }
    }
}
