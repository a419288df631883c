//! What can be measured, by the names of the design, against whom, and the ratio that has to be reached. The two that decide
//! most come first.

use crate::load::{Load, Passage};
use crate::peer::Against;
use crate::peer::Peer::{Docker, Iptables, Kernel, OvsAfxdp, OvsTso, OvsTsoTap};
use crate::solo::growth::Table;
use crate::topology::Model;

/// One line of the bench.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    /// Whom it is compared with side by side.
    pub(crate) peers: &'static [Against],
}

/// How a case is measured.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Two containers of one host.
    Local(Load),
    /// The same on AF_XDP ports.
    Xdp(Load),
    /// One container on each of two hosts, over this underlay.
    Tunnel(Model, Load),
    /// One container, and the outside of its host.
    Edge(Passage),
    /// Nothing but the engine.
    Engine,
    /// The engine alone, with many connections and with few.
    Connections,
    /// What rules cost.
    Rules,
    /// A stream beside a flood.
    Flood,
    /// Small frames past a table with few entries and with many.
    Growth(Table),
    /// Ports that all send more than fits.
    Fairness,
    /// A daemon without traffic: CPU time.
    Idle,
    /// A daemon without traffic: memory.
    Memory,
}

const TCP1: Load = Load::Tcp { streams: 1 };
const TCP4: Load = Load::Tcp { streams: 4 };

/// All cases, in the order they run without arguments.
pub(crate) const CASES: &[Case] = &[
    case("local-tcp1", "one host, one TCP stream", Kind::Local(TCP1)).against(&[
        (Kernel, 0.95),
        (OvsTso, 1.25),
        (OvsTsoTap, 1.25),
    ]),
    case("vxlan-tcp1-m0", "two hosts, one TCP stream, underlay with every offload", Kind::Tunnel(Model::M0, TCP1))
        .against(&[(Kernel, 1.0)]),
    case("local-tcp4", "one host, four TCP streams", Kind::Local(TCP4)).against(&[(Kernel, 0.5)]),
    case("local-60b", "one host, UDP frames of 60 bytes", Kind::Local(Load::SmallFrames)).against(&[(Kernel, 1.3)]),
    case("local-rr", "one host, one byte there and back", Kind::Local(Load::RequestResponse)).against(&[(Kernel, 1.4)]),
    case("vxlan-tcp4-m0", "two hosts, four TCP streams, underlay with every offload", Kind::Tunnel(Model::M0, TCP4))
        .against(&[(Kernel, 0.55)]),
    case("vxlan-60b-m0", "two hosts, UDP frames of 60 bytes", Kind::Tunnel(Model::M0, Load::SmallFramesOfMany))
        .against(&[(Kernel, 3.0)]),
    case("vxlan-rr", "two hosts, one byte there and back", Kind::Tunnel(Model::M0, Load::RequestResponse))
        .against(&[(Kernel, 1.3)]),
    case("vxlan-tcp1-m1", "two hosts, one TCP stream, underlay without segmentation", Kind::Tunnel(Model::M1, TCP1))
        .against(&[(Kernel, 1.25), (Docker, 1.25)]),
    case("vxlan-tcp4-m1", "two hosts, four TCP streams, underlay without segmentation", Kind::Tunnel(Model::M1, TCP4))
        .against(&[(Kernel, 1.0)]),
    case("vxlan-tcp1-m2", "two hosts, one TCP stream, underlay with USO only", Kind::Tunnel(Model::M2, TCP1))
        .against(&[(Kernel, 2.0)]),
    case("vxlan-tcp4-m2", "two hosts, four TCP streams, underlay with USO only", Kind::Tunnel(Model::M2, TCP4))
        .against(&[(Kernel, 1.7)]),
    case("nat-up", "one TCP stream out of a container, source translated", Kind::Edge(Passage::Up))
        .against(&[(Iptables, 0.95)]),
    case("nat-down", "one TCP stream into a container that connected, source translated", Kind::Edge(Passage::Down))
        .against(&[(Iptables, 0.95)]),
    case("publish-tcp1", "one TCP stream from outside to a published port", Kind::Edge(Passage::Published))
        .against(&[(Docker, 0.95), (Iptables, 0.95)]),
    case("publish-cps", "connections from outside to a published port", Kind::Edge(Passage::Connections))
        .against(&[(Docker, 1.0), (Iptables, 1.0)]),
    case("xdp-60b", "one host, AF_XDP ports, UDP frames of 60 bytes", Kind::Xdp(Load::SmallFramesAndCost))
        .against(&[(Kernel, 1.6), (OvsAfxdp, 1.0)]),
    case("rules10k", "new flows and a stream past 10,000 rules", Kind::Rules),
    case("engine-64b", "the engine alone, frames of 64 bytes of one cached flow, one core", Kind::Engine),
    case("conns-1m", "the engine alone, a million translated connections, one core", Kind::Connections),
    case("growth-fdb", "frames of 60 bytes from few stations and from many", Kind::Growth(Table::Fdb)),
    case("growth-networks", "frames of 60 bytes in one of few networks and of many", Kind::Growth(Table::Networks)),
    case("growth-peers", "frames of 60 bytes to one of few hosts and of many", Kind::Growth(Table::Peers)),
    case("growth-flows", "frames of 60 bytes of few flows and of many", Kind::Growth(Table::Flows)),
    case("growth-ports", "frames of 60 bytes between ten ports, alone and among 1,000", Kind::Growth(Table::Ports)),
    case("fair", "ports that all send more than fits, one of them a flood", Kind::Fairness),
    case("syn-flood", "one TCP stream on a host whose other container is flooded", Kind::Flood),
    case("idle", "CPU of a daemon with 50 containers and no traffic", Kind::Idle),
    case("memory", "resident memory of a daemon: empty, with 1,000 ports, with 1,000,000 flows", Kind::Memory),
];

const fn case(name: &'static str, about: &'static str, kind: Kind) -> Case {
    Case { name, about, kind, peers: &[] }
}

impl Case {
    const fn against(self, peers: &'static [Against]) -> Case {
        Case { peers, ..self }
    }
}
