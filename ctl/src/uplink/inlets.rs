//! The NICs' ports of the XDP form. They are opened on threads of their own, because drivers take their time, and handed to
//! the data thread. A NIC that has none, yet or for good, is steered to the link meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::if_indextoname;
use port::{Inlet, Inlets};
use switch::PortId;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{Inner, Uplink};
use crate::api;

/// A NIC that could not have one is asked again by the next look after so long.
const AGAIN: Duration = Duration::from_secs(10);
/// A NIC that leads nowhere any more keeps its port for so long. Drivers take their link down for a moment when a program comes
/// or goes, and who configures the NIC may take its addresses away for that: that must not go round.
const IDLE: Duration = Duration::from_secs(30);

/// How far a NIC has come. By interface index in [`Inner`].
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Being opened; why not, the last time.
    Opening(Option<String>),
    Open(PortId, api::Xdp),
    /// Open, and out of use since then.
    Idle(PortId, api::Xdp, Instant),
    Failed(String, Instant),
}

impl Stage {
    fn port(&self) -> Option<PortId> {
        match self {
            Stage::Open(port, _) | Stage::Idle(port, ..) => Some(*port),
            _ => None,
        }
    }
}

/// What is shown of a NIC: its port, or why it has none.
pub(super) fn shown(stages: &BTreeMap<u32, Stage>, nic: u32) -> (Option<api::Xdp>, Option<String>) {
    match stages.get(&nic) {
        Some(Stage::Open(_, xdp) | Stage::Idle(_, xdp, _)) => (Some(xdp.clone()), None),
        Some(Stage::Opening(why)) => (None, why.clone()),
        Some(Stage::Failed(why, _)) => (None, Some(why.clone())),
        None => (None, None),
    }
}

impl Uplink {
    /// Opens ports for the NICs that are steered, and closes those of others after a while.
    pub(super) fn tend_inlets(self: &Arc<Self>, inner: &mut Inner, steered: &BTreeSet<u32>) {
        let Some(inlets) = inner.programs.inlets() else { return };
        let gone: Vec<u32> = inner.inlets.keys().filter(|nic| !steered.contains(nic)).copied().collect();
        for nic in gone {
            match inner.inlets.remove(&nic) {
                Some(Stage::Open(port, xdp)) => self.rest_inlet(inner, &inlets, nic, (port, xdp)),
                Some(Stage::Idle(port, _, since)) if since.elapsed() >= IDLE => self.close_inlet(inner, nic, port),
                // Whoever opens it looks again afterwards.
                Some(stage @ (Stage::Idle(..) | Stage::Opening(_))) => drop(inner.inlets.insert(nic, stage)),
                // The attempt may be why it is none now: it counts when it is one again.
                Some(stage @ Stage::Failed(_, when)) if when.elapsed() < AGAIN && exists(nic) => {
                    inner.inlets.insert(nic, stage);
                }
                Some(Stage::Failed(..)) | None => {}
            }
        }
        for &nic in steered {
            let before = match inner.inlets.get(&nic) {
                Some(Stage::Opening(_)) => continue,
                Some(Stage::Failed(_, when)) if when.elapsed() < AGAIN => continue,
                Some(Stage::Failed(why, _)) => Some(why.clone()),
                Some(stage @ (Stage::Open(port, xdp) | Stage::Idle(port, xdp, _))) => {
                    let (port, xdp, rested) = (*port, xdp.clone(), matches!(stage, Stage::Idle(..)));
                    match inlets.check(nic) {
                        Ok(()) if rested => self.use_inlet(inner, nic, (port, xdp)),
                        Ok(()) => {}
                        Err(error @ port::Error::UplinkForm { .. }) => {
                            self.close_inlet(inner, nic, port);
                            self.refuse_inlet(inner, nic, None, error.to_string());
                        }
                        // That says nothing about the NIC.
                        Err(error) => {
                            tracing::warn!(%error, "the XDP form of a NIC is as it was, until the next look");
                            self.look_after(AGAIN);
                        }
                    }
                    continue;
                }
                None => None,
            };
            inner.inlets.insert(nic, Stage::Opening(before));
            let (uplink, opener) = (self.clone(), inlets.clone());
            tokio::spawn(async move {
                let opened = spawn_blocking(move || opener.open(nic)).await;
                // An error means that the runtime ends.
                if let Ok(opened) = opened {
                    uplink.opened(nic, opened);
                }
            });
        }
    }

