//! Replies: how their bytes are laid out. A reply repeats the question as it came, in its letters too, and every record's
//! name is a pointer to it. What is too long for who asked is marked as truncated.

use crate::TTL;
use crate::kind;
use crate::query::{Edns, HEADER, OPCODE, QR, Query, Record, TC, word};

/// "I am an authority", in the third byte.
const AA: u8 = 0x04;
/// "Recursion desired", in the third byte.
const RD: u8 = 0x01;
/// "Recursion available", in the fourth byte.
const RA: u8 = 0x80;
/// "Checking disabled", in the fourth byte; repeated (RFC 4035 section 3.2.2).
const CD: u8 = 0x10;
/// Where the question's name is.
const QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Bytes of an OPT record without options.
const OPT_LEN: usize = 11;
/// The class of the Internet.
pub(crate) const IN: u16 = 1;

/// How a question was answered (RFC 1035 section 4.1.1, RFC 6891 section 6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    /// Without an error.
    NoError = 0,
    /// The query makes no sense.
    Malformed = 1,
    /// The server failed.
    ServerFailure = 2,
    /// There is no such name.
    NoSuchName = 3,
    /// That kind of query is not known.
    NotImplemented = 4,
    /// The server does not want to.
    Refused = 5,
    /// A version of EDNS that is not known.
    BadVersion = 16,
}

/// The reply to a query, while it is written.
pub(crate) struct Reply<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
    edns: Option<Edns>,
    counts: [u16; 3],
}

impl<'a> Reply<'a> {
    /// Begins a reply in `out`, of at most `limit` bytes. `forwards`: the client may ask for other names, too.
    pub(crate) fn begin(out: &'a mut Vec<u8>, query: &Query<'_>, limit: usize, forwards: bool) -> Reply<'a> {
        out.clear();
        out.extend_from_slice(query.message.get(..query.question_end()).unwrap_or_default());
        begin_header(out, forwards);
        Reply { out, limit, edns: query.edns, counts: [0; 3] }
    }

    /// Appends a record whose name is the question's. `false`, and nothing changed: there is no room.
    pub(crate) fn answer(&mut self, kind: u16, data: &[u8]) -> bool {
        self.record(0, &QUESTION, kind, &[data])
    }

    /// Appends a record that says whose name is asked for, and for how long to remember that it has no such record (RFC 2308
    /// section 3). Every name is a zone of its own.
    pub(crate) fn authority(&mut self) {
        let mut numbers = [0; 20];
        // Serial number, times to refresh, retry and expire: nobody copies the zone. Then the time that counts.
        for (at, value) in [1, 3_600, 600, 86_400, TTL].into_iter().enumerate() {
            numbers[4 * at..4 * at + 4].copy_from_slice(&value.to_be_bytes());
        }
        self.record(1, &QUESTION, kind::SOA, &[&QUESTION, &[0], &numbers]);
    }

    /// Appends an additional record, for a name in wire form without the root's zero.
    pub(crate) fn additional(&mut self, name: &[u8], kind: u16, data: &[u8]) -> bool {
        let mut owner = [0; 256];
        let Some(place) = owner.get_mut(..name.len()) else { return false };
        place.copy_from_slice(name);
        self.record(2, &owner[..=name.len()], kind, &[data])
    }

    fn record(&mut self, section: usize, name: &[u8], kind: u16, data: &[&[u8]]) -> bool {
        let len: usize = data.iter().map(|part| part.len()).sum();
        let reserved = if self.edns.is_some() { OPT_LEN } else { 0 };
        let Ok(data_len) = u16::try_from(len) else { return false };
        if self.out.len() + name.len() + 10 + len + reserved > self.limit {
            return false;
        }
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&IN.to_be_bytes());
        self.out.extend_from_slice(&TTL.to_be_bytes());
        self.out.extend_from_slice(&data_len.to_be_bytes());
        data.iter().for_each(|part| self.out.extend_from_slice(part));
        self.counts[section] += 1;
        true
    }

    /// Says that not everything found room.
    pub(crate) fn truncated(&mut self) {
        self.out[2] |= TC;
    }

    /// Says that this is all there is to know.
    pub(crate) fn authoritative(&mut self) {
        self.out[2] |= AA;
    }

    /// Completes the reply.
    pub(crate) fn finish(mut self, rcode: Rcode) {
        if let Some(edns) = self.edns {
            self.counts[2] += 1;
            let (size, flags) = (crate::LONGEST_UDP as u16, if edns.dnssec { 0x80 } else { 0 });
            let [s0, s1] = size.to_be_bytes();
            // The root, OPT, the size that is taken here, the upper bits of the code, version 0, flags, no options.
            self.out.extend_from_slice(&[0, 0, kind::OPT as u8, s0, s1, rcode as u8 >> 4, 0, flags, 0, 0, 0]);
        }
        self.out[3] |= rcode as u8 & 0x0f;
        for (section, count) in self.counts.into_iter().enumerate() {
            self.out[6 + 2 * section..8 + 2 * section].copy_from_slice(&count.to_be_bytes());
        }
    }
}

