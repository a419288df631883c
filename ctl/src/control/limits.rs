//! Changing the limits and VLANs of an endpoint that is attached: remembered first, then in force with the next frame.

use std::sync::Arc;

use switch::{Update, VlanMode};

use super::Control;
use super::attach::port_settings;
use super::wish::carries_vlans;
use crate::api::{Error, Port, SetPort};
use crate::model::PortVlan;
use crate::state::Change;

impl Control {
    /// `set-port`: changes what is named, of a sandbox's endpoint in one network.
    ///
    /// # Errors
    /// 400 when the limits make no sense, 404 when there is no such endpoint, 409 for a VLAN in an overlay.
    pub async fn set_port(self: &Arc<Self>, name: &str, network: &str, change: SetPort) -> Result<Port, Error> {
        let network = self.state().network_id(network)?;
        // One after the other: each starts from what the one before it has left.
        let _gate = self.limiting.lock().await;
        let (id, stored) = {
            let state = self.state();
            let object = format!("port {name} in network {}", state.network_name(&network));
            let endpoint = state.endpoints_in(&network).find(|endpoint| endpoint.is_called(name));
            let endpoint = endpoint.ok_or_else(|| Error::not_found(object.clone(), "see `vsctl ports`"))?;
            let mut stored = endpoint.stored.clone();
            stored.limits = stored.limits.changed(&change.limits);
            stored.limits.check().map_err(|(why, remedy)| Error::invalid(&*object, why, remedy))?;
            if change.untagged && change.vlan.is_some() {
                return Err(Error::invalid(object, "a VLAN and none are wanted", "say one of them"));
            }
            if change.vlan.is_some() {
                carries_vlans(&state.record(&network)?, &object)?;
            }
            stored.vlan = if change.untagged { None } else { change.vlan.or(stored.vlan) };
            (endpoint.record().id.clone(), stored)
        };
        let gone = || Error::not_found(format!("port {name}"), "its sandbox ended meanwhile");
        let written = self.disk.write(vec![Change::endpoint(&stored)]).await;
        written.map_err(|error| Error::failed(format!("port {name}"), error.to_string()))?;
        let known = {
            let mut state = self.state();
            match state.endpoints.get_mut(&id).filter(|endpoint| !endpoint.leaving) {
                Some(endpoint) => {
                    let moves = endpoint.stored.vlan != stored.vlan;
                    (endpoint.stored.limits, endpoint.stored.vlan) = (stored.limits, stored.vlan.clone());
                    let port = endpoint.port;
                    let mut updates = vec![Update::Policing { id: port, limits: stored.limits.policing() }];
                    if let Some(bridge) = state.bridge_of(&network).filter(|_| moves) {
                        // Behind a trunk nobody is guarded.
                        let settings = port_settings(bridge.id, &stored);
                        let mode = stored.vlan.as_ref().map_or(VlanMode::Plain, PortVlan::mode);
                        updates.push(Update::Port { id: port, settings });
                        updates.push(Update::Vlan { id: port, mode });
                    }
                    self.plane.apply(updates);
                    true
                }
                None => false,
            }
        };
        if !known {
            // It was forgotten while it was written down.
            self.remember(vec![Change::no_endpoint(&id)]).await;
            return Err(gone());
        }
        self.port(&id).await.ok_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::api::{AddPort, CreateNetwork, Kind};
    use crate::control::tests::{Host, ino, store};
    use crate::model::Limits;
    use crate::sandbox::Reference;
    use crate::state::Memory;

    async fn attach(host: &Host, ask: AddPort) -> Result<Port, Error> {
        let (path, ino) = (PathBuf::from(format!("/{}", ask.name)), ino(&ask.name));
        let sandbox = Reference { path, pid: None, dev: 1, ino, started: None };
        host.control.attach_sandbox(AddPort { network: "LAN".into(), ..ask }, sandbox).await
    }

    #[tokio::test]
    async fn limits_change_while_attached_and_are_remembered() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let network = CreateNetwork { name: "LAN".into(), ..CreateNetwork::default() };
        host.control.create_network(network).await.unwrap();
        let limits = Limits { rate: Some(10_000_000), storm_unknown: Some(0), ..Limits::default() };
        let port = attach(&host, AddPort { name: "web".into(), limits, ..AddPort::default() }).await.unwrap();
        assert_eq!(port.limits, Limits { rate: Some(10_000_000), ..Limits::default() });

        let wanted = Limits { rate: Some(0), egress_rate: Some(5_000_000), ..Limits::default() };
        let change = |limits| SetPort { limits, ..SetPort::default() };
        let port = host.control.set_port("web", "LAN", change(wanted)).await.unwrap();
        let now = Limits { egress_rate: Some(5_000_000), ..Limits::default() };
        assert_eq!((port.limits, host.control.ports(Some("web")).await.unwrap()[0].limits), (now, now));
        assert_eq!(Memory::read(&host.disk).unwrap().endpoints[0].limits, now);

        let bad = Limits { burst: Some(1_000), ..Limits::default() };
        let refused = host.control.set_port("web", "LAN", change(bad)).await.unwrap_err();
        assert!(refused.kind == Kind::Invalid && refused.object == "port web in network LAN", "{}", refused.error);
        let refused = host.control.set_port("db", "LAN", change(wanted)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::NotFound);
        assert_eq!(host.control.ports(None).await.unwrap()[0].limits, now, "a mistake changes nothing");
        let limits = Limits { rate: Some(1), ..Limits::default() };
        let refused = attach(&host, AddPort { name: "db".into(), limits, ..AddPort::default() }).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
    }

