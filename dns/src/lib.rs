//! Names: the table of a network's names, and what a name server says about them.
//!
//! Pure: bytes in, bytes out; no socket, no clock, no thread. Queries come from containers and are untrusted: nothing here
//! panics, and the work for one is bounded by its length and by that of the longest answer.
#![forbid(unsafe_code)]

pub mod forward;
mod known;
mod name;
mod names;
mod query;
mod reply;
mod respond;
mod reverse;
mod select;
mod shuffle;
mod special;

pub use name::Name;
pub use names::{Entry, Names, Service};
pub use query::{Edns, Fault, Query};
pub use reply::{Rcode, fail, truncate};
pub use respond::{Responder, Response, Transport, View};
pub use reverse::address as reverse_address;

/// Seconds that an answer about a name of a network may be kept. Short, because a name ends with its endpoint, and long
/// enough for one page with a hundred pictures.
pub const TTL: u32 = 5;

/// Longest answer over UDP, in bytes, whatever the client says it takes: it is never fragmented on the way (DNS flag day
/// 2020, RFC 9715 section 3.1).
pub const LONGEST_UDP: usize = 1_232;

/// Record types that the responder knows (IANA registry).
pub mod kind {
    /// IPv4 address, RFC 1035 section 3.4.1.
    pub const A: u16 = 1;
    /// Start of authority, RFC 1035 section 3.3.13.
    pub const SOA: u16 = 6;
    /// Name of an address, RFC 1035 section 3.3.12.
    pub const PTR: u16 = 12;
    /// IPv6 address, RFC 3596.
    pub const AAAA: u16 = 28;
    /// Service, RFC 2782.
    pub const SRV: u16 = 33;
    /// EDNS, RFC 6891.
    pub const OPT: u16 = 41;
    /// Incremental zone transfer, RFC 1995.
    pub const IXFR: u16 = 251;
    /// Zone transfer, RFC 5936.
    pub const AXFR: u16 = 252;
}
