//! What is asked of upstreams, and which questions are the same one: equal but for the letters' case, the identifier and
//! what a client says about itself. The message that goes out is written here; nothing of the client's is copied but its
//! question and its wishes (recursion, DNSSEC).

use crate::name::split_first;
use crate::query::{HEADER, Query};
use crate::{LONGEST_UDP, kind};

/// "Recursion desired", in the third byte.
const RD: u8 = 0x01;
/// "Authentic data" and "checking disabled", in the fourth byte (RFC 6840 section 5.7, RFC 4035 section 3.2.2).
const AD_CD: u8 = 0x30;

/// A question, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The labels in lower case, without the root's zero.
    labels: Box<[u8]>,
    pub(super) kind: u16,
    class: u16,
    /// RD and AD_CD, which lie in different bits.
    flags: u8,
    /// With EDNS, and whether DNSSEC records are wanted (RFC 3225).
    edns: Option<bool>,
}

impl Question {
    pub(super) fn of(query: &Query<'_>) -> Question {
        let flags = match query.message {
            [_, _, high, low, ..] => high & RD | low & AD_CD,
            _ => 0,
        };
        Question {
            labels: query.labels.to_ascii_lowercase().into(),
            kind: query.kind,
            class: query.class,
            flags,
            edns: query.edns.map(|edns| edns.dnssec),
        }
    }

    /// The name servers of the root: every server has something to say to it.
    pub(super) fn probe() -> Question {
        const NS: u16 = 2;
        Question { labels: Box::default(), kind: NS, class: 1, flags: RD, edns: None }
    }

    /// The message that asks it.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.end() + 11);
        message.extend_from_slice(&id.to_be_bytes());
        let opt = u8::from(self.edns.is_some());
        message.extend_from_slice(&[self.flags & RD, self.flags & AD_CD, 0, 1, 0, 0, 0, 0, 0, opt]);
        message.extend_from_slice(&self.labels);
        message.push(0);
        message.extend_from_slice(&self.kind.to_be_bytes());
        message.extend_from_slice(&self.class.to_be_bytes());
        if let Some(dnssec) = self.edns {
            let [s0, s1] = (LONGEST_UDP as u16).to_be_bytes();
            let flags = if dnssec { 0x80 } else { 0 };
            message.extend_from_slice(&[0, 0, kind::OPT as u8, s0, s1, 0, 0, flags, 0, 0, 0]);
        }
        message
    }

    /// Whether a message asks, or answers, exactly this. The letters may be in another case.
    pub(super) fn is_in(&self, message: &[u8]) -> bool {
        let tail = [self.kind.to_be_bytes(), self.class.to_be_bytes()].concat();
        let Some(body) = message.get(HEADER..self.end()) else { return false };
        let (name, rest) = body.split_at(self.labels.len());
        // Lengths are below 64 and letters above, so that the case of letters alone is passed over.
        name.eq_ignore_ascii_case(&self.labels) && rest.split_first() == Some((&0, &*tail))
    }

    /// Where the question ends, in bytes from the start of a message.
    pub(super) fn end(&self) -> usize {
        HEADER + self.labels.len() + 5
    }

    /// Whether a container may get the name: it has one label, or two, of which the second may be a network's. `absent`:
    /// nobody else has it.
    pub(super) fn may_become_ours(&self, absent: bool) -> bool {
        match split_first(&self.labels) {
            Some((_, [])) => true,
            Some((_, rest)) => absent && split_first(rest).is_some_and(|(_, rest)| rest.is_empty()),
            None => false,
        }
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Question>() + self.labels.len()
    }
}