    #[tokio::test]
    async fn the_same_again_with_other_limits_or_vlans_is_a_conflict() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let network = CreateNetwork { name: "LAN".into(), ..CreateNetwork::default() };
        host.control.create_network(network).await.unwrap();
        let vlan = |text: &str| Some(serde_json::from_str(text).unwrap());
        let ask = AddPort {
            name: "web".into(),
            limits: Limits { rate: Some(10_000_000), ..Limits::default() },
            vlan: vlan(r#"{"access":10}"#),
            ..AddPort::default()
        };
        let port = attach(&host, ask.clone()).await.unwrap();
        let bare = AddPort { limits: Limits::default(), vlan: None, ..ask.clone() };
        let none = AddPort { limits: Limits { egress_rate: Some(0), ..Limits::default() }, ..bare.clone() };
        for same in [ask.clone(), bare.clone(), none] {
            assert_eq!(attach(&host, same).await.unwrap().endpoint_id, port.endpoint_id);
        }
        let rate = |rate| AddPort { limits: Limits { rate: Some(rate), ..Limits::default() }, ..bare.clone() };
        let refused = [rate(0), rate(20_000_000)].map(|other| attach(&host, other));
        for refused in refused {
            let refused = refused.await.unwrap_err();
            assert!(refused.kind == Kind::Conflict && refused.remedy.contains("set-port LAN web"), "{refused:?}");
        }
        let other = AddPort { vlan: vlan(r#"{"access":20}"#), ..bare.clone() };
        let refused = attach(&host, other).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict);
        assert!(refused.error.contains("VLAN 10") && refused.remedy.contains("set-port LAN web"), "{}", refused.error);
    }

    #[tokio::test]
    async fn a_port_moves_to_another_vlan_and_back() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let network = CreateNetwork { name: "LAN".into(), ..CreateNetwork::default() };
        host.control.create_network(network).await.unwrap();
        let limits = Limits { rate: Some(10_000_000), ..Limits::default() };
        attach(&host, AddPort { name: "web".into(), limits, ..AddPort::default() }).await.unwrap();
        let vlan = |text: &str| Some(serde_json::from_str(text).unwrap());
        let to = |vlan, untagged| SetPort { vlan, untagged, ..SetPort::default() };
        let (access, trunk) = (vlan(r#"{"access":10}"#), vlan(r#"{"trunk":"10,20-29","native":5}"#));
        // Its place, whether it is guarded, and where its station is.
        for (change, wanted, guard, seen) in [
            (to(access.clone(), false), access.clone(), true, Some(10)),
            (to(trunk.clone(), false), trunk.clone(), false, Some(5)),
            (SetPort::default(), trunk, false, Some(5)),
            (to(None, true), None, true, None),
        ] {
            let port = host.control.set_port("web", "LAN", change).await.unwrap();
            assert_eq!((&port.vlan, port.guard, port.limits), (&wanted, guard, limits));
            assert_eq!(Memory::read(&host.disk).unwrap().endpoints[0].vlan, wanted);
            let row = host.control.fdb().await.unwrap().into_iter().find(|row| row.port.as_deref() == Some("web"));
            assert_eq!(row.map(|row| row.vlan), Some(seen), "{wanted:?}");
        }
        let refused = host.control.set_port("web", "LAN", to(access, true)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
    }

    #[tokio::test]
    async fn vlans_are_for_networks_of_one_host_and_a_trunk_has_no_guard() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        let network = |name: &str, driver: &str| CreateNetwork {
            name: name.into(),
            driver: Some(driver.into()),
            ..CreateNetwork::default()
        };
        host.control.create_network(network("LAN", "bridge")).await.unwrap();
        host.control.create_network(network("WAN", "overlay")).await.unwrap();
        let vlan = |text: &str| Some(serde_json::from_str(text).unwrap());
        let (access, trunk) = (vlan(r#"{"access":10}"#), vlan(r#"{"trunk":"10,20-29","native":0}"#));
        for (name, vlan, guard) in [("a", access.clone(), true), ("t", trunk, false)] {
            let port = attach(&host, AddPort { name: name.into(), vlan: vlan.clone(), ..AddPort::default() }).await;
            let port = port.unwrap();
            assert_eq!((port.vlan, port.guard), (vlan.clone(), guard));
            let remembered = Memory::read(&host.disk).unwrap().endpoints;
            assert!(remembered.iter().any(|stored| stored.record.name == name && stored.vlan == vlan));
        }
        let rows = host.control.fdb().await.unwrap();
        assert!(rows.iter().any(|row| row.port.as_deref() == Some("a") && row.vlan == Some(10)), "{rows:?}");
        assert!(rows.iter().any(|row| row.port.as_deref() == Some("t") && row.vlan.is_none()), "{rows:?}");

        let sandbox = Reference { path: "/o".into(), pid: None, dev: 1, ino: 5, started: None };
        let ask = AddPort { network: "WAN".into(), name: "o".into(), ..AddPort::default() };
        let with_vlan = AddPort { vlan: access.clone(), ..ask.clone() };
        let refused = host.control.attach_sandbox(with_vlan, sandbox.clone()).await.unwrap_err();
        assert!(refused.kind == Kind::Conflict && refused.error.contains("overlay"), "{}", refused.error);
        host.control.attach_sandbox(ask, sandbox).await.unwrap();
        let change = SetPort { vlan: access, ..SetPort::default() };
        let refused = host.control.set_port("o", "WAN", change).await.unwrap_err();
        assert!(refused.kind == Kind::Conflict && refused.error.contains("overlay"), "{}", refused.error);
    }
}
