//! The tracker: connections, the bindings that translate them, datagrams in pieces; all that has state.
//!
//! A packet that belongs to no cached flow goes through [`Tracker::track`]; what is new there is decided on by the caller
//! and made by [`Tracker::commit`]; packets of a cached flow take [`Tracker::advance`]. Before a batch of either,
//! [`Tracker::warm`] saves waiting for memory. Nothing here changes a packet.

mod advance;
mod commit;
mod dump;
mod expire;
mod inbound;
mod judged;
mod place;
mod track;
mod warm;

pub use advance::Advance;
pub use commit::{Destination, Mapping, Plan, Pool, Source};
pub use dump::{BindingRow, ConnRow, Filter, Page, Way};
pub use inbound::{BindingId, Inbound};
pub use track::{Fresh, Hit, Tracked};

use serde::Serialize;

use crate::binding::Bindings;
use crate::conn::{Table, Zones};
use crate::fragment::Fragments;
use crate::reason::Reasons;
use crate::{ConnId, Direction, Reason, Rewrite, Settings, Tuple, Zone};

/// Where randomness comes from: ports that cannot be guessed are as good as it is.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// Connections and bindings.
pub struct Tracker {
    pub(crate) settings: Settings,
    pub(crate) table: Table,
    pub(crate) zones: Zones,
    pub(crate) bindings: Bindings,
    pub(crate) fragments: Fragments,
    pub(crate) reasons: Reasons,
    pub(crate) counters: Counters,
    pub(crate) random: Random,
    pub(crate) hand: u32,
    pub(crate) gone: Vec<Tuple>,
    pub(crate) gone_unsaid: bool,
}

/// What a tracker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Connections made.
    pub created: u64,
    /// Connections forgotten because they were idle.
    pub expired: u64,
    /// Connections given up for new ones.
    pub given_up: u64,
    /// Connections removed because somebody asked for it.
    pub flushed: u64,
    /// Connections that began again between the same ends.
    pub reopened: u64,
    /// ICMP errors about a connection.
    pub related: u64,
    /// Connections that were to be made twice, and are one (CT-08).
    pub merged: u64,
    /// Connections that got another port because theirs was taken.
    pub remapped: u64,
    /// Later fragments that came before the first.
    pub early_fragments: u64,
    /// Packets to a mapping that its filtering kept out.
    pub filtered: u64,
}

/// How full a tracker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Connections.
    pub connections: u32,
    /// Most connections.
    pub limit: u32,
    /// Connections that may be given up for new ones.
    pub unassured: u32,
    /// Those of them that are over, and only wait for stragglers.
    pub closed: u32,
    /// Bindings.
    pub bindings: usize,
    /// Datagrams in pieces.
    pub datagrams: usize,
    /// Bytes that the tables take.
    pub memory: usize,
}

impl Tracker {
    /// An empty tracker. The index of all connections is made now: no growth pauses it later.
    pub fn new(settings: Settings, mut random: Random) -> Tracker {
        Tracker {
            table: Table::new(settings.connections, random()),
            zones: Zones::new(settings.connections, settings.connections_per_zone),
            bindings: Bindings::new(random()),
            fragments: Fragments::new(settings.datagrams),
            reasons: Reasons::new(),
            counters: Counters::default(),
            settings,
            random,
            hand: 0,
            gone: Vec::new(),
            gone_unsaid: false,
        }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the most connections of one zone; `None` is the default again. Connections that are there stay.
    pub fn set_zone_limit(&mut self, zone: Zone, limit: Option<u32>) {
        self.zones.set_limit(zone, limit);
    }

    /// Connections that a zone pays for, and how many of them may be given up.
    pub fn zone_usage(&self, zone: Zone) -> (u32, u32) {
        self.zones.share(zone)
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        Usage {
            connections: self.table.len(),
            limit: self.settings.connections,
            unassured: self.zones.unassured(),
            closed: self.zones.closed(),
            bindings: self.bindings.len(),
            datagrams: self.fragments.len(),
            memory: self.table.memory() + self.bindings.memory(),
        }
    }

    /// Connections.
    pub fn connections(&self) -> u32 {
        self.table.len()
    }

    /// TCP connections that have begun and no more: what a flood of SYNs makes many of. A question and its answer over UDP
    /// or ICMP are as little assured, but nothing to worry about.
    pub fn half_open(&self) -> u32 {
        self.zones.opening()
    }

    /// What it counted.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How often packets or connections were refused for this reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.reasons.get(reason)
    }

    /// What a packet of this direction becomes. `None` if the connection is gone.
    pub fn rewrite(&self, conn: ConnId, direction: Direction) -> Option<Rewrite> {
        let conn = self.table.get(conn)?;
        Some(Rewrite::between(conn.tuple(direction), conn.tuple(direction.reverse())))
    }

    /// What an ICMP error that travels in this direction becomes: first the error itself, then the packet that it quotes,
    /// which had gone the other way and is turned back into what its sender had sent. For [`crate::translate_error`].
    pub fn rewrite_error(&self, conn: ConnId, direction: Direction) -> Option<(Rewrite, Rewrite)> {
        let conn = self.table.get(conn)?;
        Some(Rewrite::of_error(conn.tuple(direction), conn.tuple(direction.reverse())))
    }

    /// Who talks to whom in packets of this direction, as they arrive.
    pub fn tuple(&self, conn: ConnId, direction: Direction) -> Option<Tuple> {
        Some(self.table.get(conn)?.tuple(direction))
    }

    /// The zone that packets of this direction go to.
    pub fn towards(&self, conn: ConnId, direction: Direction) -> Option<Zone> {
        Some(self.table.get(conn)?.zone(direction.reverse()))
    }

    /// The number that rules gave a connection; 0 at first.
    pub fn mark(&self, conn: ConnId) -> Option<u32> {
        Some(self.table.get(conn)?.mark)
    }

    /// Gives a connection a number. `false` if it is gone.
    pub fn set_mark(&mut self, conn: ConnId, mark: u32) -> bool {
        let known = self.table.get(conn).is_some();
        if let Some(conn) = self.table.at_mut(conn.slot).filter(|_| known) {
            conn.mark = mark;
        }
        known
    }
}
