//! The flow key: everything about a frame that decides where it goes, packed into one cache line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Mac;

/// Who talks to whom: addresses, protocol and ports, and where the frame came in.
///
/// Eight words: destination MAC and tag, source MAC and EtherType, source address, destination address (IPv4 mapped into
/// IPv6, RFC 4291 section 2.5.5.2), ports with protocol, fragment mark and kind of tag, ingress.
#[derive(Clone, Copy, Eq, Default)]
pub struct FlowKey {
    words: [u64; 8],
}

/// In place, where the derived one calls memcmp: every look-up of a flow ends here.
impl PartialEq for FlowKey {
    #[inline]
    fn eq(&self, other: &FlowKey) -> bool {
        self.words.iter().zip(&other.words).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

const MAPPED: u64 = 0xffff << 32;
/// In the word of ports and protocol: the tag is a service tag.
const SERVICE: u64 = 1 << 16;

impl FlowKey {
    #[inline]
    pub(crate) fn link(dst: Mac, src: Mac, (tag, is_service): (u16, bool), ether_type: u16) -> FlowKey {
        let mut words = [0; 8];
        words[0] = dst.to_u64() << 16 | u64::from(tag);
        words[6] = if is_service { SERVICE } else { 0 };
        words[1] = src.to_u64() << 16 | u64::from(ether_type);
        FlowKey { words }
    }

    #[inline]
    pub(crate) fn set_ipv4(&mut self, src: [u8; 4], dst: [u8; 4]) {
        self.words[3] = MAPPED | u64::from(u32::from_be_bytes(src));
        self.words[5] = MAPPED | u64::from(u32::from_be_bytes(dst));
    }

    #[inline]
    pub(crate) fn set_ipv6(&mut self, src: u128, dst: u128) {
        self.words[2] = (src >> 64) as u64;
        self.words[3] = src as u64;
        self.words[4] = (dst >> 64) as u64;
        self.words[5] = dst as u64;
    }

    #[inline]
    pub(crate) fn set_transport(&mut self, protocol: u8, fragment: u8, src_port: u16, dst_port: u16) {
        let transport = u64::from(src_port) << 48 | u64::from(dst_port) << 32 | u64::from(protocol) << 8;
        self.words[6] = self.words[6] & SERVICE | transport | u64::from(fragment);
    }

    /// Sets where the frame came in: a number that the switch chose for a port or a tunnel network.
    #[inline]
    pub fn set_ingress(&mut self, ingress: u64) {
        self.words[7] = ingress;
    }

    /// Where the frame came in.
    #[inline]
    pub fn ingress(&self) -> u64 {
        self.words[7]
    }

    /// Destination MAC address.
    #[inline]
    pub fn dst_mac(&self) -> Mac {
        Mac::from_u64(self.words[0] >> 16)
    }

    /// Source MAC address.
    #[inline]
    pub fn src_mac(&self) -> Mac {
        Mac::from_u64(self.words[1] >> 16)
    }

    /// The first 802.1Q tag (PCP, DEI, VID); 0 without.
    #[inline]
    pub fn tag(&self) -> u16 {
        self.words[0] as u16
    }

    /// Whether that tag is a service tag (0x88a8), which names no VLAN of a customer's (IEEE 802.1Q section 5.5).
    #[inline]
    pub fn is_service_tagged(&self) -> bool {
        self.words[6] & SERVICE != 0
    }

    /// EtherType behind the tag, if any.
    #[inline]
    pub fn ether_type(&self) -> u16 {
        self.words[1] as u16
    }

    /// IP protocol; 0 for a frame without IP.
    #[inline]
    pub fn protocol(&self) -> u8 {
        (self.words[6] >> 8) as u8
    }

    /// Source port; 0 without TCP or UDP and for fragments.
    #[inline]
    pub fn src_port(&self) -> u16 {
        (self.words[6] >> 48) as u16
    }

    /// Destination port; 0 without TCP or UDP and for fragments.
    #[inline]
    pub fn dst_port(&self) -> u16 {
        (self.words[6] >> 32) as u16
    }

    /// Source address; `None` for a frame without IP.
    #[inline]
    pub fn src(&self) -> Option<IpAddr> {
        self.address(2)
    }

    /// Destination address; `None` for a frame without IP.
    #[inline]
    pub fn dst(&self) -> Option<IpAddr> {
        self.address(4)
    }

    #[inline]
    fn address(&self, at: usize) -> Option<IpAddr> {
        match self.ether_type() {
            crate::ether_type::IPV4 => Some(IpAddr::V4(Ipv4Addr::from(self.words[at + 1] as u32))),
            crate::ether_type::IPV6 => {
                Some(IpAddr::V6(Ipv6Addr::from(u128::from(self.words[at]) << 64 | u128::from(self.words[at + 1]))))
            }
            _ => None,
        }
    }

    /// A hash of the whole key under `seed`. The seed keeps outsiders from building collisions.
    #[inline]
    pub fn hash(&self, seed: u64) -> u64 {
        let w = &self.words;
        // Two independent chains of folded multiplications, so that the CPU can overlap them.
        let a = fold(fold(w[0] ^ seed, w[1] ^ ODD[0]) ^ w[2], w[3] ^ ODD[1]);
        let b = fold(fold(w[4] ^ ODD[2], w[5] ^ seed) ^ w[6], w[7] ^ ODD[3]);
        fold(a ^ ODD[1], b ^ seed ^ ODD[0])
    }

    /// A hash of the conversation alone (RFC 7348 section 5: the outer source port keeps one inner flow on one path).
    /// The fragments of a datagram all hash alike, because none of them contributes ports.
    #[inline]
    pub fn entropy(&self) -> u32 {
        let w = &self.words;
        let addresses = fold(w[2] ^ w[3] ^ ODD[0], w[4] ^ w[5].rotate_left(32) ^ ODD[1]);
        let rest = fold(w[0] ^ ODD[2], w[1] ^ (w[6] & !0xff) ^ ODD[3]);
        fold(addresses ^ ODD[2], rest ^ ODD[1]) as u32
    }
}

const ODD: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7, 0xa24b_aed4_963e_e407];

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} {:#06x}", self.src_mac(), self.dst_mac(), self.ether_type())?;
        if let (Some(src), Some(dst)) = (self.src(), self.dst()) {
            write!(f, " {src}:{} > {dst}:{} protocol {}", self.src_port(), self.dst_port(), self.protocol())?;
        }
        Ok(())
    }
}
