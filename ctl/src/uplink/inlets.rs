//! The NICs' ports of the XDP form. They are opened on threads of their own, because drivers take their time, and handed to
//! the data thread. A NIC that has none, yet or for good, is steered to the link meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use port::{Inlet, Inlets};
use switch::PortId;
use tokio::task::spawn_blocking;

use super::{Inner, Uplink};
use crate::api;

/// A NIC that could not have one is asked again by the next look after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// How far a NIC has come. By interface index in [`Inner`].
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Being opened; why not, the last time.
    Opening(Option<String>),
    Open(PortId, api::Xdp),
    Failed(String, Instant),
}

/// What is shown of a NIC: its port, or why it has none.
pub(super) fn shown(stages: &BTreeMap<u32, Stage>, nic: u32) -> (Option<api::Xdp>, Option<String>) {
    match stages.get(&nic) {
        Some(Stage::Open(_, xdp)) => (Some(xdp.clone()), None),
        Some(Stage::Opening(why)) => (None, why.clone()),
        Some(Stage::Failed(why, _)) => (None, Some(why.clone())),
        None => (None, None),
    }
}

impl Uplink {
    /// Opens ports for the NICs that are steered and closes those of others.
    pub(super) fn tend_inlets(self: &Arc<Self>, inner: &mut Inner, steered: &BTreeSet<u32>) {
        let Some(inlets) = inner.programs.inlets() else { return };
        let gone: Vec<u32> = inner.inlets.keys().filter(|nic| !steered.contains(nic)).copied().collect();
        for nic in gone {
            match inner.inlets.get(&nic) {
                // Whoever opens it looks again afterwards.
                Some(Stage::Opening(_)) => {}
                Some(Stage::Open(port, _)) => {
                    let port = *port;
                    self.close_inlet(inner, nic, port);
                }
                _ => drop(inner.inlets.remove(&nic)),
            }
        }
        for &nic in steered {
            let before = match inner.inlets.get(&nic) {
                Some(Stage::Opening(_)) => continue,
                Some(Stage::Failed(_, when)) if when.elapsed() < AGAIN => continue,
                Some(Stage::Failed(why, _)) => Some(why.clone()),
                Some(Stage::Open(port, _)) => {
                    let port = *port;
                    if let Err(error) = inlets.check(nic) {
                        self.close_inlet(inner, nic, port);
                        self.refuse_inlet(inner, nic, None, error.to_string());
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

    fn opened(&self, nic: u32, opened: Result<Inlet, port::Error>) {
        let mut inner = self.inner();
        let before = match inner.inlets.remove(&nic) {
            Some(Stage::Opening(before)) => before,
            _ => None,
        };
        let inlets = inner.programs.inlets();
        let is_wanted = inlets.is_some() && inner.nics.get(&nic).is_some_and(|nic| nic.state == "up");
        match opened {
            Ok(Inlet { port, number }) if is_wanted => {
                let (id, xdp) = (PortId::inlet(number), api::Xdp::from(port.info()));
                self.handle.attach(id, port);
                self.tell("uplink_xdp", named(&inner, nic), format!("its packets come by AF_XDP: {xdp}"));
                inner.inlets.insert(nic, Stage::Open(id, xdp));
            }
            Ok(Inlet { port, .. }) => {
                inlets.iter().for_each(|inlets| inlets.close(nic));
                // Closing takes a while.
                spawn_blocking(move || drop(port));
                // It may have come again meanwhile.
                self.ask.notify_one();
            }
            Err(error) if is_wanted => self.refuse_inlet(&mut inner, nic, before, error.to_string()),
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
        let ports = |(nic, stage): (&u32, &Stage)| match stage {
            Stage::Open(port, _) => Some((*nic, *port)),
            _ => None,
        };
        let open: Vec<(u32, PortId)> = inner.inlets.iter().filter_map(ports).collect();
        open.into_iter().for_each(|(nic, port)| self.close_inlet(inner, nic, port));
    }

    /// The data thread has lost a NIC's port, because the NIC vanished, or its driver let go of it.
    pub fn inlet_lost(&self, port: PortId) {
        let mut inner = self.inner();
        let of = |stage: &Stage| matches!(stage, Stage::Open(id, _) if *id == port);
        let nic = inner.inlets.iter().find(|(_, stage)| of(stage)).map(|(nic, _)| *nic);
        if let Some(nic) = nic {
            self.close_inlet(&mut inner, nic, port);
            self.ask.notify_one();
        }
    }
}

fn named(inner: &Inner, nic: u32) -> String {
    inner.nics.get(&nic).map_or_else(|| format!("interface {nic}"), |nic| format!("interface {}", nic.ifname))
}
