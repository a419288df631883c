//! What rules made of datagrams in pieces: the first fragment, which alone has ports, meets them, and later ones share its
//! fate, as in the kernel, which puts a datagram together before rules see it. Nothing is put together here. Until the first
//! one has passed all hooks later ones are refused; when there is no room the oldest datagram of the network that has
//! most goes, and its rest is lost.

use std::time::Duration;

use hashbrown::HashMap;
use nat::rules::Counters;
use nat::{Datagram, Shares};
use wire::{Frame, Headers, Layer3, Time, checksum};

use super::Packet;
use super::hooks::Passage;
use crate::filter::{Filters, Mark};

/// Most datagrams that are forgotten for one that begins.
const EXPIRED: usize = 16;

/// What rules may have changed in the header of a first fragment, and change in later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Imprint {
    /// Bits of the type of service that were inverted; congestion marks of later fragments stay.
    service: u8,
    ttl: u8,
}

/// A fragment's place in its datagram, with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// The first; the type of service that it came with.
    First(Datagram, u8),
    /// Another one, of a datagram that passes.
    Later(Imprint),
}

/// What became of a first fragment.
#[derive(Debug)]
struct Fate {
    serial: u32,
    until: Time,
    /// Which rules it met: those of that generation.
    generation: u32,
    passes: Option<Imprint>,
    /// The rules that it met.
    marks: Box<[Mark]>,
}

/// What rules say about a later fragment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    Passes(Imprint),
    Refused,
    /// Its first has not come.
    Unknown,
}

/// The datagrams whose first fragment has met rules.
#[derive(Debug)]
pub(super) struct Pieces {
    fates: HashMap<Datagram, Fate>,
    order: Shares<(Datagram, u32)>,
    limit: usize,
    life: Duration,
    next: u32,
}

impl Pieces {
    /// Room for that many, for so long.
    pub(super) fn new(limit: u32, seconds: u32) -> Pieces {
        let (limit, life) = (limit.max(1) as usize, Duration::from_secs(seconds.into()));
        Pieces { fates: HashMap::new(), order: Shares::default(), limit, life, next: 0 }
    }

    /// A first fragment is about to meet rules.
    fn begin(&mut self, now: Time, datagram: Datagram, generation: u32) {
        let fates = &mut self.fates;
        self.order.expire(EXPIRED, |(oldest, serial)| {
            let Some(fate) = fates.get(oldest).filter(|fate| fate.serial == *serial) else { return true };
            let over = now >= fate.until;
            if over {
                fates.remove(oldest);
            }
            over
        });
        while self.order.len() >= self.limit {
            let Some((oldest, serial)) = self.order.pop_of_largest() else { break };
            if self.fates.get(&oldest).is_some_and(|fate| fate.serial == serial) {
                self.fates.remove(&oldest);
            }
        }
        let serial = self.next;
        self.next = serial.wrapping_add(1);
        let until = now + self.life;
        self.fates.insert(datagram, Fate { serial, until, generation, passes: None, marks: Box::default() });
        self.order.push(datagram.zone(), (datagram, serial));
    }

    /// A first fragment has met its last rule. `passes` is what became of its header, if it goes on.
    pub(super) fn settle(&mut self, datagram: &Datagram, passes: Option<Imprint>, marks: &[Mark]) {
        if let Some(fate) = self.fates.get_mut(datagram) {
            fate.passes = passes;
            fate.marks = marks.into();
        }
    }

    /// Lets nothing more of a datagram through.
    pub(super) fn spoil(&mut self, datagram: &Datagram) {
        if let Some(fate) = self.fates.get_mut(datagram) {
            fate.passes = None;
        }
    }

    /// A packet was dropped: if it was a first fragment, later ones follow it.
    pub(super) fn refuse(&mut self, passage: &Passage) {
        if let Some(Piece::First(datagram, _)) = &passage.piece {
            self.settle(datagram, None, &passage.marks);
        }
    }

