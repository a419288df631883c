//! A connection: both directions' ends, where each comes from, what was seen of it. It is a record; `table` finds it,
//! `queue` says which may be given up.

mod queue;
mod table;

use serde::Serialize;
use wire::protocol;

pub(crate) use queue::Zones;
pub(crate) use table::Table;

use crate::tcp::Tcp;
use crate::tick::Tick;
use crate::{Address, Direction, Settings, Tuple, Zone};

/// A connection's number. It names no other one after that connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

/// What rules call the state of a packet's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing has come back yet.
    New,
    /// Packets have passed both ways.
    Established,
}

/// Frames and bytes of one direction. A super-frame counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Frames.
    pub frames: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
}

const REPLIED: u8 = 1;
const ASSURED: u8 = 2;
const CLOSED: u8 = 4;

/// No binding, and the end of a list.
pub(crate) const NOBODY: u32 = u32::MAX;

/// A connection. Laid out for size: a million of them stay in memory.
#[derive(Clone, Debug)]
pub(crate) struct Conn {
    addresses: [[Address; 2]; 2],
    ports: [[u16; 2]; 2],
    zones: [Zone; 2],
    pub(crate) serial: u32,
    pub(crate) created: Tick,
    pub(crate) expires: Tick,
    /// A number that rules put there and match.
    pub(crate) mark: u32,
    /// The binding that the source was mapped by.
    pub(crate) src_binding: u32,
    /// The binding that the destination was found by.
    pub(crate) dst_binding: u32,
    /// Its neighbours among those that may be given up.
    older: u32,
    newer: u32,
    pub(crate) traffic: [Traffic; 2],
    pub(crate) tcp: Tcp,
    protocol: u8,
    flags: u8,
}

/// The promise of at most 256 bytes for each connection, with both its index entries and its peer, rests on this.
const _: () = assert!(size_of::<Option<Conn>>() <= 208);

impl Conn {
    pub(crate) fn new(tuples: [Tuple; 2], zones: [Zone; 2], tcp: Tcp, now: Tick) -> Conn {
        let [original, reply] = tuples;
        Conn {
            addresses: [[original.src, original.dst], [reply.src, reply.dst]],
            ports: [[original.src_port, original.dst_port], [reply.src_port, reply.dst_port]],
            zones,
            serial: 0,
            created: now,
            expires: now,
            mark: 0,
            src_binding: NOBODY,
            dst_binding: NOBODY,
            older: NOBODY,
            newer: NOBODY,
            traffic: [Traffic::default(); 2],
            tcp,
            protocol: original.protocol,
            flags: 0,
        }
    }

    /// Reads something in every cache line of the record.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        let tcp = self.tcp.touch();
        let [there, back] = self.traffic;
        let words = self.addresses[0][0].low ^ self.addresses[1][1].low ^ there.frames ^ back.bytes;
        words as u32 ^ u32::from(self.ports[1][1]) ^ self.serial ^ self.mark ^ tcp
    }

    pub(crate) fn tuple(&self, direction: Direction) -> Tuple {
        let ([src, dst], [src_port, dst_port]) = (self.addresses[direction as usize], self.ports[direction as usize]);
        Tuple { src, dst, src_port, dst_port, protocol: self.protocol }
    }

    /// Where packets of this direction come from.
    pub(crate) fn zone(&self, direction: Direction) -> Zone {
        self.zones[direction as usize]
    }

    /// Whether its packets stay in their zone as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.zones[0] == self.zones[1] && self.tuple(Direction::Reply).reverse() == self.tuple(Direction::Original)
    }

    /// The zone that pays for it: the network, not the outside.
    pub(crate) fn payer(&self) -> Zone {
        if self.zones[0] == Zone::OUTSIDE { self.zones[1] } else { self.zones[0] }
    }

    pub(crate) fn is_replied(&self) -> bool {
        self.flags & REPLIED != 0
    }

    /// Whether it is never given up for another.
    pub(crate) fn is_assured(&self) -> bool {
        self.flags & ASSURED != 0
    }

    /// Whether it was assured, and is over now.
    pub(crate) fn is_closed(&self) -> bool {
        self.flags & CLOSED != 0
    }

    /// Whether it is a TCP connection that nothing has assured yet.
    pub(crate) fn is_opening(&self) -> bool {
        self.protocol == protocol::TCP && self.flags & (ASSURED | CLOSED) == 0
    }

    /// Whether its last packet has ended an assured one: what is left is to wait for stragglers.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_assured() && self.is_over()
    }

    /// Whether it is a TCP connection that is over, or was refused.
    pub(crate) fn is_over(&self) -> bool {
        use crate::TcpState::{Close, TimeWait};
        self.protocol == protocol::TCP && matches!(self.tcp.state, TimeWait | Close)
    }

    pub(crate) fn set_replied(&mut self) {
        self.flags |= REPLIED;
    }

    pub(crate) fn state(&self) -> State {
        if self.is_replied() { State::Established } else { State::New }
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether it has lasted long enough to be more than a question and its answer (CT-05).
    fn is_stream(&self, now: Tick) -> bool {
        self.is_replied() && now.since(self.created) >= 2
    }

    /// Whether what was seen by `now` assures it, and it was not before.
    pub(crate) fn earns_assurance(&self, was_open: bool, now: Tick) -> bool {
        use crate::TcpState::Established;
        !self.is_assured()
            && self.is_replied()
            && match self.protocol {
                protocol::TCP => was_open && self.tcp.state == Established,
                protocol::UDP => self.is_stream(now),
                _ => false,
            }
    }

    /// Idle time in seconds after a packet, before which something had come back, or not.
    pub(crate) fn timeout(&self, replied: bool, now: Tick, settings: &Settings) -> u32 {
        let timers = &settings.timers;
        match self.protocol {
            protocol::TCP => self.tcp.timeout(replied, settings),
            protocol::UDP if replied && self.is_stream(now) => timers.udp_stream,
            protocol::UDP => timers.udp,
            protocol::ICMP | protocol::ICMPV6 => timers.icmp,
            _ => timers.other,
        }
    }

    /// Whether a packet of this direction keeps it alive. Where a mapping is involved only what its owner sends does
    /// (RFC 4787 REQ-6), or anybody could hold it open; TCP has its own signs of life.
    pub(crate) fn is_refreshed_by(&self, direction: Direction, settings: &Settings) -> bool {
        if settings.inbound_refresh || self.protocol == protocol::TCP {
            return true;
        }
        let (src, dst) = (self.src_binding != NOBODY, self.dst_binding != NOBODY);
        match direction {
            Direction::Original => src || !dst,
            Direction::Reply => dst || !src,
        }
    }
}
