//! What can be set: timers, limits, strictness. Two profiles of timers; the RFC one is the default, because a translator
//! that forgets sooner than RFC 4787, 5382 and 5508 allow breaks what relies on them.

use serde::{Deserialize, Serialize};

use crate::tcp::TcpState;

/// Idle time, in seconds, after which a connection is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timers {
    /// SYN seen.
    pub tcp_syn_sent: u32,
    /// SYN and SYN/ACK seen.
    pub tcp_syn_recv: u32,
    /// Both sides have acknowledged.
    pub tcp_established: u32,
    /// One side has closed.
    pub tcp_fin_wait: u32,
    /// One side has closed, the other acknowledged it.
    pub tcp_close_wait: u32,
    /// Both sides have closed.
    pub tcp_last_ack: u32,
    /// Both sides have closed and acknowledged it.
    pub tcp_time_wait: u32,
    /// Reset.
    pub tcp_close: u32,
    /// Picked up midway, no answer seen yet.
    pub tcp_pickup: u32,
    /// At most this after [`Settings::max_retransmissions`] retransmissions.
    pub tcp_retransmitting: u32,
    /// At most this while something is not acknowledged.
    pub tcp_unacknowledged: u32,
    /// UDP.
    pub udp: u32,
    /// UDP that has been answered and lasts longer than two seconds.
    pub udp_stream: u32,
    /// ICMP and ICMPv6 queries.
    pub icmp: u32,
    /// Every other protocol.
    pub other: u32,
}

impl Timers {
    /// RFC 4787 REQ-5 (UDP), RFC 5382 REQ-5 (TCP: established includes half-closed; opening and closing are transitory),
    /// RFC 5508 REQ-2 (ICMP).
    pub const RFC: Timers = Timers {
        tcp_syn_sent: 240,
        tcp_syn_recv: 240,
        tcp_established: 7_440,
        tcp_fin_wait: 7_440,
        tcp_close_wait: 7_440,
        tcp_last_ack: 240,
        tcp_time_wait: 240,
        tcp_close: 240,
        tcp_pickup: 240,
        tcp_retransmitting: 7_440,
        tcp_unacknowledged: 7_440,
        udp: 300,
        udp_stream: 300,
        icmp: 60,
        other: 600,
    };

    /// What netfilter has when nobody sets anything (nf_conntrack-sysctl).
    pub const LINUX: Timers = Timers {
        tcp_syn_sent: 120,
        tcp_syn_recv: 60,
        tcp_established: 432_000,
        tcp_fin_wait: 120,
        tcp_close_wait: 60,
        tcp_last_ack: 30,
        tcp_time_wait: 120,
        tcp_close: 10,
        tcp_pickup: 300,
        tcp_retransmitting: 300,
        tcp_unacknowledged: 300,
        udp: 30,
        udp_stream: 120,
        icmp: 30,
        other: 600,
    };

    pub(crate) const fn tcp(&self, state: TcpState) -> u32 {
        match state {
            TcpState::None | TcpState::SynSent | TcpState::SynSent2 => self.tcp_syn_sent,
            TcpState::SynRecv => self.tcp_syn_recv,
            TcpState::Established => self.tcp_established,
            TcpState::FinWait => self.tcp_fin_wait,
            TcpState::CloseWait => self.tcp_close_wait,
            TcpState::LastAck => self.tcp_last_ack,
            TcpState::TimeWait => self.tcp_time_wait,
            TcpState::Close => self.tcp_close,
        }
    }
}

impl Default for Timers {
    fn default() -> Timers {
        Timers::RFC
    }
}

/// Who may send to a mapping from outside (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filtering {
    /// Anybody.
    EndpointIndependent,
    /// Hosts that the inside has sent to from there, from any port. The default: it lets through all that a client asked
    /// for, and no stranger.
    #[default]
    AddressDependent,
    /// Only whom the inside has sent to, address and port.
    AddressAndPortDependent,
}

/// How a tracker behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Idle times.
    pub timers: Timers,
    /// Most connections. A new one beyond that takes the place of an unassured one, or is not made.
    pub connections: u32,
    /// Most connections of a network that has no limit of its own set; the outside has none.
    pub connections_per_zone: u32,
    /// Most mappings of one container's address.
    pub bindings_per_host: u32,
    /// Most datagrams in pieces that are known at once; the oldest gives way.
    pub datagrams: u32,
    /// Idle time of a datagram in pieces, in seconds.
    pub fragment_timeout: u32,
    /// Whether TCP connections are picked up midway.
    pub loose: bool,
    /// Whether TCP segments outside the window pass.
    pub liberal: bool,
    /// Whether checksums are verified, where the sender's kernel or a device does not vouch for them.
    pub verify_checksums: bool,
    /// Retransmissions after which [`Timers::tcp_retransmitting`] bounds the idle time.
    pub max_retransmissions: u8,
    /// Whether packets from outside keep a mapping of the inside alive (RFC 4787 REQ-6a). TCP's always do.
    pub inbound_refresh: bool,
    /// Whether a TCP connection that is reset before anything else has come back is forgotten at once.
    pub forget_refused: bool,
    /// Who may send to a mapping from outside.
    pub filtering: Filtering,
    /// Whether [`Tracker::take_gone`](crate::Tracker::take_gone) is to have anything to say.
    pub report_gone: bool,
}

impl Settings {
    /// The default: behaves as the RFCs ask a translator to.
    pub const RFC: Settings = Settings {
        timers: Timers::RFC,
        connections: 262_144,
        connections_per_zone: 262_144,
        bindings_per_host: 16_384,
        datagrams: 4_096,
        fragment_timeout: 30,
        loose: true,
        liberal: false,
        verify_checksums: true,
        max_retransmissions: 3,
        inbound_refresh: false,
        forget_refused: false,
        filtering: Filtering::AddressDependent,
        report_gone: false,
    };

    /// Behaves as netfilter does by default.
    pub const LINUX: Settings = Settings {
        timers: Timers::LINUX,
        inbound_refresh: true,
        forget_refused: true,
        filtering: Filtering::AddressAndPortDependent,
        ..Settings::RFC
    };
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::RFC
    }
}
