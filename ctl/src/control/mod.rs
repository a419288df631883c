//! The control plane: turns requests and the store's rows into intent, and intent into updates of the engine, links in
//! sandboxes and rows of our own. It never sees a frame. What is on this host goes on without the store; what hosts
//! must agree on (networks, global addresses) waits for it.

mod address;
mod attach;
mod backoff;
mod bridge;
mod cluster;
mod coming;
mod conns;
mod describe;
mod detach;
mod dns;
mod dns_query;
mod dock;
mod features;
mod filter;
mod gateway;
mod hosts;
mod inspect;
mod limits;
mod network;
mod networks;
mod plan;
mod plane;
mod publish;
mod published;
mod release;
mod remote;
mod reserve;
mod resolver;
mod restore;
mod routes;
mod session;
mod state;
mod statics;
mod sweep;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod wish;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use store::Store;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::dns::{Inherited, Service, Upstreams};
use crate::publish::Proxy;
use crate::state::{Change, Disk};
use state::State;

pub(crate) use attach::random_mac;
pub use coming::Begun;
pub use describe::Description;
pub use dock::{Dock, Docking, WaysOut};
pub use plane::{Engine, Found, Future, Look, Plane, Plug, Plugged, Spot, refused};
pub use reserve::Reserve;

/// Who this host is, and how patient.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Unique in the cluster.
    pub name: String,
    /// Our VTEP; without one there are no overlay networks here.
    pub vtep: Option<IpAddr>,
    /// UDP port of the underlay.
    pub vxlan_port: u16,
    /// MTU of the interface that has the VTEP's address, in bytes.
    pub underlay_mtu: Option<u32>,
    /// The host's own link to the switch.
    pub host_link: String,
    /// When this process started, in milliseconds since the Unix epoch.
    pub incarnation: u64,
    /// How long the leases of a lost host are kept.
    pub lease_time: Duration,
    /// How long a released address is kept from others.
    pub rest: Duration,
    /// A session's time to live; renewed at a third of it.
    pub session_ttl: Duration,
    /// Whom to ask for names of the outside.
    pub upstreams: Upstreams,
    /// Whose search domains and options containers get.
    pub resolv_conf: PathBuf,
    /// What the kernel has of what came late.
    pub kernel: Vec<port::kernel::Outcome>,
}

impl Settings {
    /// A host without tunnels, with the usual patience.
    pub fn new(name: &str) -> Settings {
        Settings {
            name: name.into(),
            vtep: None,
            vxlan_port: vxlan::PORT,
            underlay_mtu: None,
            host_link: crate::uplink::NAME.into(),
            incarnation: crate::model::now_millis(),
            lease_time: Duration::from_secs(600),
            rest: Duration::from_secs(60),
            session_ttl: Duration::from_secs(15),
            upstreams: Upstreams::default(),
            resolv_conf: crate::dns::RESOLV_CONF.into(),
            kernel: Vec::new(),
        }
    }
}

/// The control plane of one host.
pub struct Control {
    settings: Settings,
    store: Arc<dyn Store>,
    plane: Arc<dyn Plane>,
    disk: Disk,
    state: Mutex<State>,
    started: Instant,
    /// Something is to be published.
    publish: Notify,
    /// Something is to be released.
    release: Notify,
    /// The session is to be looked at now.
    tend: Notify,
    /// Leases are to be looked through now.
    sweep: Notify,
    /// Counts what publisher and releaser did, for those who wait.
    progress: watch::Sender<u64>,
    /// The host's sockets of published ports, and who serves them.
    proxy: Proxy,
    /// One change of what is published at a time.
    publishing: tokio::sync::Mutex<()>,
    /// A published port could not be bound.
    rebind: Notify,
    /// Somebody has come or gone, here or on another host.
    renamed: Notify,
    /// One change of packet filters at a time.
    filtering: tokio::sync::Mutex<()>,
    limiting: tokio::sync::Mutex<()>,
    /// Whom names of the outside are asked for.
    dns: crate::dns::Handle,
    /// Until it runs.
    dns_service: Mutex<Option<Service>>,
    /// What containers take over of the host's resolver.
    inherited: tokio::sync::Mutex<Inherited>,
    /// One recovery at a time.
    recovery: tokio::sync::Mutex<()>,
    tasks: Mutex<JoinSet<()>>,
}

