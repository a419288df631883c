//! The daemon on a host, and `vsctl` speaking to it. It is started and asked as an operator would.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::exec::{self, Process};
use crate::host::Host;
use crate::netns::Place;
use crate::programs;
use crate::wait;

/// The daemon must answer within this time of its start.
const START: Duration = Duration::from_secs(15);
/// And be gone within this time of SIGTERM.
const STOP: Duration = Duration::from_secs(10);

/// How a daemon is started; the rest is as in production.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The store's URL; the daemon's default (embedded) when absent.
    pub store: Option<String>,
    /// Further flags, as on the command line.
    pub flags: Vec<String>,
    /// Advertise the IPv6 underlay address.
    pub ipv6: bool,
    /// Advertise nothing: no overlay networks.
    pub local_only: bool,
    /// Where Docker's engine finds its driver; it finds none when absent.
    pub docker: Option<PathBuf>,
    /// The mounts that it runs in, as `nsenter` finds them; the harness's own when absent.
    pub mounts: Option<String>,
}

/// One `vswitchd`, running or stopped; its state directory lives as long as the lab.
#[derive(Debug)]
pub struct Vswitchd {
    host: Host,
    options: Options,
    vsctl: PathBuf,
    socket: PathBuf,
    process: Option<Process>,
}

impl Vswitchd {
    /// Starts the daemon on the host with this store and waits until its socket answers.
    pub fn start(host: &Host, store: &str) -> Result<Vswitchd> {
        Vswitchd::start_with(host, Options { store: Some(store.to_owned()), ..Options::default() })
    }

    /// Starts the daemon with these options and waits until its socket answers.
    pub fn start_with(host: &Host, options: Options) -> Result<Vswitchd> {
        let mut daemon = Vswitchd {
            host: host.clone(),
            options,
            vsctl: programs::find("vsctl")?,
            socket: host.dir().join("vswitchd.sock"),
            process: None,
        };
        daemon.resume()?;
        Ok(daemon)
    }

    /// Starts the daemon again on the state it had, and returns how long it took to answer.
    pub fn resume(&mut self) -> Result<Duration> {
        ensure!(self.process.is_none(), "vswitchd runs already on {}", self.host.name());
        let start = Instant::now();
        let argv = self.command()?;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        // Metadata of the daemon's log belongs in the log: no colour, no time zone of this machine.
        self.process = Some(self.host.spawn("vswitchd", &argv, &[("NO_COLOR", "1")])?);
        wait::until(START, "vswitchd to answer", || {
            self.check_alive()?;
            self.json(&["show"]).map(drop)
        })?;
        Ok(start.elapsed())
    }

    fn command(&self) -> Result<Vec<String>> {
        let mounts = self.options.mounts.iter();
        let mut argv: Vec<String> =
            mounts.flat_map(|path| ["nsenter".into(), format!("--mount={path}"), "--".into()]).collect();
        argv.extend([
            programs::find("vswitchd")?.display().to_string(),
            "--name".into(),
            self.host.name().into(),
            "--state-dir".into(),
            self.state_dir().display().to_string(),
            "--socket".into(),
            self.socket.display().to_string(),
        ]);
        if !self.options.local_only {
            let address = match self.options.ipv6 {
                true => self.host.address6(),
                false => self.host.address4(),
            };
            argv.extend(["--advertise".into(), address.to_string()]);
        }
        if let Some(store) = &self.options.store {
            argv.extend(["--store".into(), store.clone()]);
        }
        let docker = self.options.docker.as_ref().map_or("none".into(), |path| path.display().to_string());
        argv.extend(["--docker-plugin".into(), docker]);
        argv.extend(self.options.flags.iter().cloned());
        Ok(argv)
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its API socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.host.dir().join("state")
    }

    /// The daemon's process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// All it has logged, over restarts.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Fails when the daemon has ended by itself, with the end of its log.
    pub fn check_alive(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.check_alive(),
            None => bail!("vswitchd was not started on {}", self.host.name()),
        }
    }

    /// SIGKILL, no farewell.
    pub fn kill9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("vswitchd does not run")?;
        process.kill9()?;
        Ok(())
    }

    /// SIGTERM; the daemon must end by itself and successfully.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("vswitchd does not run")?;
        let status = process.terminate(STOP)?;
        ensure!(status.success(), "vswitchd ended with {status} after SIGTERM");
        Ok(())
    }

    /// CPU time that all its threads have used so far.
    pub fn cpu_time(&self) -> Result<Duration> {
        // The first field is time on a CPU in ns; /proc/PID/stat has ticks of 10 ms only.
        self.sum_schedstat(0).map(Duration::from_nanos)
    }

    /// How often its threads were given a CPU so far.
    pub fn wakeups(&self) -> Result<u64> {
        self.sum_schedstat(2)
    }

    fn sum_schedstat(&self, field: usize) -> Result<u64> {
        let pid = self.pid().context("vswitchd does not run")?;
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
            sum += stat.split_whitespace().nth(field).context("schedstat")?.parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Runs `vsctl` and returns all it said, whatever the exit code.
    pub fn vsctl_output(&self, args: &[&str]) -> Result<Output> {
        let (program, socket) = (self.vsctl.display().to_string(), self.socket.display().to_string());
        let mut argv = vec![program.as_str(), "--socket", &socket];
        argv.extend(args);
        exec::output_in(Some(&self.host.netns()?), &argv)
    }

    /// Runs `vsctl`; a non-zero exit is an error with what it said.
    pub fn vsctl(&self, args: &[&str]) -> Result<String> {
        let output = self.vsctl_output(args)?;
        let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        if !output.status.success() {
            bail!(
                "vsctl {} on {}: {}: {said}{}",
                args.join(" "),
                self.host.name(),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(said)
    }

    /// Runs `vsctl`, which must be refused, and returns the message on stderr.
    pub fn vsctl_refused(&self, args: &[&str]) -> Result<String> {
        let output = self.vsctl_output(args)?;
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        ensure!(
            !output.status.success(),
            "vsctl {} was accepted: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stdout)
        );
        ensure!(!said.is_empty(), "vsctl {} was refused without a word", args.join(" "));
        Ok(said)
    }

    /// Runs `vsctl ... --format json` and parses the answer.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut argv = args.to_vec();
        argv.extend(["--format", "json"]);
        let said = self.vsctl(&argv)?;
        serde_json::from_str(&said).with_context(|| format!("vsctl {args:?} printed: {said}"))
    }

    /// The rows of a table, e.g. `ports`, as a list.
    pub fn rows(&self, args: &[&str]) -> Result<Vec<Value>> {
        match self.json(args)? {
            Value::Array(rows) => Ok(rows),
            other => bail!("vsctl {args:?} printed no list: {other}"),
        }
    }

    /// The count of one drop reason.
    pub fn drops(&self, reason: &str) -> Result<u64> {
        let rows = self.rows(&["drops", "--all"])?;
        rows.iter()
            .find(|row| row["reason"] == reason)
            .and_then(|row| row["count"].as_u64())
            .with_context(|| format!("no drop reason {reason} in {rows:?}"))
    }

    /// Attaches a process's namespace and returns the port's row.
    pub fn add_port(&self, network: &str, name: &str, pid: u32, flags: &[&str]) -> Result<Value> {
        let pid = pid.to_string();
        let mut args = vec!["add-port", network, name, "--pid", &pid];
        args.extend(flags);
        self.json(&args)
    }
}

impl Drop for Vswitchd {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.terminate(Duration::from_secs(3));
        }
    }
}
