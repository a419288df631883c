//! What a request for an endpoint asks for, checked as far as that goes without making anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use port::kernel::Feature;
use port::xdp::MOST_MTU;
use wire::Mac;

use super::Control;
use super::address::Want;
use super::state::Endpoint;
use crate::api::{AddPort, Error, LinkType};
use crate::filter;
use crate::model::{self, Driver, Limits, Link, NetworkRecord, PortVlan, Resolver, XdpWish};
use crate::sandbox::Reference;
use crate::state::StoredEndpoint;

/// An endpoint to be made.
pub(super) struct Wish {
    pub(super) record: NetworkRecord,
    pub(super) sandbox: Reference,
    pub(super) name: String,
    pub(super) container_id: String,
    pub(super) ifname: Option<String>,
    pub(super) want: Want,
    pub(super) mac: Option<Mac>,
    pub(super) aliases: Vec<String>,
    pub(super) hostname: Option<String>,
    pub(super) dns: Resolver,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) allow_spoof: bool,
    pub(super) link: Link,
    /// As they were asked for: 0 is none.
    pub(super) limits: Limits,
    pub(super) vlan: Option<PortVlan>,
    /// Whether it must not be there yet.
    pub(super) fresh: bool,
}

impl Wish {
    /// Checks that it asks for nothing that the endpoint is not which is there already.
    pub(super) fn is_met_by(&self, there: &StoredEndpoint) -> Result<(), Error> {
        let conflict = |why: String, remedy: String| Err(Error::conflict(format!("port {}", self.name), why, remedy));
        let (name, network) = (&self.name, &self.record.name);
        let ifname = &there.record.ifname;
        if self.fresh || self.ifname.as_ref().is_some_and(|wanted| wanted != ifname) {
            let why = format!("it is attached to network {network} already, by its link {ifname}");
            return conflict(why, format!("`vsctl del-port {name} {network}` first"));
        }
        if self.link != there.link {
            let why =
                format!("it is attached to network {network} already, by another kind of link ({})", there.link.kind());
            return conflict(why, format!("`vsctl del-port {name} {network}` first"));
        }
        if there.limits.changed(&self.limits) != there.limits {
            let why = format!("it is attached to network {network} already, with other limits");
            return conflict(why, format!("change them with `vsctl set-port {network} {name}`"));
        }
        match (&self.vlan, &there.vlan) {
            (Some(wanted), vlan) if Some(wanted) != vlan.as_ref() => {
                let place = vlan.as_ref().map_or("in no VLAN".to_owned(), |vlan| format!("with VLAN {vlan}"));
                let why = format!("it is attached to network {network} already, {place}");
                conflict(why, format!("change that with `vsctl set-port {network} {name}`"))
            }
            _ => Ok(()),
        }
    }
}

impl Control {
    pub(super) async fn wish(self: &Arc<Self>, ask: AddPort, sandbox: Reference) -> Result<Wish, Error> {
        let object = format!("port {}", ask.name);
        let invalid = |why: &str, remedy: &str| Error::invalid(object.clone(), why, remedy);
        let name_rule = "a letter or digit, then letters, digits, _ . -, at most 128";
        if !model::is_name(&ask.name) {
            return Err(invalid("not a name", name_rule));
        }
        if filter::PLACES.contains(&&*ask.name) {
            let why = "rules call another place by that name";
            return Err(invalid(why, "choose another name"));
        }
        let another = "rules mean somebody else by it (any, host, outside, an address)";
        if !filter::can_name(&ask.name) {
            return Err(invalid(another, "choose another name"));
        }
        if let Some(alias) = ask.aliases.iter().find(|alias| model::is_name(alias) && !filter::can_name(alias)) {
            return Err(invalid(&format!("alias {alias}: {another}"), "choose another alias"));
        }
        let link = link(&ask).map_err(|(why, remedy)| invalid(&why, remedy))?;
        let container_id = ask.container_id.unwrap_or_default();
        if !container_id.is_empty() && !model::is_name(&container_id) {
            return Err(invalid("not a container id", name_rule));
        }
        if let Some(alias) = ask.aliases.iter().find(|alias| !model::is_name(alias)) {
            return Err(invalid(&format!("alias {alias:?} is not a name"), name_rule));
        }
        if let Some(hostname) = ask.hostname.as_ref().filter(|hostname| !model::is_name(hostname)) {
            return Err(invalid(&format!("hostname {hostname:?} is not a name"), name_rule));
        }
        let dns = Resolver { nameservers: ask.dns, search: ask.dns_search, options: ask.dns_options };
        dns.check().map_err(|(why, remedy)| invalid(&why, remedy))?;
        if ask.aliases.len() > 64 {
            return Err(invalid("more than 64 aliases", "give fewer"));
        }
        if let Some((key, value)) =
            ask.labels.iter().find(|(key, value)| !model::is_label_key(key) || !model::is_label_value(value))
        {
            let rule = "KEY: letters, digits, _ . - /, at most 128; VALUE: at most 255 bytes of text";
            return Err(invalid(&format!("label {key:?}={value:?} is none"), rule));
        }
        if ask.labels.len() > 64 {
            return Err(invalid("more than 64 labels", "give fewer"));
        }
        if ask.ip.is_some_and(|ip| !ip.is_ipv4()) || ask.ip6.is_some_and(|ip| !ip.is_ipv6()) {
            return Err(invalid("ip is for IPv4 and ip6 for IPv6", "exchange them"));
        }
        if ask.mac.is_some_and(|mac| !mac.is_station()) {
            return Err(invalid("the MAC address is a group address or zero", "give another"));
        }
        if let Some(ifname) = ask.ifname.as_deref().filter(|name| !crate::sandbox::is_name(name)) {
            return Err(invalid(&format!("{ifname:?} cannot be a link's name"), "1 to 15 letters, digits, _ . -"));
        }
        let id = self.find_network(&ask.network).await?;
        let record = self.state().record(&id)?;
        if matches!(record.driver, Driver::Host | Driver::Null) {
            let why = format!("no link can be attached to network {}", record.name);
            return Err(Error::conflict(object, why, "choose a bridge or overlay network"));
        }
        if record.is_global() && self.settings.vtep.is_none() {
            let why = format!("network {} needs an address for tunnels", record.name);
            return Err(Error::conflict(object, why, "start vswitchd with --advertise IP or --advertise INTERFACE"));
        }
        let mac = match link.interface() {
            Some(iface) => {
                let others = |other: &&Endpoint| other.record().name != ask.name && !other.leaving;
                let state = self.state();
                let holder = state.endpoints.values().filter(others).find(|o| o.stored.link.interface() == Some(iface));
                if let Some(holder) = holder {
                    let (name, why) =
                        (&holder.record().name, format!("interface {iface} is port {}", holder.record().name));
                    return Err(Error::conflict(object, why, format!("`vsctl del-port {name}` first")));
                }
                Some(self.plane.station(iface)?)
            }
            None => ask.mac,
        };
        let long = || self.settings.kernel.contains(&(Feature::AfXdpMultiBuffer, None));
        if matches!(link, Link::Veth { .. }) && record.mtu > MOST_MTU && !long() {
            let why = format!(
                "network {} has an MTU of {}, and a veth link takes {MOST_MTU} at the most before Linux {}",
                record.name,
                record.mtu,
                Feature::AfXdpMultiBuffer.since()
            );
            return Err(Error::conflict(object, why, "leave out --type veth"));
        }
        let want = Want { v4: ask.ip, v6: ask.ip6 };
        if ask.vlan.is_some() {
            carries_vlans(&record, &object)?;
        }
        let checked = Limits::default().changed(&ask.limits).check();
        checked.map_err(|(why, remedy)| Error::invalid(object, why, remedy))?;
        let ifname = link.interface().map(str::to_owned).or(ask.ifname);
        let AddPort { name, aliases, hostname, labels, allow_spoof, limits, vlan, fresh, .. } = ask;
        Ok(Wish {
            record,
            sandbox,
            name,
            container_id,
            ifname,
            want,
            mac,
            aliases,
            hostname,
            dns,
            labels,
            allow_spoof,
            link,
            limits,
            vlan,
            fresh,
        })
    }
}

