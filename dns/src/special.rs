//! Names that nobody may look up elsewhere: they mean this machine, or nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::kind;
use crate::name::before;

/// The name of who asks, in wire form.
pub(crate) const LOCALHOST: &[u8; 11] = b"\x09localhost\0";

/// What is said about such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// It is who asks (RFC 6761 section 6.3).
    Localhost,
    /// It does not exist (RFC 6761 section 6.4, RFC 7686 section 2).
    Nothing,
}

impl Special {
    /// What is to be said about a name in lower case, if it is such a one.
    pub(crate) fn of(labels: &[u8]) -> Option<Special> {
        let below = |top: &[u8]| labels == top || before(labels, top).is_some();
        if below(&LOCALHOST[..10]) {
            return Some(Special::Localhost);
        }
        (below(b"\x07invalid") || below(b"\x05onion")).then_some(Special::Nothing)
    }
}

/// The record of a type that `localhost` has.
pub(crate) fn localhost(asked: u16) -> Option<([u8; 16], usize)> {
    let mut data = [0; 16];
    match asked {
        kind::A => data[..4].copy_from_slice(&Ipv4Addr::LOCALHOST.octets()),
        kind::AAAA => data = Ipv6Addr::LOCALHOST.octets(),
        _ => return None,
    }
    Some((data, if asked == kind::A { 4 } else { 16 }))
}
