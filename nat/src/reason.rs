//! Why a packet is invalid, or a connection was not made. Every refusal has exactly one reason, counted and shown.

use serde::Serialize;

macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $name:ident,)+) => {
        /// Why a packet is invalid, or a connection was not made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[doc = $meaning])+ $name,)+ }

        impl Reason {
            /// All of them, in the order in which they are shown.
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// What it means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($meaning),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// a wrong IPv4 header checksum
    HeaderChecksum,
    /// a wrong TCP, UDP or ICMP checksum
    Checksum,
    /// an IPv4-mapped address on the wire
    Address,
    /// TCP flags that no sender sets together
    TcpFlags,
    /// a TCP segment that the connection's state does not allow, or that cannot begin one
    TcpState,
    /// a TCP segment outside the window
    TcpWindow,
    /// a TCP reset behind what its receiver has acknowledged (RFC 5961)
    TcpReset,
    /// an ICMP type that is neither query, answer nor error about a packet
    IcmpType,
    /// an ICMP answer that nobody asked for
    IcmpAnswer,
    /// an ICMP error whose quotation cannot be read
    IcmpQuotation,
    /// an ICMP error about no connection of this zone
    IcmpUnrelated,
    /// a fragment that overlaps the transport header, or contradicts the first one
    Fragment,
    /// a later fragment of a datagram whose connection was not made
    FragmentOrphan,
    /// too short for its transport header
    Short,
    /// all connections are taken, and none can be given up
    TableFull,
    /// all connections of the network are taken, and none can be given up
    ZoneFull,
    /// all mappings of the container are taken
    HostFull,
    /// no port was found to map to
    NoPort,
    /// both ends are in use by another connection
    Clash,
    /// the new ends are of the other address family
    Family,
    /// the mapping is gone
    NoBinding,
}

/// How often each happened.
#[derive(Clone, Debug)]
pub(crate) struct Reasons(Vec<u64>);

impl Reasons {
    pub(crate) fn new() -> Reasons {
        Reasons(vec![0; Reason::ALL.len()])
    }

    /// Counts one.
    pub(crate) fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    pub(crate) fn get(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }
}
