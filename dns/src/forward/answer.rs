//! What an upstream said: whether it belongs to the question, whether it settles it, and for how long it may be kept. It is
//! walked through from end to end, so that nothing malformed reaches a client.

use std::time::Duration;

use super::question::Question;
use crate::kind;
use crate::query::{HEADER, OPCODE, QR, Record, TC, word};

/// "I am an authority", in the third byte.
const AA: u8 = 0x04;
/// "Recursion available", in the fourth byte.
const RA: u8 = 0x80;
/// Longest time that an answer is kept, whatever it says.
const LONGEST: u32 = 86_400;
/// Longest time that it is kept that there is nothing (RFC 2308 section 5).
const LONGEST_NEGATIVE: u32 = 3_600;
/// Any type.
const ANY: u16 = 255;

/// What was made of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It does not answer what was asked.
    Foreign,
    /// Another upstream may know better.
    Bad,
    /// There is more than fits a datagram.
    Cut,
    /// This is it.
    Settled(Answer),
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// With any identifier, and the question as it was asked.
    message: Vec<u8>,
    /// Where the TTLs are.
    ttls: Vec<u16>,
    /// How long it may be kept; zero: not at all.
    pub(super) life: Duration,
    /// It says that there is nothing.
    pub(super) negative: bool,
}

impl Heard {
    /// Reads what came for a question that was asked with this identifier.
    pub(super) fn read(question: &Question, id: u16, bytes: &[u8]) -> Heard {
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Heard::Foreign };
        if header[..2] != id.to_be_bytes() || header[2] & (QR | OPCODE) != QR {
            return Heard::Foreign;
        }
        match word(bytes, 4) {
            Some(1) if question.is_in(bytes) => {}
            // Servers that could not read the question do not repeat it.
            Some(0) if header[3] & 0x0f != 0 => return Heard::Bad,
            _ => return Heard::Foreign,
        }
        if header[2] & TC != 0 {
            return Heard::Cut;
        }
        read(question, bytes).unwrap_or(Heard::Bad)
    }
}

/// The whole of it; `None` if it makes no sense.
fn read(question: &Question, bytes: &[u8]) -> Option<Heard> {
    let mut counts = [word(bytes, 6)?, word(bytes, 8)?, word(bytes, 10)?];
    let (mut at, mut ttls) = (question.end(), Vec::new());
    let (mut least, mut negative, mut has_kind) = (LONGEST, None, false);
    let mut rcode = u16::from(bytes[3] & 0x0f);
    for (section, count) in counts.iter_mut().enumerate() {
        for _ in 0..*count {
            let record = Record::parse(bytes, at)?;
            at = record.end;
            if record.kind == kind::OPT {
                rcode |= u16::from(record.ttl[0]) << 4;
                continue;
            }
            has_kind |= section == 0 && (record.kind == question.kind || question.kind == ANY);
            let ttl = seconds(record.ttl);
            least = least.min(ttl);
            if section == 1 && record.kind == kind::SOA {
                negative = Some(ttl.min(seconds(*bytes.get(..at)?.last_chunk()?)));
            }
            ttls.push(u16::try_from(record.ttl_at()).ok()?);
        }
    }
    let life = match (rcode, has_kind, negative) {
        (0, true, _) => least,
        // There is no such name, or nothing of that type: for how long, its zone says (RFC 2308 section 5).
        (0 | 3, _, Some(negative)) => least.min(negative).min(LONGEST_NEGATIVE),
        // Malformed, failed, not implemented, refused, not authorized, EDNS version, cookie.
        (1 | 2 | 4 | 5 | 9 | 16 | 23, ..) => return Some(Heard::Bad),
        _ => 0,
    };
    let mut message = bytes.get(..at)?.to_vec();
    message[2] &= !AA;
    message[3] |= RA;
    Some(Heard::Settled(Answer { message, ttls, life: Duration::from_secs(life.into()), negative: !has_kind }))
}

/// A TTL; with the highest bit set it counts as zero (RFC 2181 section 8).
fn seconds(bytes: [u8; 4]) -> u32 {
    i32::from_be_bytes(bytes).try_into().unwrap_or(0)
}

impl Answer {
    /// That nobody knows.
    pub(super) fn failure(question: &Question, life: Duration) -> Answer {
        let mut message = Vec::new();
        crate::fail(&question.message(0), crate::Rcode::ServerFailure, &mut message);
        Answer { message, ttls: Vec::new(), life, negative: true }
    }

    /// That there is more than fits a datagram.
    pub(super) fn cut(question: &Question) -> Answer {
        let mut message = Vec::new();
        crate::fail(&question.message(0), crate::Rcode::NoError, &mut message);
        if let Some(flags) = message.get_mut(2) {
            *flags |= TC;
        }
        Answer { message, ttls: Vec::new(), life: Duration::ZERO, negative: false }
    }

    /// Whether it says that there is no such name.
    pub(super) fn is_no_name(&self) -> bool {
        self.message.get(3).is_some_and(|codes| codes & 0x0f == crate::Rcode::NoSuchName as u8)
    }

    /// The same, but not to be kept for longer than this, by anybody.
    pub(super) fn at_most(mut self, life: Duration) -> Answer {
        self.life = self.life.min(life);
        let most = u32::try_from(life.as_secs()).unwrap_or(u32::MAX);
        for at in self.ttls.iter().map(|at| usize::from(*at)) {
            if let Some(place) = self.message.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *place = seconds(*place).min(most).to_be_bytes();
            }
        }
        self
    }

    /// For somebody who asked with this identifier and these labels, when the answer is so old.
    pub(super) fn to(&self, id: u16, labels: &[u8], age: Duration) -> Vec<u8> {
        let mut message = self.message.clone();
        address(&mut message, id, labels);
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        for at in self.ttls.iter().map(|at| usize::from(*at)) {
            if let Some(place) = message.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *place = seconds(*place).saturating_sub(age).to_be_bytes();
            }
        }
        message
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of::<Answer>() + self.message.len() + 2 * self.ttls.len()
    }
}

/// Makes a reply one to this identifier and these labels, which differ from the reply's in their case alone.
pub(super) fn address(message: &mut [u8], id: u16, labels: &[u8]) {
    if let Some(place) = message.first_chunk_mut() {
        *place = id.to_be_bytes();
    }
    if let Some(place) = message.get_mut(HEADER..HEADER + labels.len()) {
        place.copy_from_slice(labels);
    }
}
