//! Translation in place: new addresses and ports for a packet, with every checksum that covers them.
//! Checksums are updated, never computed anew (RFC 1624), so one that was wrong stays wrong and its receiver notices.
//! A refused packet is left as it was.

mod delta;
mod embedded;
mod error;
mod place;
mod ttl;

use std::net::IpAddr;

use wire::{Frame, Headers};

use crate::{Address, Tuple};

pub(crate) use embedded::embedded;
pub use error::translate_error;
pub(crate) use place::{Icmp, Place, icmp_kind};
pub use ttl::{Expired, decrement_ttl, ipv4_header_is_sound};

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End {
    /// Its address.
    pub ip: IpAddr,
    /// Its port; for an ICMP query its identifier; not looked at where a protocol has neither.
    pub port: u16,
}

/// The ends that a packet gets instead of its own; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rewrite {
    /// The new source.
    pub src: Option<End>,
    /// The new destination.
    pub dst: Option<End>,
}

impl Rewrite {
    /// What packets that come with these ends become, where answers come with those.
    pub(crate) fn between(came: Tuple, answers: Tuple) -> Rewrite {
        let leaves = answers.reverse();
        let end = |ip: Address, port, other: (Address, u16)| {
            if (ip, port) == other { None } else { Some(End { ip: ip.ip(), port }) }
        };
        Rewrite {
            src: end(leaves.src, leaves.src_port, (came.src, came.src_port)),
            dst: end(leaves.dst, leaves.dst_port, (came.dst, came.dst_port)),
        }
    }

    /// What becomes of errors that come with these ends, and of what they quote.
    pub(crate) fn of_error(came: Tuple, answers: Tuple) -> (Rewrite, Rewrite) {
        let quoted = Rewrite::between(answers, came);
        let inner = Rewrite {
            src: quoted.src.map(|_| End { ip: answers.src.ip(), port: answers.src_port }),
            dst: quoted.dst.map(|_| End { ip: answers.dst.ip(), port: answers.dst_port }),
        };
        (Rewrite::between(came, answers), inner)
    }

    /// The half that concerns the source, without the other.
    pub fn only_src(self) -> Rewrite {
        Rewrite { dst: None, ..self }
    }

    /// The half that concerns the destination, without the other.
    pub fn only_dst(self) -> Rewrite {
        Rewrite { src: None, ..self }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.src.is_none() && self.dst.is_none()
    }
}

/// Why a packet cannot be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Untranslatable {
    /// not an IP packet of the address family that it is to get
    #[error("not an IP packet of the address family that it is to get")]
    Family,
    /// UDP over IPv6 without a checksum (RFC 8200 section 8.1)
    #[error("UDP over IPv6 without a checksum (RFC 8200 section 8.1)")]
    NoChecksum,
    /// a routing header hides the final destination
    #[error("a routing header hides the final destination")]
    SourceRoute,
    /// an ICMP error whose quotation cannot be read
    #[error("an ICMP error whose quotation cannot be read")]
    Quotation,
}

/// Gives a packet new ends. Works on whole packets, super-frames, partial checksums (of which only the pseudo-header's part
/// changes), and fragments: the first has the ports and the checksum, later ones have addresses only.
///
/// # Errors
/// [`Untranslatable`], and nothing changed.
pub fn translate(frame: &mut Frame, headers: &Headers, to: &Rewrite) -> Result<(), Untranslatable> {
    if to.is_empty() {
        return Ok(());
    }
    let place = Place::of(frame, headers).ok_or(Untranslatable::Family)?;
    place.check(frame.bytes(), to)?;
    place.apply(frame.bytes_mut(), to);
    Ok(())
}
