//! The tables as rows, page by page, and the filter that picks them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wire::{Time, protocol};

use crate::conn::{Conn, NOBODY, State, Traffic};
use crate::tick::Tick;
use crate::{Direction, TcpState, Tracker, Tuple, Zone};

/// Which connections: all that every given field matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Either direction comes from this zone.
    pub zone: Option<Zone>,
    /// IP protocol.
    pub protocol: Option<u8>,
    /// Any of the four addresses.
    pub address: Option<IpNet>,
    /// The source, before translation.
    pub src: Option<IpNet>,
    /// The destination, before translation.
    pub dst: Option<IpNet>,
    /// Any of the four ports.
    pub port: Option<u16>,
    /// The number that rules gave it.
    pub mark: Option<u32>,
    /// Whether anything has come back.
    pub replied: Option<bool>,
}

const BOTH: [Direction; 2] = [Direction::Original, Direction::Reply];

impl Filter {
    pub(crate) fn matches(&self, conn: &Conn) -> bool {
        let tuples = BOTH.map(|direction| conn.tuple(direction));
        let original = &tuples[0];
        let ends = |ip: &IpNet| tuples.iter().any(|t| ip.contains(&t.src.ip()) || ip.contains(&t.dst.ip()));
        self.zone.is_none_or(|zone| BOTH.iter().any(|&direction| conn.zone(direction) == zone))
            && self.protocol.is_none_or(|number| conn.protocol() == number)
            && self.address.as_ref().is_none_or(ends)
            && self.src.is_none_or(|net| net.contains(&original.src.ip()))
            && self.dst.is_none_or(|net| net.contains(&original.dst.ip()))
            && self.port.is_none_or(|port| tuples.iter().any(|t| t.src_port == port || t.dst_port == port))
            && self.mark.is_none_or(|mark| conn.mark == mark)
            && self.replied.is_none_or(|replied| conn.is_replied() == replied)
    }
}

/// One direction of a connection. For an ICMP query one port is the identifier, the other the query's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// Where its packets come from.
    pub zone: Zone,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// What has passed.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// A connection as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnRow {
    /// IP protocol.
    pub protocol: u8,
    /// The state that rules see.
    pub state: State,
    /// TCP's own state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpState>,
    /// As packets of the first side arrive.
    pub original: Way,
    /// As answers arrive.
    pub reply: Way,
    /// Whether it is never given up for another, or was not until it ended.
    pub assured: bool,
    /// The number that rules gave it.
    pub mark: u32,
    /// Age in seconds.
    pub age: u32,
    /// Seconds until it is forgotten, if nothing passes.
    pub timeout: u32,
    /// Whether its source has a binding.
    pub bound: bool,
}

/// A binding as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BindingRow {
    /// The zone of its owner.
    pub zone: Zone,
    /// IP protocol.
    pub protocol: u8,
    /// The owner's address.
    pub inside: IpAddr,
    /// The owner's port, or an ICMP query's identifier.
    pub inside_port: u16,
    /// The public address.
    pub public: IpAddr,
    /// The public port.
    pub public_port: u16,
    /// Connections that use it.
    pub connections: u32,
}

/// Some rows, and where the next ones are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Pass this to get more; `None` at the end.
    pub next: Option<u32>,
}

impl Tracker {
    /// The connections that `filter` matches among `budget` slots, starting at `from`.
    pub fn dump(&self, now: Time, filter: &Filter, from: u32, budget: usize) -> Page<ConnRow> {
        let now = Tick::of(now);
        let slots = self.table.slots();
        let end = from.saturating_add(u32::try_from(budget).unwrap_or(u32::MAX)).min(slots);
        let live = |slot| self.table.at(slot).filter(|conn| now < conn.expires && filter.matches(conn));
        let rows = (from..end).filter_map(live).map(|conn| row(conn, now)).collect();
        Page { rows, next: (end < slots).then_some(end) }
    }

    /// All bindings, or those of one zone.
    pub fn dump_bindings(&self, zone: Option<Zone>) -> Vec<BindingRow> {
        let of_zone = self.bindings.iter().filter(|(_, binding)| zone.is_none_or(|zone| binding.inside.zone == zone));
        let row = |(_, binding): (u32, &crate::binding::Binding)| BindingRow {
            zone: binding.inside.zone,
            protocol: binding.public.protocol,
            inside: binding.inside.ip.ip(),
            inside_port: binding.inside.port,
            public: binding.public.ip.ip(),
            public_port: binding.public.port,
            connections: binding.users(),
        };
        of_zone.map(row).collect()
    }
}

fn row(conn: &Conn, now: Tick) -> ConnRow {
    let [original, reply] = BOTH.map(|direction| {
        let Tuple { src, dst, src_port, dst_port, .. } = conn.tuple(direction);
        let traffic = conn.traffic[direction as usize];
        Way { zone: conn.zone(direction), src: src.ip(), dst: dst.ip(), src_port, dst_port, traffic }
    });
    ConnRow {
        protocol: conn.protocol(),
        state: conn.state(),
        tcp: (conn.protocol() == protocol::TCP).then_some(conn.tcp.state),
        original,
        reply,
        assured: conn.is_assured() || conn.is_closed(),
        mark: conn.mark,
        age: now.since(conn.created),
        timeout: conn.expires.since(now),
        bound: conn.src_binding != NOBODY,
    }
}
