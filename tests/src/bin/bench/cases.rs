//! What can be measured, by the names of the design. The two that decide most come first.

use crate::load::{Load, Passage};
use crate::topology::Model;

/// One line of the bench.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
}

/// How a case is measured.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Two containers of one host.
    Local(Load),
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
    /// A daemon without traffic: CPU time.
    Idle,
    /// A daemon without traffic: memory.
    Memory,
}

const TCP1: Load = Load::Tcp { streams: 1 };
const TCP4: Load = Load::Tcp { streams: 4 };

/// All cases, in the order they run without arguments.
pub(crate) const CASES: &[Case] = &[
    case("local-tcp1", "one host, one TCP stream", Kind::Local(TCP1)),
    case("vxlan-tcp1-m0", "two hosts, one TCP stream, underlay with every offload", Kind::Tunnel(Model::M0, TCP1)),
    case("local-tcp4", "one host, four TCP streams", Kind::Local(TCP4)),
    case("local-60b", "one host, UDP frames of 60 bytes", Kind::Local(Load::SmallFrames)),
    case("local-rr", "one host, one byte there and back", Kind::Local(Load::RequestResponse)),
    case("vxlan-tcp4-m0", "two hosts, four TCP streams, underlay with every offload", Kind::Tunnel(Model::M0, TCP4)),
    case("vxlan-60b-m0", "two hosts, UDP frames of 60 bytes", Kind::Tunnel(Model::M0, Load::SmallFrames)),
    case("vxlan-rr", "two hosts, one byte there and back", Kind::Tunnel(Model::M0, Load::RequestResponse)),
    case("vxlan-tcp1-m1", "two hosts, one TCP stream, underlay without segmentation", Kind::Tunnel(Model::M1, TCP1)),
    case("vxlan-tcp4-m1", "two hosts, four TCP streams, underlay without segmentation", Kind::Tunnel(Model::M1, TCP4)),
    case("vxlan-tcp1-m2", "two hosts, one TCP stream, underlay with USO only", Kind::Tunnel(Model::M2, TCP1)),
    case("vxlan-tcp4-m2", "two hosts, four TCP streams, underlay with USO only", Kind::Tunnel(Model::M2, TCP4)),
    case("nat-up", "one TCP stream out of a container, source translated", Kind::Edge(Passage::Up)),
    case("nat-down", "one TCP stream into a container that connected, source translated", Kind::Edge(Passage::Down)),
    case("publish-tcp1", "one TCP stream from outside to a published port", Kind::Edge(Passage::Published)),
    case("publish-cps", "connections from outside to a published port", Kind::Edge(Passage::Connections)),
    case("engine-64b", "the engine alone, frames of 64 bytes of one cached flow, one core", Kind::Engine),
    case("rules10k", "new flows and a stream past 10,000 rules, next to 10", Kind::Rules),
    case("syn-flood", "one TCP stream on a host whose other container is flooded", Kind::Flood),
    case("conns-1m", "the engine alone, a million translated connections, one core", Kind::Connections),
    case("idle", "CPU of a daemon with 50 containers and no traffic", Kind::Idle),
    case("memory", "resident memory of a daemon, empty and with 200 ports", Kind::Memory),
];

const fn case(name: &'static str, about: &'static str, kind: Kind) -> Case {
    Case { name, about, kind }
}
