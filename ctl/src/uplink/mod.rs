//! The way between this host and the switch: the host's link `vsw0`, programs at the NICs that steer to it what belongs
//! to the switch, and a mirror of the host's addresses and routes for the engine. Everything else of the host passes
//! untouched, and no netfilter rule is written. Whatever fails here leaves the daemon running, without a way out.

mod error;
mod facts;
mod inlets;
mod kernel;
mod link;
mod mirror;
mod nics;
mod programs;
mod reach;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use port::{Form, Published, Steering, Tap};
use switch::turn::Handle;
use switch::{PortId, Route, Update};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use crate::api;
use crate::model::Event;
use programs::Programs;

pub use error::Error;
pub use link::{MAC, NAME, V4, V6};
pub use nics::Selection;

/// Events that wait to be taken in at the most.
const EVENTS: usize = 1_024;
/// How long a network's first endpoint waits for the host's route to it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The link and the programs, made before the data thread starts.
pub struct Made {
    name: String,
    selection: Selection,
    link: Option<(Tap, u32)>,
    programs: Programs,
    steering: Option<Steering>,
    problem: Option<String>,
}

/// Makes the link `name` in the process's namespace and loads the programs, unless nothing is selected. What fails is
/// logged, and shown by [`Uplink::status`].
pub async fn make(name: &str, selection: Selection, form: Form) -> Made {
    let mut made =
        Made { name: name.into(), selection, link: None, programs: Programs::default(), steering: None, problem: None };
    if made.selection == Selection::None {
        return made;
    }
    match link::make(name).await {
        Ok(link) => made.link = Some((link.tap, link.index)),
        Err(error) => {
            tracing::error!("no way to the host and outside: {error}");
            made.problem = Some(error.to_string());
            return made;
        }
    }
    (made.programs, made.steering, made.problem) = Programs::load(name, form);
    if let Some(problem) = &made.problem {
        tracing::error!("no way outside: {problem}");
    }
    if let Some(why) = made.programs.without_xdp() {
        tracing::warn!("what is steered comes by {name} and not by AF_XDP: {why}");
    }
    made
}

impl Made {
    /// The data thread's end of the programs.
    pub fn steering(&mut self) -> Option<Steering> {
        self.steering.take()
    }
}

/// The control plane's end.
pub struct Uplink {
    name: String,
    selection: Selection,
    /// Whether there is a link of the host.
    has_link: AtomicBool,
    handle: Handle,
    inner: Mutex<Inner>,
    events: mpsc::Sender<Event>,
    /// A pass of the mirror is wanted now.
    ask: Notify,
    asks: AtomicU64,
    /// The last ask that was answered.
    answered: watch::Sender<u64>,
    task: Mutex<Option<AbortHandle>>,
}

/// What is known and done.
#[derive(Default)]
struct Inner {
    programs: Programs,
    /// By network: its subnets, and its MTU in bytes.
    wanted: BTreeMap<String, (Vec<IpNet>, u32)>,
    installed: BTreeSet<IpNet>,
    refused: BTreeMap<IpNet, IpNet>,
    /// Subnets whose routes the kernel refused.
    unroutable: BTreeSet<IpNet>,
    nics: BTreeMap<u32, api::Nic>,
    inlets: BTreeMap<u32, inlets::Stage>,
    locals: Option<Vec<IpAddr>>,
    addresses: Vec<IpAddr>,
    routes: Vec<Route>,
    /// Why there is no way out, or not the whole.
    problem: Option<String>,
}

impl Uplink {
    /// Hands the link to the data thread and begins to mirror the host's network: when this returns, the engine knows
    /// it. Events are to be taken from the receiver.
    pub async fn start(made: Made, handle: Handle) -> (Arc<Uplink>, mpsc::Receiver<Event>) {
        let (events, told) = mpsc::channel(EVENTS);
        let Made { name, selection, link, programs, steering: _, problem } = made;
        let inner = Inner { programs, problem, ..Inner::default() };
        let index = link.as_ref().map(|(_, index)| *index);
        let has_link = AtomicBool::new(link.is_some());
        if let Some((tap, _)) = link {
            handle.apply(vec![Update::Uplink { mac: Some(MAC) }]);
            handle.attach(PortId::HOST, tap);
        }
        let uplink = Arc::new(Uplink {
            name,
            selection,
            has_link,
            handle,
            inner: Mutex::new(inner),
            events,
            ask: Notify::new(),
            asks: AtomicU64::new(0),
            answered: watch::Sender::new(0),
            task: Mutex::default(),
        });
        if let Some(index) = index {
            let task = tokio::spawn(uplink.clone().mirror(index));
            *uplink.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
            uplink.pass_now().await;
        }
        (uplink, told)
    }

    /// Leads the host's traffic for a network's subnets to the switch; none: no longer. Done when the routes are made,
    /// or after a moment.
    pub async fn reach(&self, network: &str, subnets: Vec<IpNet>, mtu: u32) {
        let before = {
            let mut inner = self.inner();
            match subnets.is_empty() {
                true => inner.wanted.remove(network),
                false => inner.wanted.insert(network.into(), (subnets.clone(), mtu)),
            }
        };
        if self.has_link() && before.as_ref() != Some(&(subnets, mtu)) {
            self.pass_now().await;
        }
    }

