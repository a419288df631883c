//! Why a port, socket or interface cannot be had. Every text names the object, the cause and, where one is known, the remedy.
//! Errors of single frames are not here: they are outcomes (`Received`, `Sent`, `SendOutcome`).

use std::io;
use std::net::IpAddr;

/// Why something could not be opened or looked up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// port NAME: not a name for a link (1 to 15 bytes, no space, slash, colon or percent sign)
    #[error("port {name}: not a name for a link (1 to 15 bytes, no space, slash, colon or percent sign)")]
    LinkName {
        /// The name as it was given.
        name: String,
    },

    /// port NAME: cannot STEP: CAUSE (REMEDY)
    #[error("port {name}: cannot {step}: {}{}", cause(source), tap_remedy(source))]
    Tap {
        /// The link.
        name: String,
        /// What was tried, such as `open /dev/net/tun`.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// underlay ADDRESS:PORT: CAUSE (REMEDY)
    #[error("underlay {}: {}{}", endpoint(local, port), cause(source), underlay_remedy(source))]
    Underlay {
        /// The VTEP address.
        local: IpAddr,
        /// The VXLAN port.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },

    /// interface NAME: no such interface in this network namespace (see `ip link`)
    #[error("interface {name}: no such interface in this network namespace (see `ip link`)")]
    NoInterface {
        /// The name as it was given.
        name: String,
    },

    /// address ADDRESS: no interface of this network namespace has it (see `ip address`)
    #[error("address {address}: no interface of this network namespace has it (see `ip address`)")]
    NoOwner {
        /// The address as it was given.
        address: IpAddr,
    },

    /// interface NAME: cannot read its MTU: CAUSE
    #[error("interface {name}: cannot read its MTU: {}", cause(source))]
    Mtu {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },

    /// interfaces: cannot list them: CAUSE
    #[error("interfaces: cannot list them: {}", cause(source))]
    List {
        /// What the kernel said.
        source: io::Error,
    },

    /// uplink NAME: cannot load its programs: CAUSE (REMEDY)
    #[error("uplink {link}: cannot load its programs: {}{}", cause(source), uplink_remedy(source))]
    UplinkProgram {
        /// The link.
        link: String,
        /// What the kernel said.
        source: io::Error,
    },

    /// uplink: table NAME: cannot read or write it: CAUSE (REMEDY)
    #[error("uplink: table {table}: cannot read or write it: {}{}", cause(source), uplink_remedy(source))]
    UplinkTable {
        /// The table, as the kernel shows it.
        table: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// uplink: interface INDEX: cannot STEP: CAUSE (REMEDY)
    #[error("uplink: interface {ifindex}: cannot {step}: {}{}", cause(source), uplink_remedy(source))]
    UplinkDevice {
        /// The interface's index.
        ifindex: u32,
        /// What was tried, such as `attach the program`.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// uplink: interface INDEX: a link layer of kind KIND is not supported (Ethernet, and those without header, are)
    #[error(
        "uplink: interface {ifindex}: a link layer of kind {kind} is not supported (Ethernet, and those without header, are)"
    )]
    UplinkDeviceKind {
        /// The interface's index.
        ifindex: u32,
        /// The kernel's ARPHRD number.
        kind: u16,
    },

    /// uplink NAME: the link itself cannot be an uplink (choose another with --uplink)
    #[error("uplink {link}: the link itself cannot be an uplink (choose another with --uplink)")]
    UplinkIsLink {
        /// The link.
        link: String,
    },

    /// uplink: cannot load its XDP program: CAUSE (needs Linux 5.18 with CONFIG_XDP_SOCKETS, and CAP_BPF or CAP_SYS_ADMIN)
    #[error(
        "uplink: cannot load its XDP program: {} (needs Linux 5.18 with CONFIG_XDP_SOCKETS, and CAP_BPF or CAP_SYS_ADMIN)",
        cause(source)
    )]
    UplinkXdp {
        /// What the kernel said.
        source: io::Error,
    },

    /// interface NAME: cannot have the XDP form of the uplink: WHY
    #[error("interface {ifname}: cannot have the XDP form of the uplink: {why}")]
    UplinkForm {
        /// The interface.
        ifname: String,
        /// The reason, and the remedy where there is one.
        why: String,
    },

    /// interface NAME: cannot STEP: CAUSE (REMEDY)
    #[error("interface {ifname}: cannot {step}: {}{}", cause(source), xdp_remedy(step, source))]
    Xdp {
        /// The interface.
        ifname: String,
        /// What was tried, such as `attach an XDP program in native mode`.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },

    /// interface NAME: it has COUNT queues, and a port takes 64 at the most (`ethtool -L NAME combined 64`)
    #[error(
        "interface {ifname}: it has {queues} queues, and a port takes 64 at the most (`ethtool -L {ifname} combined 64`)"
    )]
    XdpQueues {
        /// The interface.
        ifname: String,
        /// How many it has.
        queues: u32,
    },

    /// open files: cannot raise the limit to COUNT: CAUSE
    #[error("open files: cannot raise the limit to {wanted}: {}", cause(source))]
    OpenFiles {
        /// The limit that was asked for.
        wanted: u64,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The system's text without the number, in the middle of a sentence.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        // "TUN/TAP ..." and the like keep their capitals.
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

fn endpoint(local: &IpAddr, port: &u16) -> String {
    std::net::SocketAddr::new(*local, *port).to_string()
}

fn tap_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_NET_ADMIN)",
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => {
            " (load the kernel's tun module, or let the container have this device)"
        }
        Some(libc::EBUSY | libc::EEXIST) => " (a link of this name exists: delete it or choose another name)",
        _ => "",
    }
}