    /// What becomes of a later fragment. The rules that its first one met have its bytes, too: to them it is one packet.
    fn rest(&self, now: Time, datagram: &Datagram, payload: u64, filters: &mut Filters) -> Rest {
        let Some(fate) = self.fates.get(datagram) else { return Rest::Unknown };
        if now >= fate.until || fate.generation != filters.generation {
            return Rest::Unknown;
        }
        filters.credit(&fate.marks, Counters { packets: 0, bytes: payload });
        fate.passes.map_or(Rest::Refused, Rest::Passes)
    }

    /// A fragment's place: a first one begins its datagram.
    pub(super) fn place(&mut self, packet: &Packet, datagram: Datagram, filters: &mut Filters) -> Result<Piece, Rest> {
        let Packet { now, frame, headers, .. } = packet;
        if headers.fragment == wire::Fragment::First {
            self.begin(*now, datagram, filters.generation);
            return Ok(Piece::First(datagram, service(frame, headers)));
        }
        let payload = u64::from(headers.end).saturating_sub(headers.l4.into());
        match self.rest(*now, &datagram, payload, filters) {
            Rest::Passes(imprint) => Ok(Piece::Later(imprint)),
            rest => Err(rest),
        }
    }
}

impl Imprint {
    /// What became of a first fragment that came with that type of service.
    pub(super) fn of(packet: &Packet, service_before: u8) -> Imprint {
        let Packet { frame, headers, .. } = packet;
        let ttl = frame.bytes().get(ttl_at(headers)).copied().unwrap_or(0);
        Imprint { service: service(frame, headers) ^ service_before, ttl }
    }

    /// Makes a later fragment's header what the first one's became.
    pub(super) fn put(self, packet: &mut Packet) {
        let Packet { frame, headers, .. } = packet;
        set_service(frame, headers, service(frame, headers) ^ self.service);
        match headers.layer3 {
            Layer3::Ipv4 => put_v4(frame, headers.l3.into(), 8, |[_, protocol]| [self.ttl, protocol]),
            Layer3::Ipv6 => _ = frame.bytes_mut().get_mut(ttl_at(headers)).map(|ttl| *ttl = self.ttl),
            Layer3::Arp | Layer3::Other => {}
        }
    }
}

/// Sets the type of service, or the traffic class.
pub(super) fn set_service(frame: &mut Frame, headers: &Headers, service: u8) {
    let l3 = usize::from(headers.l3);
    match headers.layer3 {
        Layer3::Ipv4 => put_v4(frame, l3, 0, |[first, _]| [first, service]),
        Layer3::Ipv6 => {
            let header = frame.bytes_mut().get_mut(l3..).unwrap_or_default();
            if let [a, b, ..] = header {
                (*a, *b) = (*a & 0xf0 | service >> 4, *b & 0x0f | service << 4);
            }
        }
        Layer3::Arp | Layer3::Other => {}
    }
}

/// Where the hops to live stand.
pub(super) fn ttl_at(headers: &Headers) -> usize {
    usize::from(headers.l3) + if headers.layer3 == Layer3::Ipv4 { 8 } else { 7 }
}

/// The type of service, or the traffic class.
pub(super) fn service(frame: &Frame, headers: &Headers) -> u8 {
    let header = frame.bytes().get(usize::from(headers.l3)..).unwrap_or_default();
    match (headers.layer3, header) {
        (Layer3::Ipv4, [_, service, ..]) => *service,
        (_, [a, b, ..]) => a << 4 | b >> 4,
        _ => 0,
    }
}

/// Changes a word of an IPv4 header, and the checksum with it.
fn put_v4(frame: &mut Frame, l3: usize, at: usize, change: impl FnOnce([u8; 2]) -> [u8; 2]) {
    let Some(header) = frame.bytes_mut().get_mut(l3..).and_then(|header| header.first_chunk_mut::<20>()) else {
        return;
    };
    let old = [header[at], header[at + 1]];
    let new = change(old);
    header[at..at + 2].copy_from_slice(&new);
    let sum = checksum::update(
        u16::from_be_bytes([header[10], header[11]]),
        u16::from_be_bytes(old),
        u16::from_be_bytes(new),
    );
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}
