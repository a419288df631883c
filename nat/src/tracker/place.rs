//! Making and removing connections with all that hangs on them: index, lists, bindings, peers.
//! Everything that a connection holds is held by [`Tracker::place`] and let go by [`Tracker::remove`], nowhere else.

use crate::binding::Binding;
use crate::conn::{Conn, ConnId, NOBODY};
use crate::{Direction, Filtering, Reason, Tracker, Tuple, Zone};

impl Tracker {
    /// Makes room for a connection of `payer`.
    pub(super) fn make_room(&mut self, payer: Zone) -> Result<(), Reason> {
        // Both limits may be reached at once.
        for _ in 0..2 {
            let Some(slot) = self.zones.room(payer, self.table.len())? else { return Ok(()) };
            self.remove(slot);
            self.counters.given_up += 1;
        }
        Ok(())
    }

    /// Puts a connection in its place; there has to be room.
    pub(super) fn place(&mut self, conn: Conn) -> ConnId {
        let (src, dst) = (conn.src_binding, conn.dst_binding);
        let peer = conn.tuple(Direction::Reply).src;
        let id = self.table.insert(conn);
        self.zones.add(&mut self.table, id.slot);
        for binding in [src, dst] {
            if binding != NOBODY {
                self.bindings.hold(binding);
            }
        }
        if src != NOBODY && self.settings.filtering == Filtering::AddressDependent {
            self.bindings.peers.add(src, peer);
        }
        self.counters.created += 1;
        id
    }

    /// Removes a connection, and bindings that nothing else uses.
    pub(super) fn remove(&mut self, slot: u32) {
        self.zones.leave(&mut self.table, slot);
        let Some(conn) = self.table.remove(slot) else { return };
        if conn.src_binding != NOBODY && self.settings.filtering == Filtering::AddressDependent {
            self.bindings.peers.remove(conn.src_binding, conn.tuple(Direction::Reply).src);
        }
        for binding in [conn.src_binding, conn.dst_binding] {
            if binding != NOBODY {
                self.bindings.release(binding);
            }
        }
        if self.settings.report_gone {
            for direction in [Direction::Original, Direction::Reply] {
                if conn.zone(direction) == Zone::OUTSIDE {
                    self.note_gone(conn.tuple(direction));
                }
            }
        }
    }

    fn note_gone(&mut self, tuple: Tuple) {
        if self.gone.len() < self.settings.connections as usize {
            self.gone.push(tuple);
        } else {
            self.gone_unsaid = true;
        }
    }

    /// Adds to `out` the tuples, as packets from outside arrive, of connections that ended since the last call: what was
    /// steered here for them need not be any more. `false` if there were more than could be kept: then compare with
    /// [`Tracker::dump`]. Says nothing unless [`Settings::report_gone`](crate::Settings::report_gone) is set.
    pub fn take_gone(&mut self, out: &mut Vec<Tuple>) -> bool {
        out.append(&mut self.gone);
        !std::mem::take(&mut self.gone_unsaid)
    }

    pub(super) fn binding(&self, at: u32) -> Option<&Binding> {
        self.bindings.get(at)
    }
}