fn underlay_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => " (another VXLAN device or switch holds it; choose another with --vxlan-port)",
        Some(libc::EADDRNOTAVAIL) => " (no interface here has this address; choose another with --advertise)",
        Some(libc::EAFNOSUPPORT) => " (this IP version is off on this host; choose another address with --advertise)",
        Some(libc::EPERM | libc::EACCES) => " (ports below 1024 need CAP_NET_BIND_SERVICE)",
        Some(libc::EMFILE | libc::ENFILE) => " (raise the limit of open files)",
        _ => "",
    }
}

fn uplink_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => " (needs CAP_SYS_ADMIN)",
        Some(libc::ENOSYS | libc::EINVAL) => " (needs Linux 5.15 with BPF and its classifier)",
        Some(libc::E2BIG) => " (it is full)",
        Some(libc::ENODEV) => " (it is gone)",
        _ => "",
    }
}

fn xdp_remedy(step: &str, error: &io::Error) -> &'static str {
    use crate::xdp::step;
    match (step, error.raw_os_error()) {
        (step::OPEN, Some(libc::EAFNOSUPPORT)) => " (this kernel has no AF_XDP: CONFIG_XDP_SOCKETS)",
        (step::OPEN, Some(libc::EPERM | libc::EACCES)) => " (needs CAP_NET_RAW)",
        (step::REGISTER, Some(libc::ENOBUFS)) => {
            " (the memory of AF_XDP ports is locked: needs CAP_IPC_LOCK, a higher RLIMIT_MEMLOCK, or less xdp_memory)"
        }
        (step::SHARE, _) => " (all of it is taken by other ports: raise xdp_memory)",
        (step::BIND, Some(libc::EBUSY)) => " (another program has an AF_XDP socket on this queue)",
        (step::BIND, Some(libc::EOPNOTSUPP | libc::EINVAL)) => " (the driver cannot do this: leave out --xdp-zerocopy)",
        (step::BIND, Some(libc::ENETDOWN)) => " (set it up with `ip link set ... up`)",
        (step::NATIVE | step::GENERIC, Some(libc::EBUSY | libc::EEXIST)) => {
            " (another XDP program is attached: see `ip link`)"
        }
        (step::NATIVE, Some(libc::EOPNOTSUPP)) => " (the driver has no native XDP: leave out --xdp-mode)",
        (step::NATIVE, Some(libc::ERANGE | libc::EINVAL)) => {
            " (the driver takes smaller MTUs only, or no such interface)"
        }
        (step::NATIVE, Some(libc::ENOSPC)) => " (a veth link with fewer RX queues than its peer has TX queues)",
        (_, Some(libc::EPERM | libc::EACCES)) => " (needs CAP_NET_ADMIN, and CAP_BPF or CAP_SYS_ADMIN)",
        (_, Some(libc::ENODEV | libc::ENXIO)) => " (it is gone)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_object_cause_and_remedy() {
        let os = io::Error::from_raw_os_error;
        let tap = Error::Tap { name: "web0".into(), step: "open /dev/net/tun", source: os(libc::EPERM) };
        assert_eq!(
            tap.to_string(),
            "port web0: cannot open /dev/net/tun: operation not permitted (needs CAP_NET_ADMIN)"
        );
        let underlay = |local: &str, errno| {
            Error::Underlay { local: local.parse().unwrap(), port: 4789, source: os(errno) }.to_string()
        };
        assert_eq!(
            underlay("10.0.0.1", libc::EADDRINUSE),
            "underlay 10.0.0.1:4789: address already in use \
             (another VXLAN device or switch holds it; choose another with --vxlan-port)"
        );
        let busy = Error::Xdp { ifname: "eth1".into(), step: crate::xdp::step::NATIVE, source: os(libc::EBUSY) };
        assert_eq!(
            busy.to_string(),
            "interface eth1: cannot attach an XDP program in native mode: device or resource busy \
             (another XDP program is attached: see `ip link`)"
        );
        assert!(underlay("fd00::1", libc::EADDRNOTAVAIL).starts_with("underlay [fd00::1]:4789: cannot assign"));
    }
}