    /// Has the mirror look once more after a while.
    fn look_after(self: &Arc<Self>, time: Duration) {
        let uplink = Arc::downgrade(self);
        tokio::spawn(async move {
            sleep(time).await;
            uplink.upgrade().iter().for_each(|uplink| uplink.ask.notify_one());
        });
    }

    /// Its packets come by its port now.
    fn use_inlet(&self, inner: &mut Inner, nic: u32, (port, xdp): (PortId, api::Xdp)) {
        self.tell("uplink_xdp", named(inner, nic), format!("its packets come by AF_XDP: {xdp}"));
        inner.inlets.insert(nic, Stage::Open(port, xdp));
    }

    /// It leads nowhere now. Its port stays for a while.
    fn rest_inlet(self: &Arc<Self>, inner: &mut Inner, inlets: &Inlets, nic: u32, (port, xdp): (PortId, api::Xdp)) {
        inlets.pause(nic);
        inner.inlets.insert(nic, Stage::Idle(port, xdp, Instant::now()));
        self.look_after(IDLE);
    }

    fn opened(self: &Arc<Self>, nic: u32, opened: Result<Inlet, port::Error>) {
        let mut inner = self.inner();
        let before = match inner.inlets.remove(&nic) {
            Some(Stage::Opening(before)) => before,
            _ => None,
        };
        let Some(inlets) = inner.programs.inlets() else {
            // The programs were unloaded meanwhile. Closing takes a while.
            spawn_blocking(move || drop(opened));
            return;
        };
        match opened {
            Ok(Inlet { port, number }) => {
                let (id, xdp) = (PortId::inlet(number), api::Xdp::from(port.info()));
                self.handle.attach(id, port);
                // The program that came may have taken the link down just now.
                match inner.nics.get(&nic).is_some_and(|nic| nic.state == "up") {
                    true => self.use_inlet(&mut inner, nic, (id, xdp)),
                    false => self.rest_inlet(&mut inner, &inlets, nic, (id, xdp)),
                }
            }
            Err(error) if exists(nic) => self.refuse_inlet(&mut inner, nic, before, error.to_string()),
            Err(_) => {}
        }
    }

    /// Remembers why a NIC has no port, and tells it once.
    fn refuse_inlet(&self, inner: &mut Inner, nic: u32, before: Option<String>, why: String) {
        if before.as_ref() != Some(&why) {
            let object = named(inner, nic);
            tracing::warn!("{object}: what is steered comes by {} and not by AF_XDP: {why}", self.name);
            self.tell("uplink_no_xdp", object, why.clone());
        }
        inner.inlets.insert(nic, Stage::Failed(why, Instant::now()));
    }

    /// Nothing more is caught there, and the port closes.
    fn close_inlet(&self, inner: &mut Inner, nic: u32, port: PortId) {
        inner.programs.inlets().iter().for_each(|inlets: &Arc<Inlets>| inlets.close(nic));
        self.handle.detach(port, || ());
        inner.inlets.remove(&nic);
    }

    /// Closes all ports.
    pub(super) fn close_inlets(&self, inner: &mut Inner) {
        let open: Vec<(u32, PortId)> =
            inner.inlets.iter().filter_map(|(nic, stage)| Some((*nic, stage.port()?))).collect();
        open.into_iter().for_each(|(nic, port)| self.close_inlet(inner, nic, port));
    }

    /// The data thread has lost a NIC's port, because the NIC vanished, or its driver let go of it.
    pub fn inlet_lost(self: &Arc<Self>, port: PortId) {
        let mut inner = self.inner();
        let nic = inner.inlets.iter().find(|(_, stage)| stage.port() == Some(port)).map(|(nic, _)| *nic);
        if let Some(nic) = nic {
            self.close_inlet(&mut inner, nic, port);
            if exists(nic) {
                self.refuse_inlet(&mut inner, nic, None, "its driver let go of the port".into());
                self.look_after(AGAIN);
            }
        }
    }
}

/// Whether an interface with that index is there now.
fn exists(nic: u32) -> bool {
    if_indextoname(nic).is_ok()
}

fn named(inner: &Inner, nic: u32) -> String {
    inner.nics.get(&nic).map_or_else(|| format!("interface {nic}"), |nic| format!("interface {}", nic.ifname))
}
