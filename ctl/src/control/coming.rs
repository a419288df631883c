//! Attachments under way: who is coming, from the request's first moment to its answer. A removal waits for whom it
//! means, so that an attachment whose client has died leaves nothing behind it; no two sandboxes take one name; and what
//! a crash of this process interrupts is told at the next start.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Control;
use super::state::State;
use crate::api::{AddPort, Error};
use crate::sandbox::Reference;
use crate::state::{Change, StoredEndpoint};

/// How long a removal waits for attachments under way; by then one has failed, or hangs in a broken kernel.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who is coming.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    name: String,
    container_id: String,
    /// Device and inode of its namespace.
    sandbox: (u64, u64),
}

/// An attachment that was begun, as the state file has it until it is complete or undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Of the endpoint to be.
    pub id: String,
    /// The sandbox's NAME.
    pub name: String,
    /// The runtime's id; may be empty.
    pub container_id: String,
    /// The network's id.
    pub network: String,
}

/// Somebody is coming as long as this lives.
pub(super) struct Ticket {
    control: Arc<Control>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.control.state().coming.remove(&self.number);
        self.control.made_progress();
    }
}

impl Coming {
    /// Whether it takes a name that a container wants.
    pub(super) fn is_another(&self, name: &str, container_id: &str) -> bool {
        self.name == name && self.container_id != container_id
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || !self.container_id.is_empty() && self.container_id == name
    }
}

impl Control {
    /// Announces an attachment and chooses its name: the first one that no other living sandbox has or is about to have.
    ///
    /// # Errors
    /// 409 when another sandbox is being attached under the only name that is left.
    pub(super) fn comes(self: &Arc<Self>, ask: &mut AddPort, sandbox: &Reference) -> Result<Ticket, Error> {
        let own = (sandbox.dev, sandbox.ino);
        let container_id = ask.container_id.clone().unwrap_or_default();
        let number = self.state().next_coming();
        let mut names = vec![std::mem::take(&mut ask.name)];
        names.append(&mut ask.otherwise);
        let mut taken = false;
        // One sandbox has one name, whichever was free when it came first.
        if let Some(at) = own_name(&self.state(), &names, own, &container_id) {
            names.swap(0, at);
        }
        for name in &names {
            let holders: Vec<Reference> = {
                let mut state = self.state();
                taken = state.coming.values().any(|other| other.name == *name && other.sandbox != own);
                if taken {
                    continue;
                }
                let coming = Coming { name: name.clone(), container_id: container_id.clone(), sandbox: own };
                state.coming.insert(number, coming);
                holders(&state, name, own)
            };
            // What cannot be asked is left to the attachment, which says why.
            if names.len() == 1 || !holders.iter().any(|holder| self.plane.alive(holder).unwrap_or(true)) {
                ask.name.clone_from(name);
                return Ok(Ticket { control: self.clone(), number });
            }
        }
        // None is free; the attachment itself says who has the last one.
        ask.name = names.into_iter().next_back().unwrap_or_default();
        if taken {
            self.state().coming.remove(&number);
            let why = "another sandbox is being attached under that name";
            return Err(Error::conflict(format!("port {}", ask.name), why, "choose another name"));
        }
        Ok(Ticket { control: self.clone(), number })
    }

    /// Announces an endpoint of before that is attached again.
    pub(super) fn comes_again(self: &Arc<Self>, stored: &StoredEndpoint) -> Ticket {
        let mut state = self.state();
        let number = state.next_coming();
        let (record, sandbox) = (&stored.record, (stored.sandbox.dev, stored.sandbox.ino));
        let coming = Coming { name: record.name.clone(), container_id: record.container_id.clone(), sandbox };
        state.coming.insert(number, coming);
        Ticket { control: self.clone(), number }
    }

    /// Waits until all that is called `name` and is coming now has arrived or failed. False: it has not, for long.
    pub(super) async fn arrivals_of(&self, name: &str) -> bool {
        let last = self.state().last_coming();
        let settled = |state: &State| !state.coming.range(..=last).any(|(_, coming)| coming.is_called(name));
        self.wait_for(PATIENCE, settled).await;
        settled(&self.state())
    }

    /// Tells what a crash interrupted. Its link went with the process, and its addresses are found unused.
    pub(super) async fn tell_interrupted(&self, begun: Vec<Begun>) {
        let mut changes = Vec::new();
        for attachment in begun {
            let mut state = self.state();
            let network = state.network_name(&attachment.network);
            let text =
                format!("vswitchd ended before network {network} was attached; what was made of it is taken back");
            state.event("attach_interrupted", format!("port {}", attachment.name), text);
            changes.push(Change::not_begun(&attachment.id));
        }
        if !changes.is_empty() {
            self.remember(changes).await;
        }
    }
}

