//! Why ports cannot be had on the host. Every text names the port and who or what is in the way; `remedy` says what helps.

use std::io;

use super::{At, Ports, Protocol};

/// Why host ports cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// somebody else has the port
    #[error("{holder}")]
    Held {
        /// Who, and what.
        holder: String,
    },
    /// no port of {ports}/{protocol} is free at {at}: {holder}
    #[error("no port of {ports}/{protocol} is free at {at}; the first: {holder}")]
    NoneFree {
        /// Where.
        at: At,
        /// Which.
        ports: Ports,
        /// TCP or UDP.
        protocol: Protocol,
        /// Who has the first.
        holder: String,
    },
    /// no {count} consecutive ports of {range} are free
    #[error("no {count} consecutive free {protocol} ports are left in {range} (net.ipv4.ip_local_port_range)")]
    Exhausted {
        /// How many are wanted.
        count: usize,
        /// Where they were looked for.
        range: Ports,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// no interface of this host has address {at}
    #[error("no interface of this host has address {at}")]
    NoSuchAddress {
        /// The address.
        at: At,
    },
    /// {count} ports need {wanted} open files, but the limit is {limit}
    #[error("{count} ports need {wanted} open files in all, and the limit is {limit}")]
    OpenFiles {
        /// Ports that were asked for.
        count: usize,
        /// What the limit would have to be.
        wanted: u64,
        /// What it is.
        limit: u64,
    },
    /// cannot listen on {at}:{port}/{protocol}: {source}
    #[error("cannot listen on {at}:{port}/{protocol}: {source}")]
    Kernel {
        /// Where.
        at: At,
        /// The port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// What the kernel said.
        source: io::Error,
    },
    /// the proxy cannot start: {0}
    #[error("the proxy for local clients cannot start: {0}")]
    Proxy(io::Error),
}

const OPEN_FILES: &str =
    "start vswitchd with a higher limit (LimitNOFILE= in its unit, `ulimit -Hn`; fs.nr_open bounds it)";

impl Error {
    /// What helps.
    pub fn remedy(&self) -> &'static str {
        match self {
            Error::Held { .. } => "choose another host port, or leave it out; or free that one",
            Error::NoneFree { .. } => "choose other host ports, or leave them out; or free one of these",
            Error::Exhausted { .. } => "name host ports outside that range, or widen it",
            Error::NoSuchAddress { .. } => "choose an address that `ip address` shows, or leave it out",
            Error::OpenFiles { .. } => OPEN_FILES,
            // Others of this process were quicker.
            Error::Kernel { source, .. } if source.raw_os_error() == Some(nix::libc::EMFILE) => OPEN_FILES,
            Error::Kernel { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "vswitchd needs CAP_NET_ADMIN, and CAP_NET_BIND_SERVICE for ports below 1024"
            }
            Error::Kernel { .. } | Error::Proxy(_) => "see the log of vswitchd",
        }
    }
}
