//! A tracker with a hand-moved clock, between a network and the outside, and what the engine will do around it.

use std::net::IpAddr;
use std::time::Duration;

use nat::{
    ConnId, Destination, Direction, Fresh, Hit, Inbound, Mapping, Plan, Pool, Reason, Settings, Source, State, Tracked,
    Tracker, Zone, translate, translate_error,
};
use wire::{Frame, Time};

use crate::packet::{ip, parse};

/// Two networks and the world outside.
pub(crate) const RED: Zone = Zone(7);
pub(crate) const BLUE: Zone = Zone(8);
pub(crate) const OUT: Zone = Zone::OUTSIDE;

pub(crate) struct World {
    pub(crate) tracker: Tracker,
    pub(crate) now: Time,
    /// The host's own addresses.
    pub(crate) public: Vec<IpAddr>,
    pub(crate) mapping: Mapping,
    /// Ports that the host's sockets hold.
    pub(crate) held: Vec<u16>,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> World {
        World {
            tracker: Tracker::new(settings, random(1)),
            now: Time::from_secs(1_000),
            public: vec![ip("192.0.2.1"), ip("2001:db8::1")],
            mapping: Mapping::EndpointIndependent,
            held: Vec::new(),
        }
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(crate) fn track(&mut self, zone: Zone, frame: &Frame) -> Tracked {
        self.tracker.track(self.now, zone, frame, &parse(frame))
    }

    pub(crate) fn fresh(&mut self, zone: Zone, frame: &Frame) -> Fresh {
        match self.track(zone, frame) {
            Tracked::New(fresh) => fresh,
            other => panic!("not new: {other:?}"),
        }
    }

    pub(crate) fn known(&mut self, zone: Zone, frame: &Frame) -> Hit {
        match self.track(zone, frame) {
            Tracked::Known(hit) => hit,
            other => panic!("not known: {other:?}"),
        }
    }

    pub(crate) fn commit(&mut self, fresh: &Fresh, plan: &Plan<'_>) -> Result<Hit, Reason> {
        let held = &self.held;
        self.tracker.commit(self.now, fresh, plan, &mut |_, _, port| !held.contains(&port))
    }

    /// Makes a connection without translation.
    pub(crate) fn open(&mut self, zone: Zone, frame: &Frame) -> Hit {
        let fresh = self.fresh(zone, frame);
        self.commit(&fresh, &plain(zone)).unwrap()
    }

    /// The connection of a packet inside one zone, made if it is new, and the state that rules see. `None`: invalid.
    pub(crate) fn see(&mut self, zone: Zone, frame: &Frame) -> Option<(State, Direction)> {
        match self.track(zone, frame) {
            Tracked::New(fresh) => {
                let hit = self.commit(&fresh, &plain(zone)).unwrap();
                Some((hit.state, hit.direction))
            }
            Tracked::Known(hit) => Some((hit.state, hit.direction)),
            _ => None,
        }
    }

    /// A packet from a network to the outside, translated as egress is: what leaves.
    pub(crate) fn egress(&mut self, zone: Zone, frame: &Frame) -> Result<Frame, Reason> {
        let hit = match self.track(zone, frame) {
            Tracked::Known(hit) => hit,
            Tracked::Related(hit) => return Ok(self.apply_error(hit, frame)),
            Tracked::Invalid(reason) => return Err(reason),
            Tracked::New(fresh) => {
                let addresses = self.public.clone();
                let pool = Pool { addresses: &addresses, ports: None, random: false, mapping: self.mapping };
                let plan = Plan { reply_zone: OUT, destination: Destination::Keep, source: Source::Map(pool) };
                self.commit(&fresh, &plan)?
            }
            other => panic!("{other:?}"),
        };
        Ok(self.apply(hit, frame))
    }

    /// A packet from the outside to a public address: what arrives inside, if anything.
    pub(crate) fn ingress(&mut self, frame: &Frame) -> Option<Frame> {
        match self.track(OUT, frame) {
            Tracked::Known(hit) => Some(self.apply(hit, frame)),
            Tracked::Related(hit) => Some(self.apply_error(hit, frame)),
            Tracked::New(fresh) => match self.tracker.inbound(&fresh) {
                Inbound::To { binding, zone, .. } => {
                    let destination = Destination::Binding(binding);
                    let plan = Plan { reply_zone: zone, destination, source: Source::Keep };
                    let hit = self.commit(&fresh, &plan).ok()?;
                    Some(self.apply(hit, frame))
                }
                Inbound::Filtered | Inbound::Unknown => None,
            },
            _ => None,
        }
    }

    /// A packet from a network to a public address of this host: out, and in again.
    pub(crate) fn hairpin(&mut self, zone: Zone, frame: &Frame) -> Option<Frame> {
        let left = self.egress(zone, frame).unwrap();
        self.ingress(&left)
    }

    pub(crate) fn apply(&self, hit: Hit, frame: &Frame) -> Frame {
        let mut out = Frame::new();
        out.copy_from(frame);
        let to = self.tracker.rewrite(hit.conn, hit.direction).unwrap();
        translate(&mut out, &parse(frame), &to).unwrap();
        out
    }

    pub(crate) fn apply_error(&self, hit: Hit, frame: &Frame) -> Frame {
        let mut out = Frame::new();
        out.copy_from(frame);
        let (outer, inner) = self.tracker.rewrite_error(hit.conn, hit.direction).unwrap();
        translate_error(&mut out, &parse(frame), &outer, &inner).unwrap();
        out
    }

    pub(crate) fn lives(&self, conn: ConnId) -> bool {
        self.tracker.rewrite(conn, Direction::Original).is_some()
    }

    pub(crate) fn sweep(&mut self) -> usize {
        let slots = self.tracker.slots() as usize;
        self.tracker.expire(self.now, slots)
    }

    pub(crate) fn rows(&self) -> Vec<nat::ConnRow> {
        self.tracker.dump(self.now, &nat::Filter::default(), 0, usize::MAX).rows
    }
}

/// No translation, answers from the same zone.
pub(crate) fn plain(zone: Zone) -> Plan<'static> {
    Plan { reply_zone: zone, destination: Destination::Keep, source: Source::Keep }
}

/// A source of numbers that repeats for the same seed.
pub(crate) fn random(seed: u64) -> nat::Random {
    let mut state = seed;
    Box::new(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
    })
}

/// Source of a frame, as text with its port.
pub(crate) fn source(frame: &Frame) -> String {
    let key = parse(frame).key;
    std::net::SocketAddr::new(key.src().unwrap(), key.src_port()).to_string()
}
