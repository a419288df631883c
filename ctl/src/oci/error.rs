//! Why the hook cannot do what a container's annotations ask for. Each text fits one line of a runtime's error.

use std::io;
use std::path::PathBuf;

use crate::client;

/// Why the hook fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the runtime's state on standard input cannot be read: `{0}`
    #[error("the runtime's state on standard input cannot be read: {0} (is this program called as an OCI hook?)")]
    State(serde_json::Error),
    /// the runtime's state has an empty id
    #[error("the runtime's state on standard input has an empty id")]
    Id,
    /// `{path}`: cannot read the container's annotations: `{source}`
    #[error("{}: cannot read the container's annotations: {source} (the runtime's state has none)", path.display())]
    Config {
        /// The bundle's configuration.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// annotation `{key}`: not a string
    #[error("annotation {key}: not a string (the OCI specification allows nothing else)")]
    NotText {
        /// The annotation's key.
        key: String,
    },
    /// annotation org.vswitch.networks: `{0}`
    #[error("annotation org.vswitch.networks: {0}")]
    Annotation(#[from] AnnotationError),
    /// annotation org.vswitch.publish: `{0}`
    #[error("annotation org.vswitch.publish: {0} (write [[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp][;...])")]
    BadPublish(String),
    /// annotation org.vswitch.publish: nothing leads to the container without the annotation org.vswitch.networks
    #[error("annotation org.vswitch.publish: nothing leads to the container (give it org.vswitch.networks, too)")]
    PublishAlone,
    /// annotation org.vswitch.publish: `{source}`
    #[error("annotation org.vswitch.publish: {source}{}", remedy(source))]
    Publish {
        /// What vswitchd answered, or why it did not.
        source: client::Error,
    },
    /// the runtime's state names no process
    #[error("the runtime's state names no process (call this hook as createRuntime, not in the container's namespace)")]
    NoProcess,
    /// process `{pid}`: cannot look at its network namespace: `{source}`
    #[error("process {pid}: cannot look at its network namespace: {source}")]
    Namespace {
        /// The container's first process.
        pid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// the container uses the host's network
    #[error(
        "the container uses the host's network, which cannot be connected to {network} \
             (give it a network namespace of its own, or remove the annotation org.vswitch.networks)"
    )]
    HostNetwork {
        /// The first network that was asked for.
        network: String,
    },
    /// network `{network}`: `{source}`
    #[error("network {network}: {source}{}", remedy(source))]
    Attach {
        /// The network that cannot be had.
        network: String,
        /// What vswitchd answered, or why it did not.
        source: client::Error,
    },
    /// `{source}`
    #[error("{source}{}", remedy(source))]
    Detach {
        /// What vswitchd answered, or why it did not.
        source: client::Error,
    },
    /// cannot start: `{0}`
    #[error("cannot start: {0}")]
    Start(io::Error),
}

/// What is wrong with the text of `org.vswitch.networks`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// longer than `{0}` bytes
    #[error("longer than {0} bytes")]
    Long(usize),
    /// more than `{0}` networks
    #[error("more than {0} networks")]
    Many(usize),
    /// an empty network name
    #[error("an empty network name (write NETWORK[:key=value,...][;NETWORK...])")]
    Empty,
    /// `{0}` is not a network's name
    #[error("`{0}` is not the name or ID of a network")]
    Network(String),
    /// network `{0}` is named twice
    #[error("network {0} is named twice (a container has one endpoint in a network)")]
    Twice(String),
    /// network `{network}`: `{option}` is not key=value
    #[error("network {network}: `{option}` is not key=value")]
    Option {
        /// The network.
        network: String,
        /// The text in the place of an option.
        option: String,
    },
    /// network `{network}`: unknown key `{key}`
    #[error(
        "network {network}: unknown key `{key}` \
             (known: ip, ip6, mac, ifname, alias, hostname, rate, egress-rate, vlan)"
    )]
    Key {
        /// The network.
        network: String,
        /// The key.
        key: String,
    },
    /// network `{network}`: `{key}` is given twice
    #[error("network {network}: {key} is given twice")]
    Repeated {
        /// The network.
        network: String,
        /// The key.
        key: &'static str,
    },
    /// network `{network}`: `{value}` is not `{wanted}`
    #[error("network {network}: `{value}` is not {wanted}")]
    Value {
        /// The network.
        network: String,
        /// The value as given.
        value: String,
        /// What it should be, with an example.
        wanted: &'static str,
    },
}

/// What can be done, in parentheses.
fn remedy(error: &client::Error) -> String {
    error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default()
}