/// Which of some names a sandbox has already.
fn own_name(state: &State, names: &[String], own: (u64, u64), container_id: &str) -> Option<usize> {
    let is_own = |sandbox: (u64, u64), id: &str| sandbox == own || !container_id.is_empty() && id == container_id;
    let attached = state.endpoints.values().filter(|endpoint| !endpoint.leaving).map(|endpoint| {
        let (record, sandbox) = (endpoint.record(), &endpoint.stored.sandbox);
        (&record.name, (sandbox.dev, sandbox.ino), record.container_id.as_str())
    });
    let coming = state.coming.values().map(|other| (&other.name, other.sandbox, other.container_id.as_str()));
    let mut known = attached.chain(coming).filter(|(_, sandbox, id)| is_own(*sandbox, id));
    known.find_map(|(has, ..)| names.iter().position(|name| name == has))
}

/// The namespaces of others that have a name, as their own or as an alias: rules and people mean them by either.
fn holders(state: &State, name: &str, own: (u64, u64)) -> Vec<Reference> {
    let named = state.endpoints.values().filter(|endpoint| {
        let record = endpoint.record();
        !endpoint.leaving && (record.name == name || record.aliases.iter().any(|alias| alias == name))
    });
    let sandboxes = named.map(|endpoint| &endpoint.stored.sandbox);
    sandboxes.filter(|sandbox| (sandbox.dev, sandbox.ino) != own).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::super::tests::{Host, ino, store};
    use super::*;
    use crate::api::{CreateNetwork, Kind};
    use crate::state::Memory;

    async fn lan(host: &Host, name: &str) {
        let network = CreateNetwork { name: name.into(), ..CreateNetwork::default() };
        host.control.create_network(network).await.unwrap();
    }

    /// Of container `container`, in a namespace of its own.
    async fn attach(host: &Host, container: &str, names: &[&str]) -> Result<crate::api::Port, Error> {
        let path = format!("/{container}").into();
        let sandbox = Reference { path, pid: None, dev: 1, ino: ino(container), started: None };
        let ask = AddPort {
            network: "LAN".into(),
            name: names[0].into(),
            otherwise: names[1..].iter().map(|name| (*name).to_owned()).collect(),
            container_id: Some(container.into()),
            fresh: true,
            ..AddPort::default()
        };
        host.control.attach_sandbox(ask, sandbox).await
    }

    #[tokio::test]
    async fn a_removal_waits_for_whom_it_means() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        for called in ["web", "c0ffee"] {
            let (_, removed) =
                tokio::join!(attach(&host, "c0ffee", &["web"]), host.control.remove_ports(called, Some("LAN")));
            removed.unwrap();
            assert!(host.control.ports(None).await.unwrap().is_empty());
        }
        assert!(host.control.state().coming.is_empty());
        attach(&host, "c0ffee", &["web"]).await.unwrap();
        let other = host.control.remove_links("web", None, Some("eth7")).await.unwrap_err();
        assert_eq!(other.kind, Kind::NotFound);
        host.control.remove_links("web", None, Some("eth0")).await.unwrap();
    }

    #[tokio::test]
    async fn a_name_is_one_sandboxs_whoever_comes_at_the_same_time() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        let names = |number: usize| ["web".to_owned(), format!("web.ns{number}")];
        let attaching = (0..8).map(|number| {
            let host = &host;
            async move {
                let names = names(number);
                attach(host, &format!("c{number}"), &names.each_ref().map(String::as_str)).await
            }
        });
        let ports = futures_util::future::join_all(attaching).await;
        let got: BTreeSet<String> = ports.into_iter().map(|port| port.unwrap().name).collect();
        assert!(got.len() == 8 && got.contains("web") && got.contains("web.ns5"), "{got:?}");

        let (one, two) = tokio::join!(attach(&host, "d1", &["db"]), attach(&host, "d2", &["db"]));
        let refused = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(refused.len() == 1 && refused[0].kind == Kind::Conflict, "{refused:?}");
        let living = attach(&host, "d3", &["db", "web"]).await.unwrap_err();
        assert!(living.kind == Kind::Conflict && living.error.contains("lives"), "{}", living.error);
    }

    #[tokio::test]
    async fn no_name_is_anothers_alias() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        for network in ["LAN", "WAN"] {
            lan(&host, network).await;
        }
        let ask = |network: &str, name: &str, aliases: &[&str]| AddPort {
            network: network.into(),
            name: name.into(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..AddPort::default()
        };
        host.ask(ask("LAN", "db-0", &["db"])).await.unwrap();
        let refused = host.ask(ask("WAN", "db", &[])).await.unwrap_err();
        assert!(refused.kind == Kind::Conflict && refused.error.contains("db-0"), "{}", refused.error);
        assert_eq!(attach(&host, "c1", &["db", "db.evil"]).await.unwrap().name, "db.evil");
        // Who had the name first keeps it, in further networks too; an alias may be several sandboxes'.
        host.ask(ask("LAN", "web", &[])).await.unwrap();
        host.ask(ask("LAN", "web-0", &["web", "db"])).await.unwrap();
        host.ask(ask("WAN", "web", &[])).await.unwrap();
        host.control.remove_ports("db-0", None).await.unwrap();
        host.control.remove_ports("web-0", None).await.unwrap();
        host.ask(ask("WAN", "db", &[])).await.unwrap();
    }

    #[tokio::test]
    async fn ports_lead_to_the_name_that_was_free() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        attach(&host, "c1", &["web"]).await.unwrap();
        let sandbox = Reference { path: "/c2".into(), pid: None, dev: 1, ino: ino("c2"), started: None };
        let ask = AddPort {
            network: "LAN".into(),
            name: "web".into(),
            otherwise: vec!["web.test".into()],
            container_id: Some("c2".into()),
            publish: vec!["80".into()],
            ..AddPort::default()
        };
        let port = host.control.attach_published(ask, sandbox).await.unwrap();
        assert_eq!((port.name.as_str(), port.published[0].name.as_str()), ("web.test", "web.test"));
        assert!(host.control.ports(Some("web")).await.unwrap()[0].published.is_empty());
        assert!(Memory::read(&host.disk).unwrap().begun.is_empty());
    }

    #[tokio::test]
    async fn a_sandbox_keeps_the_name_that_it_got_first() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        for network in ["LAN", "WAN"] {
            lan(&host, network).await;
        }
        attach(&host, "c1", &["web"]).await.unwrap();
        assert_eq!(attach(&host, "c2", &["web", "c2"]).await.unwrap().name, "c2");
        host.control.remove_ports("c1", None).await.unwrap();
        let sandbox = Reference { path: "/c2".into(), pid: None, dev: 1, ino: ino("c2"), started: None };
        let ask = AddPort { network: "WAN".into(), name: "web".into(), ..AddPort::default() };
        let ask = AddPort { otherwise: vec!["c2".into()], container_id: Some("c2".into()), ..ask };
        assert_eq!(host.control.attach_sandbox(ask, sandbox).await.unwrap().name, "c2");
    }

    #[tokio::test]
    async fn what_was_attached_but_not_published_is_taken_back_after_a_crash() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        let port = attach(&host, "c0ffee", &["web"]).await.unwrap();
        let (id, name) = (port.endpoint_id, "web".to_owned());
        let begun = Begun { id, name, container_id: "c0ffee".into(), network: port.network_id };
        host.disk.commit(&[Change::begun(&begun)]).unwrap();
        host.control.halt();
        let Host { control, disk, _dir: dir, .. } = host;
        drop(control);
        let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
        assert!(host.control.ports(None).await.unwrap().is_empty());
        let memory = Memory::read(&host.disk).unwrap();
        assert!(memory.begun.is_empty() && memory.endpoints.is_empty());
        let leases = host.control.leases("LAN").await.unwrap();
        assert!(leases.iter().all(|lease| lease.state == "resting"), "{leases:?}");
    }

    #[tokio::test]
    async fn what_must_be_fresh_is_not_there_yet() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        attach(&host, "c0ffee", &["web"]).await.unwrap();
        let again = attach(&host, "c0ffee", &["web"]).await.unwrap_err();
        assert!(again.kind == Kind::Conflict && again.error.contains("by its link eth0"), "{}", again.error);
    }

    #[tokio::test]
    async fn what_was_begun_is_told_after_a_crash_and_only_then() {
        let (store, _dir) = store().await;
        let host = Host::start(1, &store).await;
        lan(&host, "LAN").await;
        let port = attach(&host, "c0ffee", &["web"]).await.unwrap();
        assert!(Memory::read(&host.disk).unwrap().begun.is_empty());
        assert!(attach(&host, "c0ffee", &["no name"]).await.is_err());
        let begun = Begun { id: "1".into(), name: "db".into(), container_id: "c1".into(), network: port.network_id };
        host.disk.commit(&[Change::begun(&begun)]).unwrap();
        assert_eq!(Memory::read(&host.disk).unwrap().begun, [begun]);

        host.control.halt();
        let Host { control, disk, _dir: dir, .. } = host;
        drop(control);
        let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
        let told: Vec<_> = host.control.events().into_iter().filter(|e| e.kind == "attach_interrupted").collect();
        assert!(told.len() == 1 && told[0].object == "port db" && told[0].text.contains("LAN"), "{told:?}");
        assert!(Memory::read(&host.disk).unwrap().begun.is_empty());
        assert_eq!(host.control.ports(None).await.unwrap().len(), 1);
    }
}
