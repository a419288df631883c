//! Our endpoints' rows: one writer for all networks. Changes that come while it writes go into one later write; who
//! waits for a change waits until it is in the store, or until a write that held it has failed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use store::Op;

use super::Control;
use super::backoff::Backoff;
use crate::model::{HostEndpoints, key};

/// How long a request waits for its change to be in the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network's rows, to be written.
struct Draft {
    network: String,
    change: u64,
    record: HostEndpoints,
    parts_before: usize,
}

impl Control {
    pub(super) async fn keep_published(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        loop {
            let drafts = self.drafts();
            if drafts.is_empty() {
                backoff.reset();
                self.publish.notified().await;
                continue;
            }
            let mut failed = false;
            for draft in drafts {
                failed |= !self.publish_draft(draft).await;
            }
            self.made_progress();
            if failed {
                // A session or the store coming back wakes it early.
                let _ = tokio::time::timeout(backoff.next(), self.publish.notified()).await;
            } else {
                backoff.reset();
            }
        }
    }

    fn drafts(&self) -> Vec<Draft> {
        let state = self.state();
        let dirty = state.networks.values().filter(|network| network.publication.done < network.publication.wanted);
        dirty
            .map(|network| {
                let id = &network.record.id;
                let vtep = self.settings.vtep.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
                let endpoints = state.endpoints_in(id).map(|endpoint| endpoint.record().clone()).collect();
                let (host, incarnation) = (self.settings.name.clone(), self.settings.incarnation);
                Draft {
                    network: id.clone(),
                    change: network.publication.wanted,
                    record: HostEndpoints { host, vtep, incarnation, endpoints },
                    parts_before: network.publication.parts,
                }
            })
            .collect()
    }

    /// Writes one network's rows. False: it has to be tried again.
    async fn publish_draft(&self, draft: Draft) -> bool {
        let Some(session) = self.state().session.clone() else {
            self.tried(&draft);
            return false;
        };
        let host = &self.settings.name;
        let row = |part| key::endpoints_of(&draft.network, host, part);
        let parts = if draft.record.endpoints.is_empty() { Vec::new() } else { draft.record.parts() };
        let count = parts.len();
        let mut ops: Vec<Op> = parts
            .into_iter()
            .enumerate()
            .map(|(part, value)| Op::Publish { key: row(part), value, session: session.clone() })
            .collect();
        ops.extend((count..draft.parts_before.max(1)).map(|part| Op::Delete { key: row(part) }));
        match self.store.transact(ops).await {
            Ok(()) => {
                self.store_answered();
                if let Some(network) = self.state().networks.get_mut(&draft.network) {
                    network.publication.done = network.publication.done.max(draft.change);
                    network.publication.tried = network.publication.tried.max(draft.change);
                    network.publication.parts = count;
                }
                true
            }
            Err(error) => {
                match error {
                    store::Error::SessionLost { .. } => self.tend.notify_one(),
                    store::Error::Conflict { key, why } => self.take_over(&key, &why).await,
                    other => self.store_failed(&other),
                }
                self.tried(&draft);
                false
            }
        }
    }

    fn tried(&self, draft: &Draft) {
        if let Some(network) = self.state().networks.get_mut(&draft.network) {
            network.publication.tried = network.publication.tried.max(draft.change);
        }
    }

    /// A row of ours is held by another session: of an earlier life of this host if it has our address.
    async fn take_over(&self, key: &str, why: &str) {
        let Ok(rows) = self.store.snapshot(key).await else { return };
        let Some(row) = rows.rows.get(key) else { return };
        let ours = HostEndpoints::read(&row.value).map_or(true, |row| Some(row.vtep) == self.settings.vtep);
        match &row.session {
            Some(session) if ours && Some(session) != self.state().session.as_ref() => {
                if let Err(error) = self.store.close_session(session).await {
                    self.store_failed(&error);
                }
            }
            _ => self.state().refuse(key, row.version, why),
        }
    }

    /// Waits until the others can see a change of this host's endpoints in a network. Without the store it returns at
    /// once; the change is written later.
    pub(super) async fn announced(&self, network: &str, change: u64) {
        if change == 0 {
            return;
        }
        self.publish.notify_one();
        let id = network.to_owned();
        self.wait_for(PATIENCE, move |state| {
            state.networks.get(&id).is_none_or(|network| {
                network.publication.done >= change || network.publication.tried >= change || !state.connected
            })
        })
        .await;
    }
}
