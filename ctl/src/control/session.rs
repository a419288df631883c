//! The session: what makes this host's rows vanish when the host does. Opened once, renewed, opened again when lost;
//! after every (re)connection everything of ours is written again. The id outlives the process, so that a restart is
//! not seen by others.

use std::sync::Arc;
use std::time::Duration;

use store::Op;

use super::Control;
use super::backoff::Backoff;
use crate::model::{HostRecord, key};
use crate::state::Change;

/// Why the session could not be tended.
enum Trouble {
    Store(store::Error),
    /// Another living host has our name.
    Name,
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Trouble {
        Trouble::Store(error)
    }
}

impl Control {
    pub(super) async fn keep_session(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        // Whether everything of ours was written since the store last answered.
        let mut joined = false;
        loop {
            match self.tend_session(&mut joined).await {
                Ok(()) => {
                    self.store_answered();
                    backoff.reset();
                    let _ = tokio::time::timeout(self.settings.session_ttl / 3, self.tend.notified()).await;
                }
                Err(Trouble::Store(error)) => {
                    joined = false;
                    self.store_failed(&error);
                    backoff.wait().await;
                }
                Err(Trouble::Name) => {
                    joined = false;
                    tokio::time::sleep(self.settings.session_ttl / 3).await;
                }
            }
        }
    }

    async fn tend_session(self: &Arc<Self>, joined: &mut bool) -> Result<(), Trouble> {
        let session = self.state().session.clone();
        let renewed = match session {
            Some(session) => match self.store.renew_session(&session).await {
                Ok(()) => Some(session),
                Err(store::Error::SessionLost { .. }) => {
                    self.state().event("session_lost", "store", "our rows are gone; publishing them again");
                    self.state().session = None;
                    None
                }
                Err(error) => return Err(error.into()),
            },
            None => None,
        };
        let session = match renewed {
            Some(session) => session,
            None => {
                *joined = false;
                self.meet_cluster().await?;
                self.evict().await?;
                let name = format!("vswitch {}", self.settings.name);
                let session = self.store.open_session(&name, self.settings.session_ttl).await?;
                self.remember(vec![Change::session(&session)]).await;
                self.state().session = Some(session.clone());
                session
            }
        };
        if !*joined {
            self.meet_cluster().await?;
        }
        self.publish_host(&session).await?;
        self.state().warnings.remove("name_taken");
        if !*joined {
            *joined = true;
            self.restore_leases().await?;
            self.publish_everything();
            // That was a wake-up for this very task: its work is done.
            self.sweep.notify_one();
        }
        Ok(())
    }

    /// Writes our host row, if it is not there as it should be.
    async fn publish_host(&self, session: &str) -> Result<(), Trouble> {
        let key = key::host(&self.settings.name);
        let value = serde_json::to_vec(&self.host_record()).unwrap_or_default();
        let there = self.store.snapshot(&key).await?;
        if there.rows.get(&key).is_some_and(|row| row.session.as_deref() == Some(session) && row.value == value) {
            return Ok(());
        }
        let publish = || Op::Publish { key: key.clone(), value: value.clone(), session: session.into() };
        match self.store.transact(vec![publish()]).await {
            Err(store::Error::Conflict { .. }) => {
                self.evict().await?;
                self.store.transact(vec![publish()]).await?;
            }
            Err(store::Error::SessionLost { .. }) => {
                self.state().session = None;
                self.tend.notify_one();
            }
            other => other?,
        }
        Ok(())
    }

    /// Ends the session of an earlier life of this host, if its rows are still there.
    async fn evict(&self) -> Result<(), Trouble> {
        let key = key::host(&self.settings.name);
        let rows = self.store.snapshot(&key).await?;
        let Some(row) = rows.rows.get(&key) else { return Ok(()) };
        let Some(session) = &row.session else { return Ok(()) };
        if Some(session) == self.state().session.as_ref() {
            return Ok(());
        }
        let other = serde_json::from_slice::<HostRecord>(&row.value).ok();
        let ours = self.host_record();
        if let Some(other) = other.filter(|other| other.vteps != ours.vteps) {
            let vteps: Vec<String> = other.vteps.iter().map(ToString::to_string).collect();
            let text = format!(
                "host {}: another host at {} has that name; give this one another with --name, or wait until the other is gone",
                ours.name,
                vteps.join(", ")
            );
            self.warn("name_taken", text);
            return Err(Trouble::Name);
        }
        self.store.close_session(session).await?;
        Ok(())
    }

    fn host_record(&self) -> HostRecord {
        HostRecord {
            name: self.settings.name.clone(),
            vteps: self.settings.vtep.into_iter().collect(),
            vxlan_port: self.settings.vxlan_port,
            underlay_mtu: self.settings.underlay_mtu.unwrap_or(0),
            incarnation: self.settings.incarnation,
        }
    }

    /// Waits until this host is known to the store, or the time is over. For an orderly start.
    pub async fn joined(&self, most: Duration) {
        let joined = async {
            while !(self.state().connected && self.state().session.is_some()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(most, joined).await;
    }
}
