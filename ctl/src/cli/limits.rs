//! Limits and VLANs of a port on the command line: of a new one with `add-port`, of a living one with `set-port`.

use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use super::error::Error;
use super::session::{Session, read};
use crate::api;
use crate::client::segment;
use crate::model::units::{packets, rate, show_rate, size};
use crate::model::{Limits, PortVlan, Vid, Vids};

/// What a port may send, get and flood.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Drop what it sends faster than this
    #[arg(long, help_heading = "Limits", value_name = "RATE", value_parser = rate)]
    rate: Option<u64>,
    /// What it may send at once, such as 64kb [default: a tenth of a second of the rate, at least 256kb]
    #[arg(long, help_heading = "Limits", value_name = "SIZE", value_parser = size)]
    burst: Option<u64>,
    /// Delay what it gets faster than this
    #[arg(long, help_heading = "Limits", value_name = "RATE", value_parser = rate)]
    egress_rate: Option<u64>,
    /// What it may get at once, at least 64kb [default: a hundredth of a second of the egress rate]
    #[arg(long, help_heading = "Limits", value_name = "SIZE", value_parser = size)]
    egress_burst: Option<u64>,
    /// Flood no more broadcasts from it, in packets a second
    #[arg(long, help_heading = "Limits", value_name = "PPS", value_parser = packets)]
    storm_broadcast: Option<u64>,
    /// Flood no more multicasts from it
    #[arg(long, help_heading = "Limits", value_name = "PPS", value_parser = packets)]
    storm_multicast: Option<u64>,
    /// Flood no more packets to unknown stations from it
    #[arg(long, help_heading = "Limits", value_name = "PPS", value_parser = packets)]
    storm_unknown: Option<u64>,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Limits {
        let LimitArgs { rate, burst, egress_rate, egress_burst, storm_broadcast, storm_multicast, storm_unknown } =
            args;
        Limits { rate, burst, egress_rate, egress_burst, storm_broadcast, storm_multicast, storm_unknown }
    }
}

/// What a port has to do with VLANs.
#[derive(Debug, Args)]
pub(crate) struct VlanArgs {
    /// Make it an access port of this VLAN: only those of the same VLAN are reached, without tags; none: it is in none
    #[arg(long, help_heading = "VLANs", value_name = "VLAN", conflicts_with = "trunk")]
    vlan: Option<Access>,
    /// Make it a trunk that carries these VLANs with their tags, such as 10,20-29; the source guard is off there
    #[arg(long, help_heading = "VLANs", value_name = "VLANS")]
    trunk: Option<Vids>,
    /// The VLAN of a trunk's frames without a tag; 0 is the network without VLANs [default: they are dropped]
    #[arg(long, help_heading = "VLANs", value_name = "VLAN", requires = "trunk", value_parser = clap::value_parser!(u16).range(0..=4094))]
    native: Option<u16>,
}

/// A VLAN, or none.
#[derive(Clone, Copy, Debug)]
struct Access(Option<Vid>);

impl FromStr for Access {
    type Err = String;

    fn from_str(text: &str) -> Result<Access, String> {
        if text == "none" { Ok(Access(None)) } else { text.parse().map(|vid| Access(Some(vid))) }
    }
}

impl VlanArgs {
    /// Whether it is to be in none.
    fn is_none_wanted(&self) -> bool {
        matches!(self.vlan, Some(Access(None)))
    }
}

impl From<VlanArgs> for Option<PortVlan> {
    fn from(VlanArgs { vlan, trunk, native }: VlanArgs) -> Option<PortVlan> {
        let access = vlan.and_then(|Access(access)| access).map(|access| PortVlan::Access { access });
        access.or_else(|| trunk.map(|trunk| PortVlan::Trunk { trunk, native }))
    }
}

const EXAMPLES: &str = "\
Examples:
  vsctl set-port RED web0 --rate 100mbit --burst 1mb
  vsctl set-port RED web0 --egress-rate 1gbit --storm-broadcast 500
  vsctl set-port RED web0 --rate none
  vsctl set-port LAN db0 --vlan 20
  vsctl set-port LAN vm0 --trunk 10,20-29 --native 5
  vsctl set-port LAN vm0 --vlan none

Rates and sizes are written as with tc: kbit, mbit, gbit; kb, mb. What is not named
stays as it is; none or 0 takes a limit away. A trunk is said whole, with its native VLAN.";

/// Change the limits and VLANs of an endpoint
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SetPort {
    /// The network: name, ID, or unique prefix of an ID
    network: String,
    /// The sandbox's name, or its container's ID
    name: String,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    vlans: VlanArgs,
}

impl SetPort {
    /// Sets them, and shows what they are now.
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let path = format!("/v1/ports/{}?network={}", segment(&self.name), segment(&self.network));
        let untagged = self.vlans.is_none_wanted();
        let change = api::SetPort { limits: self.limits.into(), vlan: self.vlans.into(), untagged };
        if change == api::SetPort::default() {
            return Err(Error::Usage {
                error: "nothing is to be changed".into(),
                remedy: "name a limit or a VLAN: see `vsctl set-port --help`".into(),
            });
        }
        session.expect::<api::Port>()?;
        let answer: Value = session.client.patch(&path, &change).await?;
        if session.wants_data() {
            return session.answer::<api::Port>(&path, &answer);
        }
        let port: api::Port = read(&path, &answer)?;
        let limits = show(&port.limits);
        let limits = if limits.is_empty() { "no limits".to_owned() } else { limits };
        let vlan = port.vlan.as_ref().map(|vlan| format!(", VLAN {vlan}")).unwrap_or_default();
        session.line(&(limits + &vlan))
    }
}

/// Limits in one cell.
pub(crate) fn show(limits: &Limits) -> String {
    let rate = |name: &str, bits: Option<u64>| bits.map(|bits| format!("{name} {}", show_rate(bits)));
    let storm = |name: &str, pps: Option<u64>| pps.map(|pps| format!("{name} {pps}/s"));
    let all = [
        rate("in", limits.rate),
        rate("out", limits.egress_rate),
        storm("broadcast", limits.storm_broadcast),
        storm("multicast", limits.storm_multicast),
        storm("unknown", limits.storm_unknown),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
