//! What can go wrong with a sandbox; every text names the namespace or the link, and `remedy` says what to do.

use std::io;

use ipnet::IpNet;

/// Why a sandbox could not be opened, or a link not be put into it. The text of each variant is its `Display`;
/// [`Error::remedy`] is kept apart because the API answers it in a field of its own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// sandbox `{sandbox}`: its network namespace is gone
    #[error("sandbox {sandbox}: its network namespace is gone")]
    Gone {
        /// The path of the namespace.
        sandbox: String,
    },
    /// sandbox `{sandbox}`: not a network namespace
    #[error("sandbox {sandbox}: not a network namespace")]
    NotANamespace {
        /// The path that was given.
        sandbox: String,
    },
    /// sandbox `{sandbox}`: cannot open its network namespace: `{source}`
    #[error("sandbox {sandbox}: cannot open its network namespace: {}", plain(source))]
    Open {
        /// The path of the namespace.
        sandbox: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// sandbox `{sandbox}`: cannot enter its network namespace: `{source}`
    #[error("sandbox {sandbox}: cannot enter its network namespace: {}", plain(source))]
    Enter {
        /// The path of the namespace.
        sandbox: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// link `{ifname}` in sandbox `{sandbox}`: `{problem}`
    #[error("link {ifname} in sandbox {sandbox}: {problem}")]
    Unusable {
        /// The name that was asked for.
        ifname: String,
        /// The path of the namespace.
        sandbox: String,
        /// What is wrong with the request.
        problem: &'static str,
    },
    /// link `{ifname}` in sandbox `{sandbox}`: the name is taken
    #[error("link {ifname} in sandbox {sandbox}: the name is taken")]
    Taken {
        /// The name that was asked for.
        ifname: String,
        /// The path of the namespace.
        sandbox: String,
    },
    /// link `{ifname}` in sandbox `{sandbox}`: it is not a link of the switch
    #[error("link {ifname} in sandbox {sandbox}: it is not a link of the switch")]
    Foreign {
        /// The name of the link.
        ifname: String,
        /// The path of the namespace.
        sandbox: String,
    },
    /// sandbox `{sandbox}`: `{source}`
    #[error("sandbox {sandbox}: {source}")]
    Port {
        /// The path of the namespace.
        sandbox: String,
        /// What the port said.
        source: port::Error,
    },
    /// `{source}`
    #[error("{source}")]
    Interface {
        /// The interface of the host.
        ifname: String,
        /// What the port said.
        source: port::Error,
    },
    /// link `{ifname}` in sandbox `{sandbox}`: cannot add address `{address}`: `{source}`
    #[error("link {ifname} in sandbox {sandbox}: cannot add address {address}: {}", plain(source))]
    Address {
        /// The name of the link.
        ifname: String,
        /// The path of the namespace.
        sandbox: String,
        /// The address that was refused.
        address: IpNet,
        /// The kernel's answer.
        source: io::Error,
    },
    /// link `{ifname}` in sandbox `{sandbox}`: cannot `{step}`: `{source}`
    #[error("link {ifname} in sandbox {sandbox}: cannot {step}: {}", plain(source))]
    Link {
        /// The name of the link.
        ifname: String,
        /// The path of the namespace.
        sandbox: String,
        /// What was tried, as the end of "cannot ...".
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// sandbox `{sandbox}`: cannot run the attachment: `{source}`
    #[error("sandbox {sandbox}: cannot run the attachment: {}", plain(source))]
    Thread {
        /// The path of the namespace.
        sandbox: String,
        /// Why no thread, runtime or socket was to be had.
        source: io::Error,
    },
}

impl Error {
    /// What the operator can do about it: a clause without a capital or a full stop, empty where the text has it.
    pub fn remedy(&self) -> String {
        match self {
            Error::Gone { .. } => "the container has ended: start it again, and attach it while it runs".into(),
            Error::NotANamespace { .. } => {
                "give --pid, or --netns with a path such as /proc/PID/ns/net or /run/netns/NAME".into()
            }
            Error::Open { source, .. } if denied(source) => {
                "vswitchd needs CAP_SYS_PTRACE to look into other users' processes".into()
            }
            Error::Open { .. } => "check the path, and that vswitchd sees the same /proc".into(),
            Error::Enter { source, .. } if denied(source) => "vswitchd needs CAP_SYS_ADMIN to enter namespaces".into(),
            Error::Enter { .. } => "check that the container still runs".into(),
            Error::Unusable { .. } => "ask for another name, address, MAC or MTU".into(),
            Error::Taken { ifname, .. } => {
                format!("give another name with --ifname, or remove {ifname} from the container first")
            }
            Error::Foreign { ifname, .. } => format!("rename or remove {ifname} by hand"),
            // The port's own text ends with it.
            Error::Port { .. } | Error::Interface { .. } => String::new(),
            Error::Address { ifname, address, source, .. } if address.addr().is_ipv6() && denied(source) => {
                format!("IPv6 is off on the link: set net.ipv6.conf.{ifname}.disable_ipv6 to 0 in the container")
            }
            Error::Address { source, .. } if source.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => {
                "the kernel runs without this address family".into()
            }
            Error::Address { .. } => "check the address and its prefix length".into(),
            Error::Link { source, .. } if denied(source) => "vswitchd needs CAP_NET_ADMIN in that namespace".into(),
            Error::Link { .. } => "check that the container still runs".into(),
            Error::Thread { .. } => "check the limits on threads and open files (ulimit -u, -n)".into(),
        }
    }

    /// The thing the error is about: the link, or the namespace.
    pub fn object(&self) -> String {
        match self {
            Error::Gone { sandbox }
            | Error::NotANamespace { sandbox }
            | Error::Open { sandbox, .. }
            | Error::Enter { sandbox, .. }
            | Error::Port { sandbox, .. }
            | Error::Thread { sandbox, .. } => format!("sandbox {sandbox}"),
            Error::Interface { ifname, .. } => format!("interface {ifname}"),
            Error::Unusable { ifname, .. }
            | Error::Taken { ifname, .. }
            | Error::Foreign { ifname, .. }
            | Error::Address { ifname, .. }
            | Error::Link { ifname, .. } => format!("link {ifname}"),
        }
    }
}

/// The two ways in which the kernel says that a capability is missing.
fn denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The system's words without Rust's `(os error 17)`.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_object_and_remedies_say_what_to_do() {
        let sandbox = || "/proc/12/ns/net".to_owned();
        let ifname = || "eth0".to_owned();
        let denied = || io::Error::from_raw_os_error(nix::libc::EACCES);
        let taken = Error::Taken { ifname: ifname(), sandbox: sandbox() };
        assert_eq!(taken.to_string(), "link eth0 in sandbox /proc/12/ns/net: the name is taken");
        assert!(taken.remedy().contains("--ifname"));
        assert_eq!(taken.object(), "link eth0");

        let address = "fd00::2/64".parse().unwrap();
        let v6 = Error::Address { ifname: ifname(), sandbox: sandbox(), address, source: denied() };
        assert_eq!(
            v6.to_string(),
            "link eth0 in sandbox /proc/12/ns/net: cannot add address fd00::2/64: permission denied"
        );
        assert!(v6.remedy().contains("net.ipv6.conf.eth0.disable_ipv6"));

        let open = Error::Open { sandbox: sandbox(), source: denied() };
        assert!(open.remedy().contains("CAP_SYS_PTRACE"));
        assert_eq!(open.object(), "sandbox /proc/12/ns/net");
    }
}