/// Turns the header of a query, with its question behind it, into that of a reply without records.
fn begin_header(out: &mut [u8], forwards: bool) {
    if let Some([_, _, flags, codes, counts @ ..]) = out.first_chunk_mut::<HEADER>() {
        *flags = *flags & (OPCODE | RD) | QR;
        *codes = *codes & CD | if forwards { RA } else { 0 };
        counts[2..].fill(0);
    }
}

/// Makes `out` the reply to a query that says no more than how it went. `false`, and `out` empty, if nothing may be said.
pub fn fail(query: &[u8], rcode: Rcode, out: &mut Vec<u8>) -> bool {
    out.clear();
    match Query::parse(query) {
        Ok(query) => {
            Reply::begin(out, &query, usize::MAX, true).finish(rcode);
            true
        }
        Err(crate::Fault::Silent) => false,
        Err(crate::Fault::Says(_)) => {
            fail_bare(query, rcode, out);
            true
        }
    }
}

/// The same for a query whose question makes no sense: it is not repeated.
pub(crate) fn fail_bare(query: &[u8], rcode: Rcode, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(query.get(..HEADER).unwrap_or_default());
    begin_header(out, true);
    if let Some([_, _, _, codes, questions @ ..]) = out.first_chunk_mut::<6>() {
        *codes |= rcode as u8 & 0x0f;
        *questions = [0; 2];
    }
}

/// Makes a reply that is longer than `limit` one that says so and leaves out its records, but for EDNS. `false`, and
/// nothing changed: it makes no sense.
pub fn truncate(reply: &mut Vec<u8>, limit: usize) -> bool {
    if reply.len() <= limit {
        return true;
    }
    let Some((end, opt)) = outline(reply) else { return false };
    let has_opt = opt.is_some();
    if let Some((start, stop)) = opt {
        reply.copy_within(start..stop, end);
    }
    reply.truncate(end + opt.map_or(0, |(start, stop)| stop - start));
    reply[2] |= TC;
    reply[6..HEADER].fill(0);
    reply[11] = u8::from(has_opt);
    true
}

/// Where a message's question ends, and where its OPT record is.
fn outline(message: &[u8]) -> Option<(usize, Option<(usize, usize)>)> {
    let body = message.get(HEADER..)?;
    let end = match word(message, 4)? {
        0 => HEADER,
        1 => HEADER + crate::name::measure(body)? + 5,
        _ => return None,
    };
    let records: u32 = [6, 8, 10].into_iter().filter_map(|at| word(message, at)).map(u32::from).sum();
    let (mut at, mut opt) = (end, None);
    message.get(..end)?;
    for _ in 0..records {
        let Some(record) = Record::parse(message, at) else { break };
        at = record.end;
        if record.kind == kind::OPT {
            opt = Some((record.start, record.end));
        }
    }
    Some((end, opt))
}
