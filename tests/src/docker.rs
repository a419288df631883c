//! A real engine of Docker on a host: its own directories, its own mounts, no bridge and no rule of its own unless that is
//! asked for. Containers run busybox. Where no engine can run, what needs one says so and does nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::container;
use crate::exec::{self, Process};
use crate::host::Host;
use crate::lab::Lab;
use crate::netns::{Netns, Place};
use crate::vswitchd::{Options, Vswitchd};
use crate::wait;

/// The engine must answer within this time of its start.
const START: Duration = Duration::from_secs(60);
/// The image of all containers.
pub const IMAGE: &str = "busybox";

/// The mounts of a host: what its engine mounts is nobody else's, and it finds its own plugins.
#[derive(Debug)]
pub struct Mounts {
    keeper: Process,
}

impl Mounts {
    fn keep(host: &Host) -> Result<Mounts> {
        let plugins = plugins(host);
        fs::create_dir_all(&plugins)?;
        let script = format!(
            "mkdir -p /run/docker && mount -t tmpfs tmpfs /run/docker && mkdir /run/docker/plugins && \
             mount --bind {} /run/docker/plugins && echo ready && exec sleep infinity",
            plugins.display()
        );
        let argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script];
        let mut keeper = host.spawn("mounts", &argv, &[])?;
        wait::until(START, "the host's mounts", || {
            keeper.check_alive()?;
            ensure!(keeper.log().contains("ready"), "{}", keeper.log());
            Ok(())
        })?;
        Ok(Mounts { keeper })
    }

    /// A path by which `nsenter` finds them.
    pub fn path(&self) -> String {
        format!("/proc/{}/ns/mnt", self.keeper.pid())
    }
}

fn plugins(host: &Host) -> PathBuf {
    host.dir().join("plugins")
}

/// `dockerd` on a host, beside its `vswitchd`. Dropped, its containers are killed and it ends.
#[derive(Debug)]
pub struct Docker {
    host: Host,
    lab: PathBuf,
    tag: String,
    flags: Vec<String>,
    /// Whether it has networks of its own.
    whole: bool,
    process: Option<Process>,
    // Ends last: what lives in the mounts ends before.
    mounts: Mounts,
}

impl Docker {
    /// Why no engine can run here; `None`: it can.
    pub fn missing() -> Option<String> {
        for program in ["dockerd", "docker", "containerd"] {
            if exec::run_in(None, &["sh", "-c", &format!("command -v {program}")]).is_err() {
                return Some(format!("{program} is not installed (Debian: docker.io)"));
            }
        }
        None
    }

    /// The mounts of a host and the daemon's options that belong to them, for a daemon that starts before the engine.
    pub fn prepare(lab: &Lab, host: &Host, flags: &[&str]) -> Result<Docker> {
        let (lab, tag) = (lab.dir().to_owned(), lab.tag());
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Ok(Docker { host: host.clone(), lab, tag, flags, whole: false, process: None, mounts: Mounts::keep(host)? })
    }

    /// The same, with the engine started and its image there.
    pub fn start(lab: &Lab, host: &Host, flags: &[&str]) -> Result<Docker> {
        let mut docker = Docker::prepare(lab, host, flags)?;
        docker.resume()?;
        docker.import()?;
        Ok(docker)
    }

    /// An engine as it comes: with its bridge, its iptables rules and its proxies.
    pub fn whole(lab: &Lab, host: &Host, flags: &[&str]) -> Result<Docker> {
        let mut docker = Docker::prepare(lab, host, flags)?;
        docker.whole = true;
        docker.resume()?;
        docker.import()?;
        Ok(docker)
    }

    /// The options of a daemon beside this engine.
    pub fn options(&self, options: Options) -> Options {
        let mut options = options;
        options.docker = Some(plugins(&self.host).join("vswitch.sock"));
        options.mounts = Some(self.mounts.path());
        options.flags.extend(["--docker-api".into(), self.socket().display().to_string()]);
        options
    }

    /// A daemon beside this engine.
    pub fn vswitchd(&self, options: Options) -> Result<Vswitchd> {
        Vswitchd::start_with(&self.host, self.options(options))
    }

    fn socket(&self) -> PathBuf {
        self.host.dir().join("docker.sock")
    }

