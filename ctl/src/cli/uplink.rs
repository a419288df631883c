//! `vsctl uplink`: how this host and the outside are reached; its first lines also in `vsctl show`.

use clap::Args;
use serde_json::Value;

use super::error::Error;
use super::session::{Session, read};
use super::style::Style;
use super::table::{Table, printable};
use crate::api;

const PATH: &str = "/v1/uplink";

/// The way outside: interfaces, routes, counters of the steering
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl uplink\n  vsctl uplink --format json")]
pub(crate) struct Uplink {}

impl Uplink {
    /// Prints the page.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let answer: Value = session.client.get(PATH).await?;
        if session.wants_data() {
            return session.data(&answer);
        }
        let uplink: api::Uplink = read(PATH, &answer)?;
        for (term, text) in facts(&uplink, session.style) {
            session.line(&format!("{term:<12}{text}"))?;
        }
        let mut routes = Table::new(&["ROUTE", "SOURCE", "MTU"]);
        for route in &uplink.routes {
            routes.row(vec![route.to.to_string(), route.source.to_string(), route.mtu.to_string()]);
        }
        let mut counters = Table::new(&["COUNTER", "COUNT"]);
        for (name, count) in &uplink.counters {
            counters.row(vec![name.clone(), count.to_string()]);
        }
        for table in [routes, counters] {
            session.line("")?;
            session.table(&table, 0)?;
        }
        Ok(())
    }
}

/// Terms and what they are on this host. Only what needs attention is coloured.
pub(crate) fn facts(uplink: &api::Uplink, style: Style) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let form = uplink.form.as_deref().unwrap_or_default();
    for nic in &uplink.nics {
        let name = printable(&nic.ifname);
        let text = match (nic.state.as_str(), &nic.problem) {
            ("up", _) => match &nic.xdp {
                Some(xdp) => format!("{name} {}, MTU {}, xdp ({xdp})", addresses(nic), nic.mtu),
                None => format!("{name} {}, MTU {}, {form}", addresses(nic), nic.mtu),
            },
            (_, Some(problem)) => style.alarm(&format!("{name}: {}", printable(problem))),
            (_, None) => continue,
        };
        facts.push(("Uplink", text));
        if let Some(why) = &nic.no_xdp {
            facts.push(("Uplink", style.alarm(&format!("{name} not by AF_XDP: {}", printable(why)))));
        }
    }
    match &uplink.problem {
        Some(problem) => facts.push(("Uplink", style.alarm(&printable(problem)))),
        None if uplink.state == "off" => facts.push(("Uplink", "none".into())),
        None if facts.is_empty() => {
            facts.push(("Uplink", style.alarm("no interface leads outside; it joins when it has an address")));
        }
        None => {}
    }
    if let Some(link) = &uplink.link {
        let reached: Vec<String> = uplink.reached.iter().map(ToString::to_string).collect();
        let reached = if reached.is_empty() { "no networks".into() } else { reached.join(", ") };
        facts.push(("Host link", format!("{} to {reached}", printable(link))));
    }
    for unreached in &uplink.unreached {
        let text = format!("{} is not reached: the host's route {} overlaps it", unreached.subnet, unreached.route);
        facts.push(("Host link", style.alarm(&text)));
    }
    facts
}

fn addresses(nic: &api::Nic) -> String {
    let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() { "without address".into() } else { addresses.join(", ") }
}
