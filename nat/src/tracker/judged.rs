//! What rules are told of a packet's connection.

use wire::{Time, protocol};

use super::track::{Fresh, Hit};
use crate::conn::Conn;
use crate::rules::{Connection, Statuses};
use crate::tick::Tick;
use crate::{Address, ConnId, Direction, End, Rewrite, TcpState, Tracker, Tuple, Zone};

impl Tracker {
    /// Whether a connection whose packets have this tuple in that zone, either way, is there and not over.
    pub fn is_open(&self, now: Time, zone: Zone, tuple: &Tuple) -> bool {
        let Some((slot, _)) = self.table.find(zone, tuple) else { return false };
        self.table.at(slot).is_some_and(|conn| Tick::of(now) < conn.expires && !conn.is_over())
    }

    /// Whether a connection is there, and its time is not over: what is idle, or was reset before it was answered, stays in
    /// the table for a while.
    pub fn lives(&self, now: Time, conn: ConnId) -> bool {
        self.table.get(conn).is_some_and(|conn| Tick::of(now) < conn.expires)
    }

    /// Whether a connection's packets stay in their zone as they are.
    pub fn is_plain(&self, conn: ConnId) -> bool {
        self.table.get(conn).is_some_and(Conn::is_plain)
    }

    /// Ends a connection: its first packet was refused.
    pub fn forget(&mut self, conn: ConnId) {
        if self.table.get(conn).is_some() {
            self.remove(conn.slot);
        }
    }

    /// Takes note that a rule has reset a TCP connection: both sides are told that it is over.
    pub fn reset(&mut self, now: Time, conn: ConnId) {
        let Some(known) = self.table.get(conn).filter(|known| known.protocol() == protocol::TCP) else { return };
        let (now, ended) = (Tick::of(now), known.tcp.state == TcpState::Close);
        let expires = now.after(self.settings.timers.tcp_close);
        if let Some(known) = self.table.at_mut(conn.slot).filter(|_| !ended) {
            known.tcp.state = TcpState::Close;
            known.expires = expires;
        }
        self.zones.close(&mut self.table, conn.slot);
    }

    /// The connection of a packet; `related` if the packet is an error about it.
    pub fn judged(&self, now: Time, hit: Hit, related: bool) -> Option<Connection> {
        let conn = self.table.get(hit.conn)?;
        let (original, reply) = (conn.tuple(Direction::Original), conn.tuple(Direction::Reply));
        let back = reply.reverse();
        let mut statuses = Statuses::CONFIRMED.0;
        let assured = conn.is_assured() || conn.is_closed();
        for (has, status) in [(conn.is_replied(), Statuses::SEEN_REPLY), (assured, Statuses::ASSURED)] {
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

impl Connection {
    /// What a packet of its direction becomes.
    pub fn rewrite(&self) -> Rewrite {
        let (came, answers) = self.tuples();
        Rewrite::between(came, answers)
    }

    /// What an ICMP error of its direction becomes, and what it quotes.
    pub fn rewrite_error(&self) -> (Rewrite, Rewrite) {
        let (came, answers) = self.tuples();
        Rewrite::of_error(came, answers)
    }

    fn tuples(&self) -> (Tuple, Tuple) {
        match self.direction {
            Direction::Original => (self.original, self.reply),
            Direction::Reply => (self.reply, self.original),
        }
    }

    /// Gives the connection that a packet would begin another destination.
    pub fn redirect(&mut self, to: End) {
        let Some(address) = Address::new(to.ip) else { return };
        let icmp = matches!(self.original.protocol, protocol::ICMP | protocol::ICMPV6);
        (self.reply.src, self.reply.src_port) = (address, if icmp { self.reply.src_port } else { to.port });
        self.destination_translated = self.reply.reverse() != self.original;
    }
}

impl Fresh {
    /// The connection that a packet would begin.
    pub fn judged(&self) -> Connection {
        Connection::begun_by(self.tuple())
    }
}