    /// Steers published ports to the switch, or no longer.
    ///
    /// # Errors
    /// The kernel has no room for another rule.
    pub fn publish(
        &self,
        protocol: u8,
        at: Published,
        ports: RangeInclusive<u16>,
        on: bool,
    ) -> Result<(), port::Error> {
        self.inner().programs.publish(protocol, at, ports, on)
    }

    /// All rules that there are have been published: ports that only a predecessor published are no longer steered.
    pub fn all_published(&self) {
        if let Err(error) = self.inner().programs.drop_inherited_ports() {
            tracing::warn!(%error, "ports of an earlier run may still be steered");
        }
    }

    /// Whether there is a link to the host.
    pub fn has_link(&self) -> bool {
        self.has_link.load(Ordering::Relaxed)
    }

    /// What there is, for people.
    pub fn status(&self) -> api::Uplink {
        let inner = self.inner();
        let state = match (self.has_link(), inner.programs.are_loaded()) {
            (true, true) => "up",
            (true, false) => "host_only",
            (false, _) => "off",
        };
        let route = |route: &Route| api::HostRoute { to: route.to, source: route.source, mtu: route.mtu };
        let stats = inner.programs.stats().and_then(|stats| serde_json::to_value(stats).ok());
        let refused = inner.refused.iter().map(|(&subnet, &route)| api::Unreached { subnet, route });
        api::Uplink {
            state: state.into(),
            link: self.has_link().then(|| self.name.clone()),
            form: inner.programs.form(),
            problem: inner.problem.clone(),
            nics: inner.nics.values().map(|nic| with_form(&inner, nic)).chain(self.missing(&inner)).collect(),
            addresses: inner.addresses.clone(),
            routes: inner.routes.iter().map(route).collect(),
            reached: inner.installed.iter().copied().collect(),
            unreached: refused.collect(),
            counters: stats.and_then(|stats| serde_json::from_value(stats).ok()).unwrap_or_default(),
        }
    }

    /// Interfaces that were named and are not there.
    fn missing<'a>(&'a self, inner: &'a Inner) -> impl Iterator<Item = api::Nic> {
        let named = match &self.selection {
            Selection::Named(names) if self.has_link() => names.as_slice(),
            _ => &[],
        };
        let there = |name: &&String| inner.nics.values().any(|nic| nic.ifname == **name);
        named.iter().filter(move |name| !there(name)).map(|name| api::Nic {
            ifname: name.clone(),
            ifindex: 0,
            mtu: 0,
            addresses: Vec::new(),
            state: "missing".into(),
            problem: Some("there is no such interface, or it is down; it joins when it is up".into()),
            xdp: None,
            no_xdp: None,
        })
    }

    /// The link vanished by somebody's hand: what the engine has for it goes nowhere any more.
    pub fn lost(&self) {
        let problem = format!("link {} was deleted: restart vswitchd to have a way to the host and outside", self.name);
        self.handle.apply(vec![Update::Uplink { mac: None }]);
        self.has_link.store(false, Ordering::Relaxed);
        self.stop_mirror();
        self.tell("uplink_lost", format!("link {}", self.name), problem.clone());
        let mut inner = self.inner();
        inner.problem = Some(problem);
        self.close_inlets(&mut inner);
        inner.nics.clear();
        inner.installed.clear();
        inner.routes.clear();
        if let Err(error) = inner.programs.unload() {
            tracing::warn!(%error, "some programs stay at the NICs");
        }
    }

    /// Removes the programs from every interface. The link and its routes go with its descriptor, that is, with the data
    /// thread.
    pub fn stop(&self) {
        self.stop_mirror();
        let mut inner = self.inner();
        self.close_inlets(&mut inner);
        if let Err(error) = inner.programs.unload() {
            tracing::warn!(%error, "some programs stay at the NICs");
        }
    }

    fn stop_mirror(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// Has the mirror look now, and waits until it has.
    async fn pass_now(&self) {
        let number = self.asks.fetch_add(1, Ordering::Relaxed) + 1;
        let mut answered = self.answered.subscribe();
        self.ask.notify_one();
        let _ = tokio::time::timeout(PATIENCE, answered.wait_for(|done| *done >= number)).await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, kind: &'static str, object: String, text: String) {
        // Where nobody takes them, or too many come at once, some are lost: they are for people.
        let _ = self.events.try_send(Event { time: SystemTime::now(), kind, object, text });
    }
}

/// A NIC with what became of the XDP form there.
fn with_form(inner: &Inner, nic: &api::Nic) -> api::Nic {
    let (xdp, no_xdp) = inlets::shown(&inner.inlets, nic.ifindex);
    api::Nic { xdp, no_xdp: no_xdp.or_else(|| inner.programs.without_xdp()), ..nic.clone() }
}
