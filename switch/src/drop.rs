//! Why a frame was dropped. Every drop has exactly one reason, and every reason is counted and shown.

use serde::Serialize;

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident,)+) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DropReason { $($(#[doc = $meaning])+ $name,)+ }

        impl DropReason {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[DropReason] = &[$(DropReason::$name,)+];

            /// What it means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self { $(DropReason::$name => concat!($($meaning),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// headers contradict the frame's length
    Malformed,
    /// offload metadata contradicts the frame's headers
    BadOffload,
    /// the port belongs to no network, or to another one
    NoNetwork,
    /// addressed to 01:80:C2:00:00:0x, which a bridge never forwards
    LinkLocalControl,
    /// the source MAC address is not the endpoint's (source guard)
    GuardMac,
    /// the ARP sender is not the endpoint (source guard)
    GuardArp,
    /// the IP source is not the endpoint's (source guard)
    GuardIp,
    /// neighbour or router discovery that the endpoint may not send (source guard)
    GuardNd,
    /// the source is a group address or all zero
    BadSource,
    /// a frame from the underlay claims an endpoint or static station of this host as its source
    SourceHere,
    /// the destination is behind the port that the frame came from
    SamePort,
    /// VLAN 4095, which is reserved
    BadVlan,
    /// a VLAN that the port is no member of
    NotMember,
    /// it would leave untagged, but has a second 802.1Q tag behind the first
    SecondTag,
    /// to an endpoint of another VLAN of the network, by way of the gateway
    OtherVlan,
    /// nobody else is in the network
    NobodyThere,
    /// the container sent more than its port's rate lets through
    RateExceeded,
    /// more waits for the container than its port's egress rate sends in time
    ShaperFull,
    /// more broadcasts than the port may have flooded
    StormBroadcast,
    /// more multicasts than the port may have flooded
    StormMulticast,
    /// more frames to unknown stations than the port may have flooded
    StormUnknown,
    /// longer than the network's MTU
    TooBig,
    /// an 802.1Q tag, which a tunnel does not carry
    TunnelTag,
    /// a datagram that is not VXLAN: too short, or no valid VNI
    NotVxlan,
    /// the VNI is not of a network on this host
    UnknownVni,
    /// the sender is not a known VTEP of the network
    UnknownVtep,
    /// the inner frame makes no sense
    InnerMalformed,
    /// the inner checksum is wrong
    InnerChecksum,
    /// congestion was met on the way, and the inner transport cannot be told (RFC 6040)
    Congestion,
    /// an inner super-frame whose segment size is not known
    InnerSuperFrame,
    /// the link's queue is full
    PortFull,
    /// longer than the link carries
    PortTooBig,
    /// from an AF_XDP port, longer than a chunk of its memory
    PortTooLong,
    /// from an AF_XDP port, faster than the switch took it
    PortOverrun,
    /// from an AF_XDP port, by a queue that was made after the port
    PortUnclaimed,
    /// the link is down
    PortDown,
    /// the kernel refused the frame
    PortRefused,
    /// the port is gone
    PortGone,
    /// the underlay's send queue is full
    UnderlayFull,
    /// the peer cannot be reached over the underlay
    UnderlayUnreachable,
    /// longer than the underlay carries
    UnderlayTooBig,
    /// this host has no VTEP address (--advertise)
    NoUnderlay,
    /// not for a gateway: no IP, or an address that is not routed
    NotRouted,
    /// an 802.1Q tag on a frame for the gateway
    RoutedTag,
    /// a source that cannot be where the packet came from
    Martian,
    /// the TTL or hop limit ran out
    TimeExceeded,
    /// the gateway offers no such service
    NoService,
    /// sent to the gateway's name server, and no DNS query
    NoQuery,
    /// a DNS query that makes no sense, or may not be asked: for other names by a sandbox with internal networks only
    QueryRefused,
    /// more DNS queries for other names than a port, or all of them, may have open
    TooManyQuestions,
    /// more TCP connections to the gateway's name server than a port, or all of them, may have
    TooManyStreams,
    /// the answer to a DNS query whose asker is gone, or that makes no sense
    NoQuestion,
    /// no endpoint has the address, or none for that address family
    NoEndpoint,
    /// it would leave an internal network
    Internal,
    /// it would pass from one network to another
    OtherNetwork,
    /// the host has no route there
    NoRoute,
    /// there is no way to the host and outside (--uplink)
    NoUplink,
    /// from outside, to no connection, mapping or published port
    NoMapping,
    /// from outside, to a mapping whose owner has not sent there
    Filtered,
    /// all connections are taken, or all that this network or container may have
    TableFull,
    /// no free port to translate to
    NoPort,
    /// a rule drops it
    Denied,
    /// a rule rejects it
    Rejected,
    /// makes no sense in its connection (conntrack's INVALID)
    Invalid,
    /// a later fragment whose first did not come
    FirstMissing,
    /// cannot be translated: headers that hide its ends
    Untranslatable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_the_index() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(!reason.meaning().is_empty());
        }
    }
}
