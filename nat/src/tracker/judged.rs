//! What rules are told of a packet's connection.

use wire::Time;

use super::track::{Fresh, Hit};
use crate::rules::{Connection, Statuses};
use crate::tick::Tick;
use crate::{Direction, Tracker};

impl Tracker {
    /// The connection of a packet; `related` if the packet is an error about it.
    pub fn judged(&self, now: Time, hit: Hit, related: bool) -> Option<Connection> {
        let conn = self.table.get(hit.conn)?;
        let (original, reply) = (conn.tuple(Direction::Original), conn.tuple(Direction::Reply));
        let back = reply.reverse();
        let mut statuses = Statuses::CONFIRMED.0;
        for (has, status) in [(conn.is_replied(), Statuses::SEEN_REPLY), (conn.is_assured(), Statuses::ASSURED)] {
            statuses |= if has { status.0 } else { 0 };
        }
        Some(Connection {
            established: conn.is_replied(),
            related,
            direction: hit.direction,
            original,
            reply,
            statuses: Statuses(statuses),
            source_translated: (back.src, back.src_port) != (original.src, original.src_port),
            destination_translated: (back.dst, back.dst_port) != (original.dst, original.dst_port),
            mark: conn.mark,
            expires: conn.expires.since(Tick::of(now)),
        })
    }
}

impl Fresh {
    /// The connection that a packet would begin.
    pub fn judged(&self) -> Connection {
        let original = self.tuple();
        Connection {
            established: false,
            related: false,
            direction: Direction::Original,
            original,
            reply: original.reverse(),
            statuses: Statuses(0),
            source_translated: false,
            destination_translated: false,
            mark: 0,
            expires: 0,
        }
    }
}