impl Control {
    /// A control plane that knows nothing yet; [`Control::restore`] and [`Control::run`] come next.
    pub fn new(settings: Settings, store: Arc<dyn Store>, plane: Arc<dyn Plane>, disk: Disk) -> Arc<Control> {
        let (dns, dns_service) = Service::new(settings.upstreams.clone());
        Arc::new(Control {
            dns,
            dns_service: Mutex::new(Some(dns_service)),
            inherited: tokio::sync::Mutex::new(Inherited::new(&settings.resolv_conf)),
            proxy: Proxy::by(&settings.host_link),
            settings,
            store,
            plane,
            disk,
            state: Mutex::default(),
            started: Instant::now(),
            publish: Notify::new(),
            release: Notify::new(),
            tend: Notify::new(),
            sweep: Notify::new(),
            progress: watch::Sender::new(0),
            publishing: tokio::sync::Mutex::default(),
            rebind: Notify::new(),
            renamed: Notify::new(),
            filtering: tokio::sync::Mutex::default(),
            limiting: tokio::sync::Mutex::default(),
            recovery: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Starts to follow the store. Needs a tokio runtime.
    pub fn run(self: &Arc<Self>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(self.clone().keep_session());
        tasks.spawn(self.clone().follow_cluster());
        tasks.spawn(self.clone().follow_networks());
        tasks.spawn(self.clone().follow_hosts());
        tasks.spawn(self.clone().keep_published());
        tasks.spawn(self.clone().keep_released());
        tasks.spawn(self.clone().keep_swept());
        tasks.spawn(self.clone().keep_bound());
        tasks.spawn(self.clone().keep_names());
        tasks.spawn(self.clone().keep_stranded());
        let service = self.dns_service.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(service) = service {
            tasks.spawn(service.run(Arc::downgrade(self)));
        }
    }

    /// Ends in order: no task writes any more, the session is closed so that other hosts forget this one at once.
    pub async fn stop(&self) {
        self.halt();
        // A request that hangs does not hold up the end.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.keep_counters()).await;
        let session = self.state().session.take();
        if let Some(session) = session {
            let close = self.store.close_session(&session);
            match tokio::time::timeout(Duration::from_secs(2), close).await {
                Ok(Ok(())) => {
                    if let Err(error) = self.disk.commit(&[Change::no_session()]) {
                        tracing::warn!(%error, "the session is still remembered");
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "the session could not be closed; it ends by itself"),
                Err(_) => tracing::warn!("the store did not answer; the session ends by itself"),
            }
        }
    }

    /// Ends all tasks, as when the process dies.
    fn halt(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for network in self.state().networks.values_mut() {
            if let Some(sync) = network.bridge.as_mut().and_then(|bridge| bridge.sync.take()) {
                sync.abort();
            }
        }
    }

    /// This host's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state, for a short moment. A panic elsewhere does not make it unusable: every change is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what an operator should know.
    pub fn warn(&self, topic: &'static str, text: String) {
        tracing::warn!("{text}");
        self.state().warnings.insert(topic, text);
    }

    /// The same, unless it says so already.
    pub fn warn_once(&self, topic: &'static str, text: String) {
        if self.state().warnings.get(topic) != Some(&text) {
            self.warn(topic, text);
        }
    }

    /// That is over.
    pub fn no_warning(&self, topic: &'static str) {
        self.state().warnings.remove(topic);
    }

    /// Takes in what another part of the daemon has to tell.
    pub fn tell(&self, event: crate::model::Event) {
        self.state().event(event.kind, event.object, event.text);
    }

    /// The store did what it was asked.
    fn store_answered(&self) {
        let mut state = self.state();
        if !state.connected {
            state.connected = true;
            let text = format!("{} answers", self.store.describe());
            state.event("store_connected", "store", text);
        }
        state.last_error = None;
    }

    /// The store did not. Whatever is known stays as it is.
    fn store_failed(&self, error: &store::Error) {
        let mut state = self.state();
        let text = error.to_string();
        if error.is_temporary() {
            if state.connected || state.last_error.is_none() {
                state.event("store_lost", "store", text.clone());
            }
            state.connected = false;
        } else if state.refusal.as_ref() != Some(&text) {
            state.refusal = Some(text.clone());
            state.event("store_refused", "store", text.clone());
        }
        state.last_error = Some(text);
        drop(state);
        self.made_progress();
    }

    /// Writes to the state file; a failure is a warning, because what it is about has happened already.
    async fn remember(&self, changes: Vec<Change>) {
        if let Err(error) = self.disk.write(changes).await {
            self.warn("state_file", error.to_string());
        }
    }

    /// Waits until a task has made progress that satisfies `done`, or the time is over.
    async fn wait_for(&self, most: Duration, done: impl Fn(&State) -> bool) {
        let mut progress = self.progress.subscribe();
        let satisfied = async {
            while !done(&self.state()) {
                if progress.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(most, satisfied).await;
    }

    fn made_progress(&self) {
        self.progress.send_modify(|count| *count += 1);
    }
}
