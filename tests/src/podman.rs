//! Containers by podman, attached by the packaged hooks: `--network none`, so that the network is the hook's business.
//! Everything of it is below the lab's directory; containers share a busybox root that is podman's alone.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::container::{self, Runtime};
use crate::exec;
use crate::host::Host;
use crate::lab::Lab;
use crate::netns::{Netns, Place};
use crate::programs;
use crate::vswitchd::Vswitchd;

/// Podman on one host. Dropped, its containers are removed.
#[derive(Debug)]
pub struct Podman {
    dir: PathBuf,
    host: Host,
}

impl Podman {
    /// With the packaged hooks.d, which speak to this daemon.
    pub fn on(lab: &Lab, daemon: &Vswitchd) -> Result<Podman> {
        let dir = dir_of(lab.dir());
        let hooks = dir.join("hooks.d");
        fs::create_dir_all(&hooks)?;
        let packaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/hooks.d");
        for entry in fs::read_dir(&packaged).with_context(|| format!("cannot read {}", packaged.display()))? {
            let path = entry?.path();
            let mut hook: Value = serde_json::from_slice(&fs::read(&path)?)?;
            hook["hook"]["path"] = json!(programs::find("oci-hook")?);
            hook["hook"]["env"] = json!([format!("VSWITCH_SOCKET={}", daemon.socket().display())]);
            fs::write(hooks.join(path.file_name().unwrap_or_default()), hook.to_string())?;
        }
        // Its locks are in shared memory of the machine otherwise.
        fs::write(dir.join("containers.conf"), "[engine]\nlock_type = \"file\"\n")?;
        container::root_file_system(lab.dir(), &dir.join("rootfs"))?;
        Ok(Podman { dir, host: daemon.host().clone() })
    }

    /// Runs `sleep` in a container; its process as the host sees it.
    pub fn run(&self, name: &str, annotations: &[(&str, &str)]) -> Result<Netns> {
        let annotations: Vec<String> = annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let rootfs = self.dir.join("rootfs").display().to_string();
        // Limits of its own choice may be more than this process may give.
        let limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1000:1000"];
        let mut args = vec!["run", "--detach", "--name", name, "--network", "none"];
        args.extend(limits);
        annotations.iter().for_each(|annotation| args.extend(["--annotation", annotation]));
        args.extend(["--rootfs", &rootfs, "sleep", "86400"]);
        self.call(&args)?;
        let pid = self.call(&["inspect", "--format", "{{.State.Pid}}", name])?;
        Netns::of_pid(pid.trim().parse().with_context(|| format!("podman says {pid:?} is the process of {name}"))?)
    }

    /// Runs a command inside a container.
    pub fn exec(&self, name: &str, argv: &[&str]) -> Result<String> {
        let mut args = vec!["exec", name];
        args.extend(argv);
        self.call(&args)
    }

    /// Kills a container and removes it.
    pub fn remove(&self, name: &str) -> Result<String> {
        self.call(&["rm", "--force", "--time", "0", name])
    }

    fn call(&self, args: &[&str]) -> Result<String> {
        call(&self.dir, Some(&self.host.netns()?), args)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Err(error) = self.call(&["rm", "--all", "--force", "--time", "0"]) {
            eprintln!("podman: {error:#}");
        }
    }
}

fn dir_of(lab: &Path) -> PathBuf {
    lab.join("podman")
}

fn call(dir: &Path, netns: Option<&Netns>, args: &[&str]) -> Result<String> {
    let below = |name: &str| dir.join(name).display().to_string();
    let mut argv: Vec<String> = Runtime::Crun.wrapper().iter().map(|part| (*part).to_owned()).collect();
    argv.extend(["env".into(), format!("CONTAINERS_CONF={}", below("containers.conf")), "podman".into()]);
    for (flag, name) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp"), ("--hooks-dir", "hooks.d")] {
        argv.extend([flag.into(), below(name)]);
    }
    argv.extend(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", "crun"].map(String::from));
    argv.extend(args.iter().map(|arg| (*arg).to_owned()));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    exec::run_in(netns, &argv)
}

/// Removes the containers of a lab whose owner is gone.
pub(crate) fn remove_all(lab: &Path) {
    let dir = dir_of(lab);
    if dir.is_dir()
        && let Err(error) = call(&dir, None, &["rm", "--all", "--force", "--time", "0"])
    {
        eprintln!("podman: {error:#}");
    }
}
