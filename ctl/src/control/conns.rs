//! Tracked connections with names in place of zones. The engine is asked for a bounded part of its table at a time, so
//! that traffic does not wait for a long list.

use nat::{ConnRow, Zone};

use super::Control;
use super::tables::Names;
use crate::api::{self, Conn, ConnFilter, Error};

/// Slots of the table that are looked at in one go.
const PART: usize = 4096;
/// How what lies behind the host is called.
const OUTSIDE: &str = "outside";

impl Control {
    /// `conn show`: at most `limit` rows from the slot `from` on, and where the next ones begin.
    ///
    /// # Errors
    /// 404 for an unknown network, 503 when the engine does not answer.
    pub async fn conns(&self, filter: ConnFilter, from: u32, limit: usize) -> Result<(Vec<Conn>, Option<u32>), Error> {
        let Some(filter) = self.filter(filter)? else { return Ok((Vec::new(), None)) };
        let (mut rows, mut next) = (Vec::new(), Some(from));
        while let Some(from) = next.filter(|_| rows.len() < limit) {
            let (filter, room) = (filter.clone(), limit - rows.len());
            let (mut more, after) = self
                .ask(move |view| {
                    let (mut found, mut next, mut left) = (Vec::new(), Some(from), PART);
                    // Never more slots than rows that are wanted: then `next` is exact.
                    while let Some(from) = next.filter(|_| left > 0 && found.len() < room) {
                        let budget = left.min(room - found.len());
                        let page = view.switch.conns(view.now, &filter, from, budget);
                        left -= budget;
                        next = page.next;
                        found.extend(page.rows);
                    }
                    (found, next)
                })
                .await?;
            rows.append(&mut more);
            next = after;
        }
        let names = Names::of(&self.state());
        Ok((rows.into_iter().map(|row| named(&names, row)).collect(), next))
    }

    /// `conn flush`: how many ended.
    ///
    /// # Errors
    /// 404 for an unknown network.
    pub async fn flush_conns(&self, filter: ConnFilter) -> Result<usize, Error> {
        let Some(filter) = self.filter(filter)? else { return Ok(0) };
        let flushed = self.plane.flush(filter).await;
        self.state().event("conn_flushed", "connections", format!("{flushed} were ended on request"));
        Ok(flushed)
    }

    /// As the tracker has it; `None`: the network is not in use here, and so nothing matches.
    fn filter(&self, filter: ConnFilter) -> Result<Option<nat::Filter>, Error> {
        let ConnFilter { network, protocol, address, src, dst, port, replied } = filter;
        let zone = match network.as_deref() {
            None => None,
            Some(OUTSIDE) => Some(Zone::OUTSIDE),
            Some(reference) => {
                let state = self.state();
                let id = state.network_id(reference)?;
                let Some(bridge) = state.bridge_of(&id) else { return Ok(None) };
                Some(Zone(bridge.id.0 + 1))
            }
        };
        Ok(Some(nat::Filter { zone, protocol, address, src, dst, port, mark: None, replied }))
    }
}

fn named(names: &Names, row: ConnRow) -> Conn {
    let way = |way: nat::Way| api::Way {
        network: match way.zone {
            Zone::OUTSIDE => OUTSIDE.into(),
            Zone(zone) => names.bridge(switch::BridgeId(zone - 1)),
        },
        src: way.src,
        dst: way.dst,
        src_port: way.src_port,
        dst_port: way.dst_port,
        frames: way.traffic.frames,
        bytes: way.traffic.bytes,
    };
    Conn {
        protocol: protocol(row.protocol),
        state: text(&row.state),
        tcp: row.tcp.as_ref().map(text),
        original: way(row.original),
        reply: way(row.reply),
        assured: row.assured,
        mark: row.mark,
        age_seconds: row.age,
        timeout_seconds: row.timeout,
        bound: row.bound,
    }
}

fn protocol(number: u8) -> String {
    match number {
        wire::protocol::TCP => "tcp".into(),
        wire::protocol::UDP => "udp".into(),
        wire::protocol::ICMP => "icmp".into(),
        wire::protocol::ICMPV6 => "icmpv6".into(),
        other => other.to_string(),
    }
}

/// A name as the tracker writes it.
fn text<T: serde::Serialize>(name: &T) -> String {
    let value = serde_json::to_value(name).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
