//! Forwarding table, networks and peers of any size, on data threads without a daemon.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use switch::{BridgeId, BridgeSettings, Place, PortId, Update, Vni};
use tests::Netns;
use tests::Place as _;
use tests::underlay::veth;
use wire::Mac;

use super::Path;
use super::bare::Bare;
use crate::load::sink::Sink;
use crate::load::spray::{Spray, Vary};
use crate::topology::{A, B};

/// The network that frames are in.
const BUSY: BridgeId = BridgeId(1);
/// Longest packet of every network, in bytes.
const MTU: u16 = 1_450;
/// Ports in use.
const SENDER: u32 = 1;
const RECEIVER: u32 = 2;
/// Links' own addresses; the sender's other stations have its first two bytes.
const FROM: Mac = Mac([0x02, 0x00, 0xff, 0xff, 0x00, 0x01]);
const TO: Mac = Mac([0x02, 0x01, 0xff, 0xff, 0x00, 0x02]);
const ONE: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);
/// Frames that differ in nothing else come from so many ports.
const FLOWS: u32 = 10;

/// So many stations behind the sender's port, all of which send.
pub(super) fn stations(count: u32) -> Result<Path<Bare>> {
    let bare = Bare::start(Netns::create()?, None)?;
    bare.apply(vec![network(BUSY, None)])?;
    let (from, to) = (bare.attach(SENDER, BUSY, A, FROM)?, bare.attach(RECEIVER, BUSY, B, TO)?);
    let station = |number| Update::Static { bridge: BUSY, mac: mac(0, number), place: Place::Port(PortId(SENDER)) };
    bare.apply((0..count).map(station).collect())?;
    path(from, to, Vary::Station, count, bare)
}

/// So many networks, one of which has containers.
pub(super) fn networks(count: u32) -> Result<Path<Bare>> {
    let bare = Bare::start(Netns::create()?, None)?;
    bare.apply((1..=count).map(|number| network(BridgeId(number), None)).collect())?;
    let (from, to) = (bare.attach(SENDER, BUSY, A, FROM)?, bare.attach(RECEIVER, BUSY, B, TO)?);
    path(from, to, Vary::Ports, FLOWS, bare)
}

/// So many hosts with a part in a network and an endpoint each, for both of the two that talk.
pub(super) fn peers(count: u32) -> Result<Path<[Bare; 2]>> {
    let (one, two) = (Netns::create()?, Netns::create()?);
    veth(&one, "under0", &two, "under0", "1500")?;
    for (host, address) in [(&one, ONE), (&two, TWO)] {
        host.exec(&["ip", "address", "add", &format!("{address}/24"), "dev", "under0"])?;
    }
    let start = |host, own, other, far: (Mac, Ipv4Addr)| -> Result<Bare> {
        let bare = Bare::start(host, Some(own))?;
        bare.apply(vec![network(BUSY, Some(Vni::new(crate::topology::VNI).context("a VNI")?))])?;
        let vtep = |number| IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 0)) + number));
        let peer = |number| Update::Peer { bridge: BUSY, vtep: vtep(number) };
        let endpoint = |number| Update::Endpoint {
            bridge: BUSY,
            mac: mac(4, number),
            addresses: Vec::new(),
            place: Place::Tunnel(vtep(number)),
        };
        bare.apply((1..count).map(peer).chain((1..count).map(endpoint)).collect())?;
        let other = IpAddr::V4(other);
        let (mac, addresses) = (far.0, vec![IpAddr::V4(far.1)]);
        let endpoint = Update::Endpoint { bridge: BUSY, mac, addresses, place: Place::Tunnel(other) };
        bare.apply(vec![Update::Peer { bridge: BUSY, vtep: other }, endpoint])?;
        Ok(bare)
    };
    let (one, two) = (start(one, ONE, TWO, (TO, B))?, start(two, TWO, ONE, (FROM, A))?);
    let (from, to) = (one.attach(SENDER, BUSY, A, FROM)?, two.attach(RECEIVER, BUSY, B, TO)?);
    path(from, to, Vary::Ports, FLOWS, [one, two])
}

fn network(id: BridgeId, vni: Option<Vni>) -> Update {
    Update::Bridge { id, settings: BridgeSettings::new(&format!("net{}", id.0), vni, MTU) }
}

/// A station's address, of one of several sorts.
fn mac(sort: u8, number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([0x02, sort, a, b, c, d])
}

fn path<T>(from: Netns, to: Netns, vary: Vary, kinds: u32, alive: T) -> Result<Path<T>> {
    let spray = Spray::between((&from, A), (&to, B), vary, kinds)?;
    let sink = Sink::open(&to, B, spray.ports())?;
    // What is set up once is not the question.
    from.enter(|| spray.once())?;
    Ok(Path { spray, from, sink, alive })
}
