//! The read-only tables: neighbours, drops, events, leases. Each is one list of the API in columns.

use clap::Args;

use super::error::Error;
use super::session::Session;
use crate::api::{Drop, Event, Lease, Neighbour};
use crate::client::segment;

/// Addresses for which ARP and neighbour discovery are answered
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl neigh\n  vsctl neigh --format json")]
pub(crate) struct Neigh {}

impl Neigh {
    /// Lists them by network and address.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let sort = |rows: &mut Vec<Neighbour>| {
            rows.sort_by(|a, b| (&a.network, a.address).cmp(&(&b.network, b.address)));
        };
        let row = |neighbour: &Neighbour| {
            vec![
                neighbour.network.clone(),
                neighbour.address.to_string(),
                neighbour.mac.to_string(),
                neighbour.port.clone().unwrap_or_default(),
                neighbour.vtep.map(|vtep| vtep.to_string()).unwrap_or_default(),
            ]
        };
        session.list("/v1/neigh", &["NETWORK", "ADDRESS", "MAC", "PORT", "VTEP"], sort, row).await
    }
}

/// Why frames were dropped, and how many
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl drops\n  vsctl drops --all")]
pub(crate) struct Drops {
    /// Also the reasons that never applied
    #[arg(short, long)]
    all: bool,
}

impl Drops {
    /// Lists them, the most frequent first.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let arrange = |rows: &mut Vec<Drop>| {
            rows.retain(|drop| self.all || drop.count > 0);
            rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        };
        let row = |drop: &Drop| vec![drop.reason.clone(), drop.count.to_string(), drop.meaning.clone()];
        session.list("/v1/drops", &["REASON", "COUNT", "MEANING"], arrange, row).await
    }
}

/// What happened lately
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl events\n  vsctl events --format json")]
pub(crate) struct Events {}

impl Events {
    /// Lists the events that vswitchd remembers, in its order.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let row = |event: &Event| {
            vec![to_milliseconds(&event.time), event.kind.clone(), event.object.clone(), event.text.clone()]
        };
        session.list("/v1/events", &["TIME", "KIND", "OBJECT", "TEXT"], |_| (), row).await
    }
}

/// Addresses of a network that are held or rest
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl leases RED")]
pub(crate) struct Leases {
    /// The network: name, ID, or unique prefix of an ID
    network: String,
}

impl Leases {
    /// Lists them by address.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = format!("/v1/leases/{}", segment(&self.network));
        let sort = |rows: &mut Vec<Lease>| rows.sort_by_key(|lease| lease.address);
        let row = |lease: &Lease| {
            vec![lease.address.to_string(), lease.owner.clone(), lease.host.clone(), lease.state.clone()]
        };
        session.list(&path, &["ADDRESS", "OWNER", "HOST", "STATE"], sort, row).await
    }
}

/// RFC 3339 with nanoseconds, cut to milliseconds; any other text as it is.
fn to_milliseconds(time: &str) -> String {
    let cut = || {
        let (date, rest) = time.split_once('.')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, zone) = rest.split_at(digits);
        Some(format!("{date}.{}{zone}", fraction.get(..3)?))
    };
    cut().unwrap_or_else(|| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::to_milliseconds;

    #[test]
    fn times_are_cut_to_milliseconds() {
        assert_eq!(to_milliseconds("2026-11-21T12:07:19.123456789Z"), "2026-11-21T12:07:19.123Z");
        assert_eq!(to_milliseconds("2026-11-21T12:07:19.123456789+01:00"), "2026-11-21T12:07:19.123+01:00");
        for whole in ["2026-11-21T12:07:19Z", "", "x.1", "äö.ü"] {
            assert_eq!(to_milliseconds(whole), whole);
        }
    }
}