    /// Starts the engine, also again on what it had.
    pub fn resume(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "dockerd runs already on {}", self.host.name());
        let dir = self.host.dir();
        // A killed one leaves both, and takes the second for a running containerd.
        let _ = fs::remove_file(dir.join("docker.pid"));
        let _ = fs::remove_file(dir.join("exec/containerd/containerd.pid"));
        let path = |name: &str| dir.join(name).display().to_string();
        let listen = format!("unix://{}", self.socket().display());
        let cgroup = format!("/{}{}-{}", container::CGROUP, self.host.name(), self.tag);
        let (mounts, data, exec, pid) = (self.mounts.path(), path("data"), path("exec"), path("docker.pid"));
        let mount = format!("--mount={mounts}");
        let mut argv = vec!["nsenter", &mount, "--", "dockerd", "--host", &listen, "--data-root", &data];
        argv.extend(["--exec-root", &exec, "--pidfile", &pid, "--cgroup-parent", &cgroup]);
        if !self.whole {
            argv.extend(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
            argv.extend(["--ip-forward=false", "--userland-proxy=false"]);
        }
        argv.push("--shutdown-timeout=1");
        argv.extend(self.flags.iter().map(String::as_str));
        let mut process = self.host.spawn("dockerd", &argv, &[])?;
        wait::until(START, "Docker's engine to answer", || {
            process.check_alive()?;
            self.run(&["version"]).map(drop)
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Makes the image, of a busybox root.
    pub fn import(&self) -> Result<()> {
        let root = container::root(&self.lab)?;
        let archive = self.host.dir().join("image.tar");
        let (root, archive) = (root.display().to_string(), archive.display().to_string());
        exec::run_in(None, &["tar", "-C", &root, "-cf", &archive, "."])?;
        self.run(&["import", &archive, IMAGE]).map(drop)
    }

    /// Runs `docker` and returns all it said, whatever the exit code.
    pub fn output(&self, args: &[&str]) -> Result<Output> {
        let listen = format!("unix://{}", self.socket().display());
        // Of the engine's own package, where there are several.
        let client =
            ["/usr/bin/docker", "docker"].into_iter().find(|path| !path.starts_with('/') || Path::new(path).exists());
        let mut argv = vec![client.unwrap_or("docker"), "--host", &listen];
        argv.extend(args);
        exec::output_in(Some(&self.host.netns()?), &argv)
    }

    /// Runs `docker`; a non-zero exit is an error with what it said.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            bail!("docker {} on {}: {}: {said}{complaint}", args.join(" "), self.host.name(), output.status);
        }
        Ok(said)
    }

    /// Runs `docker`, which must be refused, and returns the message.
    pub fn refused(&self, args: &[&str]) -> Result<String> {
        let output = self.output(args)?;
        ensure!(!output.status.success(), "docker {} was accepted", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }

    /// Starts a container that does nothing, or what `command` says, with these flags before the image.
    pub fn container(&self, name: &str, flags: &[&str], command: &[&str]) -> Result<()> {
        let mut args = vec!["run", "--detach", "--name", name, "--stop-timeout", "0"];
        args.extend(flags);
        args.push(IMAGE);
        args.extend(if command.is_empty() { &["sleep", "86400"] } else { command });
        self.run(&args).map(drop)
    }

    /// Runs a command of the host's in the engine's mounts and the host's network namespace.
    pub fn inside(&self, argv: &[&str]) -> Result<String> {
        let mounts = format!("--mount={}", self.mounts.path());
        self.host.exec(&[&["nsenter", &mounts, "--"], argv].concat())
    }

    /// Runs a command in a container.
    pub fn exec(&self, container: &str, argv: &[&str]) -> Result<String> {
        let mut args = vec!["exec", container];
        args.extend(argv);
        self.run(&args)
    }

    /// Docker's own object.
    pub fn inspect(&self, what: &str) -> Result<Value> {
        let said = self.run(&["inspect", what])?;
        let mut objects: Vec<Value> = serde_json::from_str(&said)?;
        objects.pop().context("nothing to inspect")
    }

    /// The network namespace of a container.
    pub fn netns(&self, container: &str) -> Result<Netns> {
        let pid = self.inspect(container)?["State"]["Pid"].as_u64().context("it has no process")?;
        Netns::of_pid(pid.try_into()?)
    }

    /// SIGKILL: containers' processes stay without an engine.
    pub fn kill9(&mut self) -> Result<()> {
        self.process.take().context("dockerd does not run")?.kill9().map(drop)
    }

    /// SIGTERM; the engine must end by itself, with its containers.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("dockerd does not run")?;
        process.terminate(START).map(drop)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.process.is_some() {
            let all = self.run(&["ps", "--all", "--quiet"]).unwrap_or_default();
            let ids: Vec<&str> = all.split_whitespace().collect();
            if !ids.is_empty() {
                let _ = self.run(&[&["rm", "--force"], &ids[..]].concat());
            }
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.terminate(Duration::from_secs(20));
        }
        remove_all(&self.lab.join(self.host.name()));
    }
}

/// Ends containers' keepers that have lost their engine: all that work below a directory of the lab.
pub(crate) fn remove_all(dir: &Path) {
    let dir = format!("{}/", dir.display());
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let keeper = words.next().is_some_and(|program| program.ends_with("containerd-shim-runc-v2"));
        if keeper && words.any(|word| word.starts_with(&dir)) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
