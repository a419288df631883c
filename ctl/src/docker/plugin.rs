//! The plugin's state: what Docker was told, written down before it is told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};

use super::engine::Task;
use super::record::Records;
use crate::api::Error;
use crate::control::Control;
use crate::state::{Change, Disk};

/// How long an address that was granted waits for its endpoint before it counts as forgotten.
pub(super) const GRANTED: Duration = Duration::from_secs(60);

/// Tasks for the engine's side that wait at the most; more are made good by the next comparison with the engine.
const TASKS: usize = 1024;

/// Answers Docker's engine.
pub(super) struct Plugin {
    pub(super) control: Arc<Control>,
    disk: Disk,
    records: Mutex<Records>,
    /// Network id and address of what was granted a moment ago.
    granted: Mutex<HashMap<(String, IpAddr), Instant>>,
    /// One change of networks and pools at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    tasks: mpsc::Sender<Task>,
    /// Docker uses this driver: its engine is worth listening to.
    pub(super) used: Notify,
}

impl Plugin {
    /// With what was remembered; and what is to be asked of the engine, for [`super::engine::Engine`].
    pub(super) fn new(control: Arc<Control>, disk: Disk, records: Records) -> (Arc<Plugin>, mpsc::Receiver<Task>) {
        let (tasks, asked) = mpsc::channel(TASKS);
        let used = Notify::new();
        if !records.networks.is_empty() {
            used.notify_one();
        }
        let plugin = Plugin {
            control,
            disk,
            records: Mutex::new(records),
            granted: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            tasks,
            used,
        };
        (Arc::new(plugin), asked)
    }

    /// The records, for a short moment.
    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what Docker is about to be told.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let written = self.disk.write(changes).await;
        written.map_err(|error| Error::failed("docker", error.to_string()))
    }

    /// Something is to be learnt from the engine, soon.
    pub(super) fn ask(&self, task: Task) {
        // A full queue is made good by the next comparison.
        let _ = self.tasks.try_send(task);
    }

    /// An address was granted to an endpoint that Docker will tell of.
    pub(super) fn grant(&self, network: &str, address: IpAddr) {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.retain(|_, since| since.elapsed() < GRANTED);
        granted.insert((network.to_owned(), address), Instant::now());
    }

    /// The address has its endpoint, or none.
    pub(super) fn settle_grant(&self, network: &str, address: IpAddr) {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.remove(&(network.to_owned(), address));
    }

    /// Whether a reserved address is in use by an endpoint of Docker's, or about to be.
    pub(super) fn is_wanted(&self, network: &str, address: IpAddr) -> bool {
        let key = (network.to_owned(), address);
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = granted.get(&key).is_some_and(|since| since.elapsed() < GRANTED);
        drop(granted);
        let records = self.records();
        let mut here = records.endpoints.values().filter(|endpoint| endpoint.network == network);
        fresh || here.any(|endpoint| endpoint.addresses.iter().any(|net| net.addr() == address))
    }
}
