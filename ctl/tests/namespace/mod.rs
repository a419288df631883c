//! A network namespace for a test, held by one sleeping process; and looking into it with the system's own tools.
//! Needs root. It ends with the value, whatever the test's end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A process that sleeps in a network namespace of its own.
pub(crate) struct Sleeper {
    child: Child,
}

impl Sleeper {
    /// Starts one, and waits until it has its namespace.
    pub(crate) fn start() -> Sleeper {
        let child = Command::new("unshare").args(["--net", "sleep", "1000"]).stdin(Stdio::null()).spawn().unwrap();
        let sleeper = Sleeper { child };
        let inode = |path: String| fs::metadata(path).map(|found| found.ino()).ok();
        let own = inode("/proc/self/ns/net".into());
        eventually("the process is in its namespace (are the tests run as root?)", || {
            inode(format!("/proc/{}/ns/net", sleeper.pid())).is_some_and(|its| Some(its) != own)
        });
        sleeper
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL, and its namespace with it.
    #[allow(dead_code, reason = "not every test binary ends one early")]
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Runs a command in the namespace; it has to succeed.
    #[allow(dead_code, reason = "not every test binary looks inside")]
    pub(crate) fn run(&self, command: &str) -> String {
        let output = Command::new("nsenter")
            .args(["--net", "--target", &self.pid().to_string()])
            .args(command.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `ip -json` says about link `name`; `None` when there is none.
    #[allow(dead_code, reason = "not every test binary looks inside")]
    pub(crate) fn link(&self, name: &str) -> Option<Value> {
        let links: Value = serde_json::from_str(&self.run("ip -json -details address show")).unwrap();
        links.as_array().unwrap().iter().find(|link| link["ifname"] == name).cloned()
    }

    /// The names of all links, sorted.
    #[allow(dead_code, reason = "not every test binary looks inside")]
    pub(crate) fn links(&self) -> Vec<String> {
        let links: Value = serde_json::from_str(&self.run("ip -json link show")).unwrap();
        let mut names: Vec<_> =
            links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits up to ten seconds for `condition`.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
