//! Byte formats: parse once, rewrite in place, checksums.
//!
//! Pure: no file descriptor, no clock, no thread. Everything that comes from a wire is untrusted: parsers return
//! [`Malformed`] and never panic, and whatever a successful parse hands out lies inside the frame.
#![forbid(unsafe_code)]

mod answer;
pub mod arp;
pub mod checksum;
mod cut;
mod ecn;
mod extensions;
mod flow_key;
pub mod fragment;
mod frame;
mod headers;
pub mod icmp;
mod infer;
mod join;
mod link;
mod loan;
mod mac;
pub mod nd;
mod offload;
mod options;
mod reset;
mod time;
mod way_back;
mod word;

pub use cut::{Cut, CutError, cut, segment_len};
pub use ecn::{ecn, set_ecn};
pub use extensions::{ROUTING, extensions, extensions_between};
pub use flow_key::FlowKey;
pub use frame::{Frame, Pool};
pub use headers::{Fragment, Headers, IPV6_HEADER, Layer3, Malformed, parse};
pub use infer::infer_offload;
pub use join::{Joiner, Push};
pub use link::{set_link, set_tag, untag};
pub use loan::Loan;
pub use mac::{Mac, ParseMacError};
pub use offload::{Gso, Offload};
pub use reset::reset;
pub use time::Time;
pub use way_back::{WayBack, sound_payload};

/// EtherTypes that the switch knows (IEEE 802 numbers, IANA registry).
pub mod ether_type {
    /// IPv4, RFC 894.
    pub const IPV4: u16 = 0x0800;
    /// ARP, RFC 826.
    pub const ARP: u16 = 0x0806;
    /// 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad service tag.
    pub const QINQ: u16 = 0x88a8;
    /// IPv6, RFC 2464.
    pub const IPV6: u16 = 0x86dd;
}

/// IP protocol numbers that the switch knows (IANA registry).
pub mod protocol {
    /// ICMP, RFC 792.
    pub const ICMP: u8 = 1;
    /// TCP, RFC 9293.
    pub const TCP: u8 = 6;
    /// UDP, RFC 768.
    pub const UDP: u8 = 17;
    /// ICMPv6, RFC 4443.
    pub const ICMPV6: u8 = 58;
}
