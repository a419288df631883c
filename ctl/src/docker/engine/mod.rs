//! What only Docker's engine knows, asked for at its API when nobody waits for it: which container an endpoint is of,
//! its names, its process; and, whenever the engine comes back, what of ours it has forgotten. Without the API Docker's
//! networks work, and their containers are called by their sandboxes' ids.

mod answers;
mod compare;
mod events;
mod learn;

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc};

use super::Plugin;
use crate::client::{Client, Error};

/// How long one answer may take. A container that starts answers when it has started.
const DEADLINE: Duration = Duration::from_secs(60);

/// Containers that are asked about at once.
const AT_ONCE: usize = 32;

/// Something to be learnt.
#[derive(Debug)]
pub(super) enum Task {
    /// An endpoint was joined: its id, and Docker's id of its network.
    Joined { endpoint: String, of: String },
    /// A container was started or renamed.
    Container(String),
}

/// The other side of Docker.
pub(super) struct Engine {
    plugin: Arc<Plugin>,
    socket: PathBuf,
    client: Client,
    /// Network id and address of what was reserved and not used at the last comparison.
    unused: Mutex<HashSet<(String, IpAddr)>>,
}

impl Engine {
    /// The engine that listens at `socket`.
    pub(super) fn new(plugin: Arc<Plugin>, socket: PathBuf) -> Arc<Engine> {
        let client = Client::new(&socket).with_deadline(DEADLINE);
        Arc::new(Engine { plugin, socket, client, unused: Mutex::default() })
    }

    /// Learns what is asked for, and follows the engine's events, until dropped.
    pub(super) async fn run(self: Arc<Self>, mut asked: mpsc::Receiver<Task>) {
        for docking in self.plugin.control.dockings() {
            let of = self.plugin.records().endpoints.get(&docking.id).map(|endpoint| endpoint.of.clone());
            of.into_iter().for_each(|of| self.plugin.ask(Task::Joined { endpoint: docking.id.clone(), of }));
        }
        let learning = async {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            while let Some(task) = asked.recv().await {
                let (engine, room) = (self.clone(), room.clone());
                tokio::spawn(async move {
                    match task {
                        Task::Joined { endpoint, of } => engine.follow(&endpoint, &of, &room).await,
                        Task::Container(id) => {
                            let _room = room.acquire().await;
                            engine.learn_container(&id).await;
                        }
                    }
                });
            }
        };
        tokio::join!(learning, self.clone().keep_listening());
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.client.get(path).await.inspect_err(|error| tracing::debug!(%error, path, "Docker's engine"))
    }
}
