//! Who was given which source by a rule: whoever speaks from one port keeps the address and port that it has, whomever it
//! speaks to, as long as a connection that began so is there. Bounded: what is not found is picked anew.

use std::collections::VecDeque;

use hashbrown::HashMap;
use nat::rules::Nat;
use nat::{Address, ConnId, Direction, End, Tracker, Tuple, Zone};
use wire::Time;

/// Endpoints that are remembered.
const LIMIT: usize = 1 << 16;
/// Connections of each.
const OF_ONE: usize = 16;

type Speaker = (Zone, Address, u16, u8);

/// The connections whose source a rule has translated.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The newest last.
    by: HashMap<Speaker, Vec<ConnId>>,
    order: VecDeque<Speaker>,
}

fn speaker(zone: Zone, tuple: &Tuple) -> Speaker {
    (zone, tuple.src, tuple.src_port, tuple.protocol)
}

impl Sources {
    pub(super) fn note(&mut self, zone: Zone, tuple: &Tuple, conn: ConnId) {
        let speaker = speaker(zone, tuple);
        if !self.by.contains_key(&speaker) {
            if self.order.len() >= LIMIT
                && let Some(oldest) = self.order.pop_front()
            {
                self.by.remove(&oldest);
            }
            self.order.push_back(speaker);
        }
        let conns = self.by.entry(speaker).or_default();
        if conns.len() >= OF_ONE {
            conns.remove(0);
        }
        conns.push(conn);
    }

    /// The source that this speaker has at that time, if it is among those that a rule offers.
    pub(super) fn find(&self, now: Time, tracker: &Tracker, zone: Zone, tuple: &Tuple, nat: &Nat) -> Option<End> {
        let conns = self.by.get(&speaker(zone, tuple))?;
        conns.iter().rev().filter(|conn| tracker.lives(now, **conn)).find_map(|conn| {
            let began = tracker.tuple(*conn, Direction::Original)?;
            let reply = tracker.tuple(*conn, Direction::Reply)?;
            let end = End { ip: reply.dst.ip(), port: reply.dst_port };
            (speaker(zone, &began) == speaker(zone, tuple) && nat.offers(end, tuple.protocol)).then_some(end)
        })
    }
}
