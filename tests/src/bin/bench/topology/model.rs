//! What the underlay's NICs can do, played by a veth pair with these offloads on both ends.

use anyhow::Result;
use tests::Place;
use tests::underlay::LINK;

use super::Side;

/// An underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// The veth as it is: super-frames cross whole, tunnelled ones too. Kinder to the kernel than any NIC.
    M0,
    /// A NIC that segments nothing: frames of the MTU on the wire, joined again (GRO) by the receiver.
    M1,
    /// A NIC that segments UDP (USO), but nothing inside a tunnel.
    M2,
}

/// ethtool's names of what differs. On a veth, GRO towards a UDP socket happens only if the sender's `tso` is off.
const FEATURES: [&str; 5] =
    ["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-udp-segmentation", "tso", "gro"];

impl Model {
    fn settings(self) -> [&'static str; 5] {
        match self {
            Model::M0 => ["on", "on", "on", "on", "off"],
            Model::M1 => ["off", "off", "off", "off", "on"],
            Model::M2 => ["off", "off", "on", "off", "on"],
        }
    }

    /// Sets the underlay links of that side. ethtool fails where a feature cannot be had.
    pub(crate) fn impose(self, side: &Side) -> Result<()> {
        let settings = self.settings();
        let words = FEATURES.iter().zip(&settings).flat_map(|(feature, setting)| [*feature, *setting]);
        let argv: Vec<&str> = ["ethtool", "-K", LINK].into_iter().chain(words).collect();
        side.hosts.iter().try_for_each(|host| host.exec(&argv).map(drop))
    }
}
