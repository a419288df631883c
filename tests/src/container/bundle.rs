//! The bundle on disk: a root file system of busybox, shared by a lab's containers and read-only, and
//! `config.json`. Namespaces are all private; nothing in it limits resources.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::programs;
use crate::vswitchd::Vswitchd;

/// The hook program of a bundle and the daemon it speaks to.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The program's path.
    pub program: PathBuf,
    /// The daemon's API socket.
    pub socket: PathBuf,
}

impl Hook {
    /// The built `oci-hook`, speaking to this daemon.
    pub fn of(daemon: &Vswitchd) -> Result<Hook> {
        Ok(Hook { program: programs::find("oci-hook")?, socket: daemon.socket().to_owned() })
    }

    fn stage(&self, stage: &str) -> Value {
        json!([{
            "path": self.program,
            "args": ["oci-hook", stage],
            "env": [format!("VSWITCH_SOCKET={}", self.socket.display()), "PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            "timeout": 30,
        }])
    }
}

/// Writes the bundle `dir`, and the lab's root file system if this is its first one.
pub(super) fn write(lab: &Path, dir: &Path, id: &str, annotations: &[(&str, &str)], hook: Option<&Hook>) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let rootfs = root(lab)?;
    let hooks = hook.map_or(
        json!({}),
        |hook| json!({ "createRuntime": hook.stage("createRuntime"), "poststop": hook.stage("poststop") }),
    );
    let annotations: serde_json::Map<String, Value> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sleep", "86400"],
            "env": ["PATH=/bin", "HOME=/"],
            "cwd": "/",
            "capabilities": capabilities(),
        },
        "root": { "path": rootfs, "readonly": true },
        "hostname": "container",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=1m"] },
        ],
        "hooks": hooks,
        "annotations": annotations,
        "linux": {
            // At the top of the hierarchy: below the harness's own group it would outlive a crash unseen.
            "cgroupsPath": format!("/{}{id}", super::cgroup::PREFIX),
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            ],
        },
    });
    let path = dir.join("config.json");
    fs::write(&path, serde_json::to_vec_pretty(&config)?).with_context(|| format!("cannot write {}", path.display()))
}

/// The lab's root file system, made by whoever needs it first.
pub(crate) fn root(lab: &Path) -> Result<PathBuf> {
    let rootfs = lab.join("rootfs");
    if !rootfs.is_dir() {
        root_file_system(lab, &rootfs)?;
    }
    Ok(rootfs)
}

/// What ping and iperf3 need, and no more.
fn capabilities() -> Value {
    let set = json!(["CAP_NET_RAW", "CAP_NET_BIND_SERVICE", "CAP_KILL"]);
    json!({ "bounding": set, "effective": set, "permitted": set })
}

/// Makes a root file system of busybox at `rootfs`; that it is there already is fine.
pub(crate) fn root_file_system(lab: &Path, rootfs: &Path) -> Result<()> {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("no busybox: run .ci/setup (package busybox-static)")?;
    let listed = process::Command::new(busybox).arg("--list").output()?;
    // Made beside and moved into place: a parallel container sees all of it or makes its own.
    let half = lab.join(format!("rootfs.{:?}", std::thread::current().id()));
    for name in ["bin", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(half.join(name))?;
    }
    fs::copy(busybox, half.join("bin/busybox"))?;
    for applet in String::from_utf8_lossy(&listed.stdout).lines() {
        if applet != "busybox" {
            symlink("busybox", half.join("bin").join(applet))?;
        }
    }
    if fs::rename(&half, rootfs).is_err() {
        fs::remove_dir_all(&half)?;
    }
    Ok(())
}
