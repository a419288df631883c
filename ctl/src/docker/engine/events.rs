//! The engine's stream of events: who starts and who is renamed. When it begins, also after the engine was away, what is
//! here is compared with what the engine has. Nobody listens before Docker uses this driver.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::answers::Event;
use super::{Engine, Task};

/// Containers' events only.
const PATH: &str = "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D";

/// A line that is longer is none of the engine's.
const LINE: usize = 1 << 20;

/// The pause before the engine is tried again, at the least and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How soon after the beginning, and how often then, everything is compared.
const COMPARE: (Duration, Duration) = (Duration::from_secs(65), Duration::from_secs(300));

/// What the engine's absence is warned of as.
const TOPIC: &str = "docker";

impl Engine {
    pub(super) async fn keep_listening(self: Arc<Self>) {
        self.plugin.used.notified().await;
        let mut pause = PAUSE.0;
        loop {
            match self.listen(&mut pause).await {
                Ok(()) => {}
                Err(why) => {
                    let text = format!(
                        "Docker's engine at {}: {why}; its containers are called by their sandboxes' ids (--docker-api)",
                        self.socket.display()
                    );
                    self.plugin.control.warn_once(TOPIC, text);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Listens until the stream ends.
    async fn listen(self: &Arc<Self>, pause: &mut Duration) -> Result<(), String> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| error.to_string())?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
        let request = Request::get(PATH).header(HOST, "docker").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| error.to_string())?;
        let hearing = async {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(format!("no events: {}", answer.status()));
            }
            self.plugin.control.no_warning(TOPIC);
            *pause = PAUSE.0;
            self.compared().await;
            let mut next = Instant::now() + COMPARE.0;
            let (mut body, mut line) = (answer.into_body(), Vec::new());
            loop {
                match tokio::time::timeout_at(next, body.frame()).await {
                    Ok(Some(Ok(frame))) => frame.into_data().iter().for_each(|data| self.hear(data, &mut line)),
                    // The engine has ended.
                    Ok(_) => return Ok(()),
                    Err(_) => {
                        self.compared().await;
                        next = Instant::now() + COMPARE.1;
                    }
                }
            }
        };
        tokio::select! {
            heard = hearing => heard,
            ended = connection => ended.map_err(|error| error.to_string()),
        }
    }

    /// Compares to the end, also when the engine goes meanwhile.
    async fn compared(self: &Arc<Self>) {
        let engine = self.clone();
        // It ends early only with the daemon.
        let _ = tokio::spawn(async move { engine.compare().await }).await;
    }

    /// Takes in a piece of the stream; `line` is what of the last line was there before.
    fn hear(&self, data: &[u8], line: &mut Vec<u8>) {
        for &byte in data {
            if byte != b'\n' {
                line.push(byte);
                if line.len() > LINE {
                    line.clear();
                }
                continue;
            }
            if let Ok(Event { kind, action, actor }) = serde_json::from_slice(line)
                && kind == "container"
                && matches!(action.as_str(), "start" | "rename")
            {
                self.plugin.ask(Task::Container(actor.id));
            }
            line.clear();
        }
    }
}
