//! A host: a namespace with its own directory for logs and state. It is not a machine: file system
//! and processes are shared with the others.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exec::Process;
use crate::netns::{Netns, Place};

/// One host of a lab.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    dir: PathBuf,
    netns: Netns,
    address4: Ipv4Addr,
    address6: Ipv6Addr,
}

impl Host {
    pub(crate) fn create(lab: &Path, name: &str) -> Result<Host> {
        let dir = lab.join(name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        // The number in the name is the host's number on the underlay: h1 is 192.168.77.1.
        let number: u8 = name
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .with_context(|| format!("host name {name} must end in a number from 1 to 250"))?;
        Ok(Host {
            name: name.to_owned(),
            dir,
            netns: Netns::create()?,
            address4: Ipv4Addr::new(192, 168, 77, number),
            address6: Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, number.into()),
        })
    }

    /// The name given to [`crate::Lab::host`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's directory, for logs and state.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its IPv4 address on the underlay, once there is one.
    pub fn address4(&self) -> IpAddr {
        self.address4.into()
    }

    /// Its IPv6 address on the underlay, once there is one.
    pub fn address6(&self) -> IpAddr {
        self.address6.into()
    }

    /// Its IPv4 address towards the [`crate::Outside`], once there is one.
    pub fn outer4(&self) -> IpAddr {
        Ipv4Addr::new(198, 18, self.number(), 1).into()
    }

    /// Its IPv6 address towards the [`crate::Outside`], once there is one.
    pub fn outer6(&self) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, self.number().into(), 0, 0, 0, 0, 1).into()
    }

    /// The number in its name.
    pub(crate) fn number(&self) -> u8 {
        self.address4.octets()[3]
    }

    /// Starts a command that keeps running; its output goes to `NAME.log` in the host's directory.
    pub fn spawn(&self, name: &str, argv: &[&str], env: &[(&str, &str)]) -> Result<Process> {
        let log = self.dir.join(format!("{name}.log"));
        Process::start(Some(&self.netns), argv, env, &log)
    }
}

impl Place for Host {
    fn netns(&self) -> Result<Netns> {
        Ok(self.netns.clone())
    }
}
