//! Commands: run to the end within a time limit, or kept running and killed with their owner.
//! Children are made by one thread that lives as long as the process, with a parent-death signal:
//! a harness that is itself killed leaves no daemon behind.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::netns::Netns;

/// No command that is waited for may take longer, in seconds.
const LIMIT: &str = "90";

type Job = Box<dyn FnOnce() + Send>;

/// The thread that forks. A parent-death signal follows the forking thread, so it must not end.
fn spawner() -> &'static Sender<Job> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (tx, rx) = channel::<Job>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || rx.into_iter().for_each(|job| job()))
            .expect("a thread can be made");
        tx
    })
}

fn spawn_child(netns: Option<&Netns>, mut command: Command) -> Result<Child> {
    let home = own_netns()?;
    let netns = netns.cloned();
    let (tx, rx) = channel();
    let job = move || {
        let target = netns.as_ref().unwrap_or(home);
        let child = target.join().and_then(|()| command.spawn());
        let _ = tx.send(child);
    };
    spawner().send(Box::new(job)).map_err(|_| anyhow!("the spawning thread is gone"))?;
    Ok(rx.recv().context("the spawning thread is gone")??)
}

/// The namespace that the harness was started in, opened before anything can leave it.
fn own_netns() -> Result<&'static Netns> {
    static OWN: OnceLock<Netns> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let own = Netns::open("/proc/self/ns/net")?;
    Ok(OWN.get_or_init(|| own))
}

fn command(argv: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(argv);
    command
}

/// Runs a command in the namespace (or where the harness itself is) and returns all it said.
pub fn output_in(netns: Option<&Netns>, argv: &[&str]) -> Result<Output> {
    // Killed itself, `timeout` could not end what it started: that one watches its parent, too.
    let mut argv_limited = vec!["timeout", "--foreground", "-k", "5", LIMIT, "setpriv", "--pdeathsig", "KILL", "--"];
    argv_limited.extend(argv);
    let mut command = command(&argv_limited);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn_child(netns, command).with_context(|| format!("cannot run {argv:?}"))?;
    let output = child.wait_with_output()?;
    if output.status.code() == Some(124) {
        bail!("`{}` took longer than {LIMIT} s", argv.join(" "));
    }
    Ok(output)
}

/// Like [`output_in`], but a non-zero exit is an error that carries what the command said.
pub fn run_in(netns: Option<&Netns>, argv: &[&str]) -> Result<String> {
    let output = output_in(netns, argv)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "`{}`: {}: {}{}",
            argv.join(" "),
            output.status,
            stdout.trim_end(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(stdout)
}

/// A command that keeps running, its output in a log file. Dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `argv` with the given extra environment; output is appended to `log`.
    pub fn start(netns: Option<&Netns>, argv: &[&str], env: &[(&str, &str)], log: &Path) -> Result<Process> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = command(argv);
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = spawn_child(netns, command).with_context(|| format!("cannot run {argv:?}"))?;
        Ok(Process { child, name: argv[0].rsplit('/').next().unwrap_or_default().to_owned(), log: log.to_owned() })
    }

    /// The process's id; setpriv has become the command by exec.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Fails, with the end of the log, when the process has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, tail(&self.log(), 20)),
        }
    }

    /// Sends a signal; a process that is already gone is not an error.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }

    /// SIGKILL, and waits for the end.
    pub fn kill9(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    /// SIGTERM; fails when the process has not ended by itself within `limit`, and kills it then.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.kill9()?;
                bail!("{} did not end within {limit:?} of SIGTERM", self.name);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end by itself.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `lines` lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
