//! Whom the switch is compared with.

/// Something that people use today for the same purpose, set up by the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The kernel's veth, bridge and `vxlan` device.
    Kernel,
    /// The kernel's routing with iptables rules.
    Iptables,
    /// Open vSwitch, userspace datapath with TSO, containers on veth links.
    OvsTso,
    /// The same, containers on TAP links of its own making.
    OvsTsoTap,
    /// Open vSwitch, userspace datapath on AF_XDP sockets, containers on veth links.
    OvsAfxdp,
    /// Docker's engine with its own networks.
    Docker,
}

impl Peer {
    /// Its name in the report.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Peer::Kernel => "kernel",
            Peer::Iptables => "iptables",
            Peer::OvsTso => "ovs-tso",
            Peer::OvsTsoTap => "ovs-tso-tap",
            Peer::OvsAfxdp => "ovs-afxdp",
            Peer::Docker => "docker",
        }
    }
}

/// A peer, and the ratio that the switch has to reach.
pub(crate) type Against = (Peer, f64);
