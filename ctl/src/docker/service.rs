//! The plugin as a part of the daemon: what runs for Docker, from the daemon's start to its end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::engine::Engine;
use super::plugin::Plugin;
use super::record::Records;
use super::server;
use crate::api::Listener;
use crate::control::Control;
use crate::state::Disk;

/// Calls under way get so long at the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// What answers Docker, and what asks it.
pub struct Service {
    asking: JoinHandle<()>,
    serving: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Service {
    /// Starts both, with what was remembered; `api` is the socket of Docker's engine. Needs a tokio runtime.
    pub fn start(control: Arc<Control>, disk: Disk, records: Records, listener: Listener, api: PathBuf) -> Service {
        let (plugin, asked) = Plugin::new(control, disk, records);
        let engine = Engine::new(plugin.clone(), api);
        let (stop, stopped) = oneshot::channel();
        let serving = server::serve(listener, plugin, async { drop(stopped.await) });
        Service { asking: tokio::spawn(engine.run(asked)), serving: tokio::spawn(serving), stop }
    }

    /// Ends both; calls under way are answered.
    pub async fn stop(self) {
        self.asking.abort();
        drop(self.stop);
        // One that hangs does not hold up the end.
        let _ = tokio::time::timeout(PATIENCE, self.serving).await;
    }
}
