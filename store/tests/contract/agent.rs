//! A Consul agent of a test's own on free ports of the loopback; killed when dropped, also by a panic.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running agent and what is needed to start it again.
pub(crate) struct Agent {
    process: Child,
    arguments: Vec<String>,
    log: PathBuf,
    /// Of its HTTP API.
    pub(crate) port: u16,
    /// Data, certificates and log; removed at the end.
    pub(crate) folder: tempfile::TempDir,
}

impl Agent {
    /// An agent in memory, with more pieces of configuration. None: no consul, and that is known.
    pub(crate) async fn start(configuration: &[&str]) -> Option<Agent> {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, &["-dev"], configuration).await
    }

    /// An agent that finds its data again after a restart.
    pub(crate) async fn start_with_data() -> Option<Agent> {
        let folder = tempfile::tempdir().unwrap();
        let data = format!("-data-dir={}", folder.path().join("data").display());
        Self::start_in(folder, &["-server", "-bootstrap-expect=1", &data], &[]).await
    }

    /// An agent with files that were prepared in a folder.
    pub(crate) async fn start_in(folder: tempfile::TempDir, mode: &[&str], configuration: &[&str]) -> Option<Agent> {
        if !is_installed() {
            return None;
        }
        let log = folder.path().join("consul.log");
        let mut folder = Some(folder);
        // Another process may take a port between its choice and its use.
        for _ in 0..5 {
            let [http, server, lan, wan, https] = free_ports();
            let mut arguments: Vec<String> = ["agent", "-bind=127.0.0.1", "-client=127.0.0.1"]
                .iter()
                .chain(mode)
                .map(|argument| (*argument).to_owned())
                .collect();
            arguments.extend([
                format!("-http-port={http}"),
                format!("-server-port={server}"),
                format!("-serf-lan-port={lan}"),
                format!("-serf-wan-port={wan}"),
                "-dns-port=-1".to_owned(),
                "-grpc-port=-1".to_owned(),
                format!("-node=node{http}"),
                "-hcl=session_ttl_min = \"1s\"".to_owned(),
                "-hcl=performance { raft_multiplier = 1 }".to_owned(),
            ]);
            for piece in configuration {
                arguments.push(format!("-hcl={}", piece.replace("HTTPS", &https.to_string())));
            }
            let mut agent = Agent {
                process: spawn(&arguments, &log),
                arguments,
                log: log.clone(),
                port: http,
                folder: folder.take().unwrap(),
            };
            if agent.wait_until_it_leads().await {
                return Some(agent);
            }
            agent.kill();
            folder = Some(std::mem::replace(&mut agent.folder, tempfile::tempdir().unwrap()));
        }
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        panic!("consul did not start:\n{log}");
    }

    /// The URL of a store below a prefix.
    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("consul://127.0.0.1:{}/{prefix}", self.port)
    }

    /// The port of HTTPS, where the configuration asked for it.
    pub(crate) fn https_port(&self) -> u16 {
        let piece = self.arguments.iter().find_map(|argument| argument.split_once("https = ")).unwrap();
        let digits: String = piece.1.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again with the same ports and data.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.arguments, &self.log);
        assert!(self.wait_until_it_leads().await, "consul did not come back");
    }

    /// Runs `consul` against it.
    pub(crate) fn consul(&self, arguments: &[&str]) {
        let status = Command::new("consul")
            .args(arguments)
            .env("CONSUL_HTTP_ADDR", format!("127.0.0.1:{}", self.port))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "consul {arguments:?}");
    }

    /// Writes a key by Consul's own API, however strange. `path` is already escaped.
    pub(crate) async fn put(&self, path: &str, value: Vec<u8>) {
        let url = format!("http://127.0.0.1:{}/v1/kv/{path}", self.port);
        let answer = http().put(url).body(value).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    async fn wait_until_it_leads(&mut self) -> bool {
        let url = format!("http://127.0.0.1:{}/v1/catalog/nodes", self.port);
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            // A session needs the node in the catalogue, which follows a leader. With ACLs the list is empty. By its
            // name, as the answer may come from somebody else's agent on this port, until ours ends over it.
            if let Ok(answer) = http().get(&url).send().await
                && answer.status() == 200
                && let Ok(text) = answer.text().await
                && (text.contains(&format!("\"node{}\"", self.port)) || self.has_acl())
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    fn has_acl(&self) -> bool {
        self.arguments.iter().any(|argument| argument.contains("acl"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A plain HTTP client; `store` has chosen the provider of cryptography, or this does.
fn http() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(5)).build().unwrap()
}

fn is_installed() -> bool {
    let found =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|p| p.join("consul").is_file()));
    let skip = std::env::var("VSWITCH_SKIP_CONSUL").is_ok_and(|value| value == "1");
    assert!(
        found || skip,
        "there is no consul on PATH: run .ci/setup, which installs it (or set VSWITCH_SKIP_CONSUL=1)"
    );
    if !found {
        eprintln!("left out, by VSWITCH_SKIP_CONSUL=1: no consul on PATH");
    }
    found
}

fn spawn(arguments: &[String], log: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    Command::new("consul")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Ports that nobody listens on; all different, as all are held until the last is chosen.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
