//! The mirror: whenever the host's network changes, looks at all of it and brings NICs, local addresses, the engine's
//! routes, and the host's routes to containers in line. Every pass starts from what the kernel has, so that a lost
//! notification or a foreign hand is made good by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use switch::Update;
use tokio::time::sleep;

use super::facts::Facts;
use super::kernel::{self, Monitor};
use super::reach::{self, Wanted};
use super::{Inner, Uplink, link, nics, routes};
use crate::api;
use crate::netlink::Netlink;

/// How long changes are gathered before a look.
const GATHER: Duration = Duration::from_millis(50);
/// A look that takes long (a full table of the Internet) is followed by a rest of so many times that long.
const REST: u32 = 10;
/// Before the next attempt when the kernel does not answer.
const RETRY: Duration = Duration::from_secs(1);
/// Connections of a killed predecessor are held for so long, from the start on.
const INHERITED: Duration = Duration::from_secs(10);

impl Uplink {
    /// Runs until the task is ended. `index` is the host's link.
    pub(super) async fn mirror(self: Arc<Self>, index: u32) {
        let inherited = self.clone();
        let forget = async move {
            sleep(INHERITED).await;
            if let Err(error) = inherited.inner().programs.drop_inherited_mappings() {
                tracing::warn!(%error, "connections of an earlier run are still held");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.follow(index) => {}
            () = forget => {}
        }
    }

    async fn follow(self: &Arc<Self>, index: u32) {
        let mut told = false;
        loop {
            let result = self.listen(index).await;
            if let Err(error) = result
                && !std::mem::replace(&mut told, true)
            {
                tracing::warn!(%error, "the host's interfaces and routes cannot be followed; trying again");
            }
            sleep(RETRY).await;
        }
    }

    /// Follows the changes, as long as the sockets work.
    async fn listen(self: &Arc<Self>, index: u32) -> io::Result<()> {
        let netlink = Netlink::open()?;
        let mut monitor = Monitor::open()?;
        loop {
            let asked = self.asks.load(Ordering::Relaxed);
            monitor.drain();
            let start = Instant::now();
            self.pass(&netlink, index).await?;
            self.answered.send_replace(asked);
            let rest = (start.elapsed() * REST).max(GATHER);
            tokio::select! {
                () = self.ask.notified() => {}
                heard = monitor.changed() => {
                    if !heard {
                        return Err(io::Error::other("the netlink socket was closed"));
                    }
                    tokio::select! {
                        () = sleep(rest) => {}
                        () = self.ask.notified() => {}
                    }
                }
            }
        }
    }

    /// One look, and all that follows from it.
    async fn pass(self: &Arc<Self>, netlink: &Netlink, index: u32) -> io::Result<()> {
        let facts = kernel::facts(netlink).await?;
        let (plan, mtu) = {
            let mut inner = self.inner();
            let steered = self.steer(&mut inner, &facts, index);
            self.inform(&mut inner, &facts, &steered, index);
            self.tend_inlets(&mut inner, &steered);
            let chosen = inner.nics.keys().filter_map(|nic| facts.links.get(nic)).map(|link| link.mtu);
            let mtu = link::fitting_mtu(chosen);
            let mut wanted = Wanted::new();
            for (subnets, mtu) in inner.wanted.values() {
                wanted.extend(subnets.iter().map(|subnet| (*subnet, *mtu)));
            }
            inner.unroutable.retain(|subnet| wanted.contains_key(subnet));
            let plan = reach::plan(&facts, index, &wanted, &inner.installed);
            self.refuse(&mut inner, &plan.refused);
            (plan, mtu)
        };
        link::mend(netlink, &facts, index, mtu).await;
        for hop in plan.remove {
            if let Err(error) = netlink.delete_route(hop).await {
                tracing::warn!(to = %hop.to, %error, "cannot remove a route of the host");
            }
            self.inner().installed.remove(&hop.to);
        }
        for hop in plan.add {
            match netlink.add_route(hop).await {
                Ok(()) => {
                    let mut inner = self.inner();
                    inner.installed.insert(hop.to);
                    inner.unroutable.remove(&hop.to);
                }
                // Tried again with each look, and told once.
                Err(error) if self.inner().unroutable.insert(hop.to) => {
                    tracing::warn!(to = %hop.to, %error, "the host cannot reach containers");
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Attaches the programs to the NICs that there are now, and takes them from those that are none any more. Returns
    /// those that are steered.
    fn steer(&self, inner: &mut Inner, facts: &Facts, index: u32) -> BTreeSet<u32> {
        let chosen = nics::choose(facts, &self.selection, index);
        let attached = inner.programs.attached();
        for gone in attached.difference(&chosen) {
            if let Err(error) = inner.programs.detach(*gone) {
                tracing::warn!(interface = gone, %error, "cannot stop steering");
            }
        }
        let before = std::mem::take(&mut inner.nics);
        for &nic in &chosen {
            let Some(link) = facts.links.get(&nic) else { continue };
            let problem = match attached.contains(&nic) {
                true => None,
                false => inner.programs.attach(nic).err().map(|error| error.to_string()),
            };
            let state = match (inner.programs.are_loaded(), &problem) {
                (true, None) => "up",
                (true, Some(_)) => "failed",
                (false, _) => "unused",
            };
            let addresses = facts.of_link(nic).filter_map(|a| IpNet::new(a.ip, a.net.prefix_len()).ok()).collect();
            let (ifname, mtu, state) = (link.name.clone(), link.mtu, state.to_owned());
            let (ifindex, xdp, no_xdp) = (nic, None, None);
            inner.nics.insert(nic, api::Nic { ifname, ifindex, mtu, addresses, state, problem, xdp, no_xdp });
        }
        self.tell_nics(&before, &inner.nics);
        inner.programs.attached().intersection(&chosen).copied().collect()
    }

    fn tell_nics(&self, before: &BTreeMap<u32, api::Nic>, now: &BTreeMap<u32, api::Nic>) {
        for (index, nic) in now {
            let known = before.get(index).is_some_and(|old| (&old.state, &old.problem) == (&nic.state, &nic.problem));
            let object = || format!("interface {}", nic.ifname);
            match &nic.problem {
                _ if known => {}
                Some(problem) => self.tell("uplink_failed", object(), problem.clone()),
                None if nic.state == "up" => self.tell("uplink_joined", object(), "it leads outside".into()),
                None => {}
            }
        }
        for nic in before.iter().filter(|(index, _)| !now.contains_key(index)).map(|(_, nic)| nic) {
            self.tell("uplink_left", format!("interface {}", nic.ifname), "it leads outside no longer".into());
        }
    }

    /// Tells the programs and the engine what changed in the host's addresses and routes.
    fn inform(&self, inner: &mut Inner, facts: &Facts, steered: &BTreeSet<u32>, index: u32) {
        let locals = facts.locals(Some(index));
        if inner.locals.as_ref() != Some(&locals) {
            match inner.programs.set_locals(&locals) {
                Ok(()) => inner.locals = Some(locals),
                Err(error) => tracing::warn!(%error, "some addresses of this host are not steered"),
            }
        }
        let (addresses, routes) = (facts.locals(None), routes::routes(facts, steered));
        if (&addresses, &routes) != (&inner.addresses, &inner.routes) {
            self.handle.apply(vec![Update::Host { addresses: addresses.clone(), routes: routes.clone() }]);
            (inner.addresses, inner.routes) = (addresses, routes);
        }
    }

    fn refuse(&self, inner: &mut Inner, refused: &BTreeMap<IpNet, IpNet>) {
        for (subnet, route) in refused.iter().filter(|(subnet, _)| !inner.refused.contains_key(*subnet)) {
            let network = inner.wanted.iter().find(|(_, (subnets, _))| subnets.contains(subnet));
            let object = network.map(|(name, _)| format!("network {name}")).unwrap_or_default();
            tracing::warn!("{object}: the host cannot reach {subnet}: its own route {route} overlaps it");
            let text = format!("the host cannot reach {subnet}: its own route {route} overlaps it");
            self.tell("not_routed", object, text);
        }
        inner.refused.clone_from(refused);
    }
}
