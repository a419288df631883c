//! A query, parsed: header, the one question, EDNS. By hand, because nothing may be allocated for it, and because bits, types
//! and options that nobody knows yet have to be answered, not refused (RFC 8906).

use crate::kind;
use crate::name::measure;
use crate::reply::Rcode;

/// Bytes of a header (RFC 1035 section 4.1.1).
pub(crate) const HEADER: usize = 12;
/// "This is a response", in the third byte.
pub(crate) const QR: u8 = 0x80;
/// The opcode, in the third byte.
pub(crate) const OPCODE: u8 = 0x78;
/// "Truncated", in the third byte.
pub(crate) const TC: u8 = 0x02;

/// A query with one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The whole message.
    pub(crate) message: &'a [u8],
    /// The labels of the name asked for, as they came, without the root's zero.
    pub labels: &'a [u8],
    /// The type asked for.
    pub kind: u16,
    /// The class asked for.
    pub class: u16,
    /// The client speaks EDNS.
    pub edns: Option<Edns>,
}

/// What a client says with EDNS (RFC 6891 section 6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Longest answer over UDP that it takes, in bytes; less than 512 means 512.
    pub size: u16,
    /// Its version.
    pub version: u8,
    /// It wants DNSSEC records (DO, RFC 3225).
    pub dnssec: bool,
}

/// Why a message is no query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing may be said: it is a response, or has no header.
    Silent,
    /// This is to be said.
    Says(Rcode),
}

impl<'a> Query<'a> {
    /// Parses a message.
    ///
    /// # Errors
    /// What is to be done with a message that is not a query with exactly one question (RFC 9619).
    pub fn parse(message: &'a [u8]) -> Result<Query<'a>, Fault> {
        let header = message.first_chunk::<HEADER>().ok_or(Fault::Silent)?;
        if header[2] & QR != 0 {
            return Err(Fault::Silent);
        }
        if header[2] & OPCODE != 0 {
            return Err(Fault::Says(Rcode::NotImplemented));
        }
        Query::parse_body(message).ok_or(Fault::Says(Rcode::Malformed))
    }

    fn parse_body(message: &'a [u8]) -> Option<Query<'a>> {
        let count = |at: usize| word(message, at);
        if count(4)? != 1 {
            return None;
        }
        let body = message.get(HEADER..)?;
        let labels = body.get(..measure(body)?)?;
        let end = HEADER + labels.len() + 1;
        let (kind, class) = (word(message, end)?, word(message, end + 2)?);
        let mut query = Query { message, labels, kind, class, edns: None };
        let mut at = end + 4;
        let before = u32::from(count(6)?) + u32::from(count(8)?);
        for index in 0..before + u32::from(count(10)?) {
            let record = Record::parse(message, at)?;
            at = record.end;
            if record.kind != kind::OPT {
                continue;
            }
            // One, of the root, among the additional records (RFC 6891 section 6.1.1).
            if index < before || record.name_len != 1 || query.edns.is_some() {
                return None;
            }
            query.edns = Some(record.edns());
        }
        Some(query)
    }

    /// The identifier.
    pub fn id(&self) -> u16 {
        word(self.message, 0).unwrap_or(0)
    }

    /// Header and question, in bytes from the start of the message.
    pub fn question_end(&self) -> usize {
        HEADER + self.labels.len() + 5
    }

    /// Longest answer over UDP, in bytes, that the client takes.
    pub fn takes(&self) -> usize {
        self.edns.map_or(512, |edns| usize::from(edns.size).max(512))
    }
}

/// A resource record, as far as it has to be known to pass it over.
pub(crate) struct Record {
    pub(crate) start: usize,
    name_len: usize,
    pub(crate) kind: u16,
    class: u16,
    pub(crate) ttl: [u8; 4],
    pub(crate) end: usize,
}

impl Record {
    /// The record at `start`. `None`: it does not lie within the message.
    pub(crate) fn parse(message: &[u8], start: usize) -> Option<Record> {
        let name_len = skip_name(message.get(start..)?)?;
        let fixed = message.get(start + name_len..)?.first_chunk::<10>()?;
        let &[k0, k1, c0, c1, ref ttl @ .., l0, l1] = fixed;
        let end = start + name_len + 10 + usize::from(u16::from_be_bytes([l0, l1]));
        let (kind, class) = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([c0, c1]));
        (end <= message.len()).then_some(Record { start, name_len, kind, class, ttl: *ttl, end })
    }

    /// Where its TTL is.
    pub(crate) fn ttl_at(&self) -> usize {
        self.start + self.name_len + 4
    }

    fn edns(&self) -> Edns {
        let [_, version, flags, _] = self.ttl;
        Edns { size: self.class, version, dnssec: flags & 0x80 != 0 }
    }
}

/// The length of a name, which may end with a pointer. Pointers are not followed: nothing needs what they lead to.
fn skip_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return bytes.get(at + 1).map(|_| at + 2),
            len @ 1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
        if at > 254 {
            return None;
        }
    }
}

/// The word at an offset.
pub(crate) fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
}
