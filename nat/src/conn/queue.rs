//! Which connections may be given up: those that nothing has assured yet and those that are over, oldest first, in one list
//! for each zone. A connection is in its payer's list exactly while it is not assured; it enters when it is made and when it
//! ends, and leaves as often, so packets cost nothing.

use hashbrown::HashMap;

use super::{ASSURED, CLOSED, Conn, NOBODY, Table};
use crate::{Reason, Zone};

/// What a zone has.
#[derive(Clone, Copy, Debug)]
struct Share {
    conns: u32,
    unassured: u32,
    oldest: u32,
    newest: u32,
    limit: Option<u32>,
}

impl Share {
    const NONE: Share = Share { conns: 0, unassured: 0, oldest: NOBODY, newest: NOBODY, limit: None };
}

/// The shares of all zones.
pub(crate) struct Zones {
    shares: HashMap<Zone, Share>,
    default_limit: u32,
    total_limit: u32,
    unassured: u32,
    /// Those of them that were assured before.
    closed: u32,
    /// Those of the others that are TCP's.
    opening: u32,
    /// The zone with the most unassured connections, or one that had.
    heaviest: Zone,
}

impl Zones {
    pub(crate) fn new(total_limit: u32, default_limit: u32) -> Zones {
        Zones {
            shares: HashMap::new(),
            default_limit,
            total_limit,
            unassured: 0,
            closed: 0,
            opening: 0,
            heaviest: Zone::OUTSIDE,
        }
    }

    /// Sets the limit of one zone; `None` is the default.
    pub(crate) fn set_limit(&mut self, zone: Zone, limit: Option<u32>) {
        self.shares.entry(zone).or_insert(Share::NONE).limit = limit;
        self.forget_if_empty(zone);
    }

    /// Connections of a zone, and how many may be given up.
    pub(crate) fn share(&self, zone: Zone) -> (u32, u32) {
        self.shares.get(&zone).map_or((0, 0), |share| (share.conns, share.unassured))
    }

    /// What has to be given up before a connection of `zone` can be made: nothing, or the slot of one.
    /// A flood meets itself first: over its own limit a zone gives up its own; over the total, the zone with the most does.
    pub(crate) fn room(&mut self, zone: Zone, taken: u32) -> Result<Option<u32>, Reason> {
        let share = self.shares.get(&zone).copied().unwrap_or(Share::NONE);
        let limit = match share.limit {
            Some(limit) => limit,
            None if zone == Zone::OUTSIDE => u32::MAX,
            None => self.default_limit,
        };
        if share.conns >= limit {
            return if share.oldest == NOBODY { Err(Reason::ZoneFull) } else { Ok(Some(share.oldest)) };
        }
        if taken < self.total_limit {
            return Ok(None);
        }
        if self.unassured == 0 {
            return Err(Reason::TableFull);
        }
        if self.share(self.heaviest).1 == 0 {
            let heaviest = self.shares.iter().max_by_key(|(_, share)| share.unassured);
            self.heaviest = heaviest.map_or(Zone::OUTSIDE, |(zone, _)| *zone);
        }
        self.shares.get(&self.heaviest).map(|share| Some(share.oldest)).ok_or(Reason::TableFull)
    }

    /// A connection was made; it is the newest that may be given up.
    pub(crate) fn add(&mut self, table: &mut Table, slot: u32) {
        let Some(zone) = table.at(slot).map(Conn::payer) else { return };
        self.shares.entry(zone).or_insert(Share::NONE).conns += 1;
        self.link(table, slot);
    }

    /// A connection is over: from now on it may be given up, after all that may be already.
    pub(crate) fn close(&mut self, table: &mut Table, slot: u32) {
        let Some(conn) = table.at_mut(slot).filter(|conn| conn.is_assured()) else { return };
        conn.flags = conn.flags & !ASSURED | CLOSED;
        self.closed += 1;
        self.link(table, slot);
    }

    fn link(&mut self, table: &mut Table, slot: u32) {
        let Some(conn) = table.at_mut(slot) else { return };
        let zone = conn.payer();
        self.opening += u32::from(conn.is_opening());
        let share = self.shares.entry(zone).or_insert(Share::NONE);
        share.unassured += 1;
        (conn.older, conn.newer) = (share.newest, NOBODY);
        let before = std::mem::replace(&mut share.newest, slot);
        let count = share.unassured;
        match table.at_mut(before) {
            Some(before) => before.newer = slot,
            None => share.oldest = slot,
        }
        self.unassured += 1;
        if zone != self.heaviest && count > self.share(self.heaviest).1 {
            self.heaviest = zone;
        }
    }

    /// A connection is never given up from now on.
    pub(crate) fn assure(&mut self, table: &mut Table, slot: u32) {
        self.unlink(table, slot);
        if let Some(conn) = table.at_mut(slot) {
            conn.flags |= ASSURED;
        }
    }

    /// A connection is about to be removed.
    pub(crate) fn leave(&mut self, table: &mut Table, slot: u32) {
        self.unlink(table, slot);
        let Some(zone) = table.at(slot).map(|conn| conn.payer()) else { return };
        if let Some(share) = self.shares.get_mut(&zone) {
            share.conns -= 1;
        }
        self.forget_if_empty(zone);
    }

    fn forget_if_empty(&mut self, zone: Zone) {
        if self.shares.get(&zone).is_some_and(|share| share.conns == 0 && share.limit.is_none()) {
            self.shares.remove(&zone);
        }
    }

    fn unlink(&mut self, table: &mut Table, slot: u32) {
        let Some(conn) = table.at(slot).filter(|conn| !conn.is_assured()) else { return };
        let (zone, older, newer) = (conn.payer(), conn.older, conn.newer);
        let Some(share) = self.shares.get_mut(&zone) else { return };
        self.opening -= u32::from(conn.is_opening());
        match table.at_mut(older) {
            Some(older) => older.newer = newer,
            None => share.oldest = newer,
        }
        match table.at_mut(newer) {
            Some(newer) => newer.older = older,
            None => share.newest = older,
        }
        share.unassured -= 1;
        self.unassured -= 1;
        if let Some(conn) = table.at_mut(slot).filter(|conn| conn.is_closed()) {
            conn.flags &= !CLOSED;
            self.closed -= 1;
        }
    }

    pub(crate) fn unassured(&self) -> u32 {
        self.unassured
    }

    pub(crate) fn closed(&self) -> u32 {
        self.closed
    }

    pub(crate) fn opening(&self) -> u32 {
        self.opening
    }
}
