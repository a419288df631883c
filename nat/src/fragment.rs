//! Datagrams in pieces: only the first fragment has ports, so it is remembered, and later ones follow it.
//! Nothing is reassembled. A later fragment that comes before the first is the caller's to hold back ([`Held`]).
//!
//! [`Held`]: crate::Held

use hashbrown::HashMap;
use wire::{Headers, Layer3, extensions_between, protocol};

use crate::tick::Tick;
use crate::{Address, Reason, Shares, Zone};

/// Which datagram a fragment belongs to. IPv4 counts the protocol in (RFC 791), IPv6 does not (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    zone: Zone,
    src: Address,
    dst: Address,
    id: u32,
    protocol: u8,
}

impl Datagram {
    /// The zone that it is sent in.
    pub const fn zone(&self) -> Zone {
        self.zone
    }
}

/// A fragment's place in its datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) datagram: Datagram,
    /// Bytes of the datagram's payload before it.
    pub(crate) offset: u32,
    /// Where its part of that payload starts in the frame: IPv6 may put more headers before the transport's.
    pub(crate) start: u16,
}

impl Piece {
    /// Reads what the flow key does not hold. `None` if the packet is no fragment.
    pub(crate) fn read(zone: Zone, src: Address, dst: Address, bytes: &[u8], headers: &Headers) -> Option<Piece> {
        let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
        let number = headers.key.protocol();
        let (id, offset, start, protocol) = match headers.layer3 {
            Layer3::Ipv4 => {
                let [a, b, c, d] = *bytes.get(l3 + 4..)?.first_chunk::<4>()?;
                let offset = u32::from(u16::from_be_bytes([c, d]) & 0x1fff) * 8;
                (u32::from(u16::from_be_bytes([a, b])), offset, l4, number)
            }
            Layer3::Ipv6 => {
                // An atomic one (RFC 6946) says nothing.
                let real =
                    |(number, header): &(u8, &[u8])| *number == 44 && header.get(2..4).is_some_and(|w| w != [0, 0]);
                let (_, header) = extensions_between(bytes, l3, l4).find(real)?;
                let fields = header.first_chunk::<8>()?;
                let id = u32::from_be_bytes([fields[4], fields[5], fields[6], fields[7]]);
                let offset = u32::from(u16::from_be_bytes([fields[2], fields[3]]) & 0xfff8);
                (id, offset, l4 - header.len() + 8, 0)
            }
            Layer3::Arp | Layer3::Other => return None,
        };
        Some(Piece { datagram: Datagram { zone, src, dst, id, protocol }, offset, start: start as u16 })
    }
}

/// What the first fragment said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) protocol: u8,
    /// Bytes up to the end of its transport header: what comes later may not reach into it (RFC 1858, RFC 3128).
    pub(crate) header_len: u16,
    /// TCP: the sequence number of the byte at offset 0, as if the header counted.
    pub(crate) base: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    first: First,
    expires: Tick,
    serial: u32,
}

/// The datagrams that are known. When there is no room the oldest of the zone that has most goes: a flood of first fragments
/// passes through, and a datagram whose pieces come one after the other is not touched by it.
#[derive(Debug)]
pub(crate) struct Fragments {
    entries: HashMap<Datagram, Entry>,
    order: Shares<(Datagram, u32)>,
    limit: usize,
    next_serial: u32,
}

impl Fragments {
    pub(crate) fn new(limit: u32) -> Fragments {
        Fragments { entries: HashMap::new(), order: Shares::default(), limit: limit as usize, next_serial: 0 }
    }

    /// Remembers a first fragment.
    ///
    /// # Errors
    /// [`Reason::Fragment`] if another one said otherwise: they overlap, and the datagram is forgotten (RFC 5722).
    pub(crate) fn insert(&mut self, now: Tick, datagram: Datagram, first: First, timeout: u32) -> Result<(), Reason> {
        if let Some(known) = self.entries.get(&datagram).filter(|entry| now < entry.expires) {
            if known.first == first {
                return Ok(());
            }
            self.entries.remove(&datagram);
            return Err(Reason::Fragment);
        }
        while self.entries.len() >= self.limit.max(1) || self.order.len() >= self.limit.max(1) * 2 {
            let Some((oldest, serial)) = self.order.pop_of_largest() else { break };
            self.forget(&oldest, serial);
        }
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        self.entries.insert(datagram, Entry { first, expires: now.after(timeout), serial });
        self.order.push(datagram.zone, (datagram, serial));
        Ok(())
    }

    fn forget(&mut self, datagram: &Datagram, serial: u32) {
        if self.entries.get(datagram).is_some_and(|entry| entry.serial == serial) {
            self.entries.remove(datagram);
        }
    }

    /// What the first fragment of a later one said.
    pub(crate) fn get(&self, now: Tick, datagram: &Datagram) -> Option<First> {
        self.entries.get(datagram).filter(|entry| now < entry.expires).map(|entry| entry.first)
    }

    /// Forgets up to `budget` that are too old.
    pub(crate) fn expire(&mut self, now: Tick, budget: usize) {
        let entries = &mut self.entries;
        self.order.expire(budget, |(datagram, serial)| {
            let Some(entry) = entries.get(datagram).filter(|entry| entry.serial == *serial) else { return true };
            let over = now >= entry.expires;
            if over {
                entries.remove(datagram);
            }
            over
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Where TCP's sequence numbers stand in a datagram whose header is `header_len` long.
pub(crate) fn base(protocol_number: u8, seq: u32, header_len: u16) -> u32 {
    if protocol_number == protocol::TCP { seq.wrapping_sub(u32::from(header_len)) } else { 0 }
}
