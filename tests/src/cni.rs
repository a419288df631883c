//! `vswitch-cni`, and other plugins, called as libcni would: one process for each call, in the host's namespace, the
//! configuration on its standard input. It keeps nothing between calls: a scenario passes results on itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::exec::{self, Process};
use crate::host::Host;
use crate::netns::{Netns, Place};
use crate::programs;
use crate::sandbox::Sandbox;
use crate::vswitchd::Vswitchd;

/// A runtime's view of one network configuration on one host.
#[derive(Debug)]
pub struct Cni {
    host: Host,
    plugin: PathBuf,
    config: Value,
    next: AtomicU32,
}

/// One container as a runtime knows it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// CNI_CONTAINERID.
    pub id: String,
    /// CNI_NETNS; may be empty.
    pub netns: String,
    /// CNI_IFNAME.
    pub ifname: String,
    /// CNI_ARGS.
    pub args: String,
}

impl Pod {
    /// A container in a sandbox's namespace, with the link eth0.
    pub fn new(id: &str, sandbox: &Sandbox) -> Pod {
        let netns = format!("/proc/{}/ns/net", sandbox.pid());
        Pod { id: id.into(), netns, ifname: "eth0".into(), args: String::new() }
    }

    /// The same in a pod of that name.
    #[must_use]
    pub fn named(self, name: &str, namespace: &str) -> Pod {
        Pod { args: format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}"), ..self }
    }
}

impl Cni {
    /// The built plugin with this configuration, speaking to the daemon.
    pub fn of(daemon: &Vswitchd, mut config: Value) -> Result<Cni> {
        config["socket"] = daemon.socket().to_str().context("the socket's path")?.into();
        Ok(Cni { host: daemon.host().clone(), plugin: programs::find("vswitch-cni")?, config, next: AtomicU32::new(0) })
    }

    /// Another plugin of Debian's package in place of ours.
    pub fn other(&self, name: &str, config: Value) -> Cni {
        let plugin = Path::new("/usr/lib/cni").join(name);
        Cni { host: self.host.clone(), plugin, config, next: AtomicU32::new(0) }
    }

    /// Calls the plugin with `more` added to the configuration. The answer is what it printed (null for nothing), which
    /// is an error object when the exit code is not 0.
    pub fn call(&self, verb: &str, pod: Option<&Pod>, more: Value) -> Result<(i32, Value)> {
        let argv = self.argv(verb, pod, more)?;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = exec::output_in(Some(&self.netns()?), &argv)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().with_context(|| format!("{verb} was killed"))?;
        let words = String::from_utf8_lossy(&output.stderr);
        let answer = match said.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).with_context(|| format!("{verb} printed {text} and said {words}"))?,
        };
        Ok((code, answer))
    }

    /// The same, which has to succeed.
    pub fn done(&self, verb: &str, pod: Option<&Pod>, more: Value) -> Result<Value> {
        let (code, answer) = self.call(verb, pod, more)?;
        ensure!(code == 0, "{verb} of {:?}: {answer}", pod.map(|pod| &pod.id));
        Ok(answer)
    }

    /// The same, which has to fail; the code of the error.
    pub fn fails(&self, verb: &str, pod: Option<&Pod>, more: Value) -> Result<u64> {
        let (code, answer) = self.call(verb, pod, more)?;
        ensure!(code != 0 && answer["cniVersion"] == self.config["cniVersion"], "{verb}: {answer}");
        ensure!(answer["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{verb} says nothing: {answer}");
        answer["code"].as_u64().with_context(|| format!("{verb}: no code: {answer}"))
    }

    /// Starts a call that is not waited for.
    pub fn start(&self, verb: &str, pod: &Pod) -> Result<Process> {
        let argv = self.argv(verb, Some(pod), Value::Null)?;
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.host.spawn("cni", &argv, &[])
    }

    fn argv(&self, verb: &str, pod: Option<&Pod>, more: Value) -> Result<Vec<String>> {
        let mut config = self.config.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let program = self.plugin.file_name().unwrap_or_default().to_string_lossy();
        let file = self.host.dir().join(format!("{program}-{number}.json"));
        fs::write(&file, config.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let mut argv: Vec<String> =
            vec!["env".into(), "-i".into(), "CNI_PATH=/usr/lib/cni".into(), format!("CNI_COMMAND={verb}")];
        if let Some(pod) = pod {
            argv.push(format!("CNI_CONTAINERID={}", pod.id));
            argv.push(format!("CNI_NETNS={}", pod.netns));
            argv.push(format!("CNI_IFNAME={}", pod.ifname));
            argv.push(format!("CNI_ARGS={}", pod.args));
        }
        // By exec, so that the process's number is the plugin's.
        argv.extend(["/bin/sh", "-c", "exec \"$0\" <\"$1\""].map(String::from));
        argv.extend([self.plugin.display().to_string(), file.display().to_string()]);
        Ok(argv)
    }
}

impl Place for Cni {
    fn netns(&self) -> Result<Netns> {
        self.host.netns()
    }
}