/// Refuses VLANs in an overlay.
pub(super) fn carries_vlans(record: &NetworkRecord, object: &str) -> Result<(), Error> {
    if record.is_global() {
        let why = format!("network {} is an overlay, which carries no VLANs", record.name);
        return Err(Error::conflict(object, why, "make one overlay network for each VLAN"));
    }
    Ok(())
}

/// What its link is to be, and whether what else is asked for goes with it.
fn link(ask: &AddPort) -> Result<Link, (String, &'static str)> {
    let xdp = XdpWish { mode: ask.xdp_mode, zero_copy: ask.xdp_zero_copy, busy_poll: ask.xdp_busy_poll };
    let refuse = |why: &str, remedy| Err((why.to_owned(), remedy));
    match (ask.link, &ask.iface) {
        (LinkType::Tap, _) if xdp != XdpWish::default() => {
            refuse("a TAP has nothing to do with XDP", "give --type veth, or --type xdp and --iface")
        }
        (LinkType::Tap | LinkType::Veth, Some(_)) => {
            refuse("an interface of the host is a port of another kind", "give --type xdp with --iface")
        }
        (LinkType::Tap, None) => Ok(Link::Tap),
        (LinkType::Veth, None) => Ok(Link::Veth { xdp }),
        (LinkType::Xdp, None) => refuse("an interface of the host is wanted", "give --iface with --type xdp"),
        (LinkType::Xdp, Some(iface)) => {
            let endpoints_own = ask.ip.is_some()
                || ask.ip6.is_some()
                || ask.mac.is_some()
                || ask.ifname.is_some()
                || ask.hostname.is_some()
                || !ask.aliases.is_empty()
                || !ask.publish.is_empty();
            if endpoints_own {
                let why =
                    "an interface of the host is no container: it has no addresses, names or published ports here";
                return refuse(why, "leave out what says them");
            }
            if !crate::sandbox::is_name(iface) {
                return Err((format!("{iface:?} cannot be an interface's name"), "see `ip link`"));
            }
            Ok(Link::Xdp { iface: iface.clone(), xdp })
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::{AddPort, CreateNetwork, LinkType};
    use crate::control::tests::{Host, store};

    #[tokio::test]
    async fn an_mtu_that_a_veth_link_does_not_carry_here_is_refused() {
        let (store, _dir) = store().await;
        // What it says of its kernel is nothing.
        let host = Host::start(1, &store).await;
        for (name, mtu) in [("LAN", 3_818), ("JUMBO", 9_000)] {
            let ask = CreateNetwork { name: name.into(), mtu: Some(mtu), ..CreateNetwork::default() };
            host.control.create_network(ask).await.unwrap();
        }
        let ask = |network: &str, link| {
            host.ask(AddPort { network: network.into(), name: format!("{network}1"), link, ..AddPort::default() })
        };
        ask("LAN", LinkType::Veth).await.unwrap();
        let said = ask("JUMBO", LinkType::Veth).await.unwrap_err();
        assert!(
            said.error.ends_with("an MTU of 9000, and a veth link takes 3818 at the most before Linux 6.6"),
            "{said:?}"
        );
        ask("JUMBO", LinkType::Tap).await.unwrap();
    }
}
