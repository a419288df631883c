//! A container without a runtime: one sleeping process in a network namespace of its own.

use std::path::Path;

use anyhow::Result;

use crate::exec::Process;
use crate::host::Host;
use crate::netns::{Netns, Place};

/// The stand-in. The harness holds no descriptor of its namespace, so it dies with its process.
#[derive(Debug)]
pub struct Sandbox {
    process: Process,
}

impl Sandbox {
    /// Starts the process; the namespace has a loopback, up, and nothing else.
    pub fn start(host: &Host) -> Result<Sandbox> {
        Sandbox::start_in(&Netns::create()?, host.dir())
    }

    fn start_in(netns: &Netns, dir: &Path) -> Result<Sandbox> {
        let process = Process::start(Some(netns), &["sleep", "infinity"], &[], &dir.join("sandboxes.log"))?;
        Ok(Sandbox { process })
    }

    /// The process's id, for `vsctl add-port --pid`.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGKILL: the process goes, and its namespace with it.
    pub fn kill9(mut self) -> Result<()> {
        self.process.kill9()?;
        Ok(())
    }
}

impl Place for Sandbox {
    fn netns(&self) -> Result<Netns> {
        Netns::of_pid(self.pid())
    }
}
