//! VXLAN (RFC 7348): network identifiers, tunnel endpoints, the header, and trains of datagrams for one send.
//!
//! Pure: sockets are the caller's. What is received is untrusted; what is sent has flags 0x08 and zero reserved fields.
#![forbid(unsafe_code)]

mod ecn;
mod header;
mod train;
mod vni;
mod vtep;

pub use ecn::{Congestion, merge};
pub use header::{HEADER_LEN, Refused, decode, encode};
pub use train::{Train, Trains};
pub use vni::{BadVni, Vni};
pub use vtep::{VtepId, Vteps};

/// The UDP port that IANA assigned to VXLAN.
pub const PORT: u16 = 4789;

/// Bytes that the outer IPv4, UDP, VXLAN and inner Ethernet headers take from the underlay's MTU (RFC 7348 section 4.3).
pub const OVERHEAD_IPV4: u32 = 50;

/// The same over IPv6.
pub const OVERHEAD_IPV6: u32 = 70;
