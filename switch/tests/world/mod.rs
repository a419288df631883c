//! Two engines joined by an underlay of memory, with time moved by hand.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod outside;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use etherparse::PacketBuilder;
use ipnet::IpNet;
use switch::{
    BridgeId, BridgeSettings, Datagram, DropReason, Gateway, Guard, Limits, Out, Place, PortId, PortSettings, Switch,
    Update,
};
use wire::{Frame, Mac, Time};

pub const RED: BridgeId = BridgeId(1);
pub const BLUE: BridgeId = BridgeId(2);

/// One host: an engine, and what came out of it.
pub struct Host {
    pub switch: Switch,
    pub vtep: IpAddr,
    pub now: Time,
    pub out: Out,
}

/// Datagrams on the way: outer source, outer destination, ECN, bytes, segment size.
pub type OnTheWire = (IpAddr, IpAddr, u8, Vec<u8>, usize);

impl Host {
    pub fn new(number: u8) -> Host {
        Host {
            switch: Switch::new(Limits { flows: 4_096, join_udp: true }, 42),
            vtep: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
            now: Time::from_secs(1),
            out: Out::new(16),
        }
    }

    pub fn apply(&mut self, update: Update) {
        self.switch.apply(self.now, update);
    }

    pub fn bridge(&mut self, id: BridgeId, vni: Option<u32>) {
        let vni = vni.map(|vni| switch::Vni::new(vni).unwrap());
        self.apply(Update::Bridge { id, settings: BridgeSettings::new("net", vni, 1450) });
    }

    /// Gives a network of its own on this host one gateway, or several.
    pub fn gateway(&mut self, id: BridgeId, address: &str, internal: bool, host_access: bool) {
        self.gateways(id, &[address], internal, host_access);
    }

    pub fn gateways(&mut self, id: BridgeId, addresses: &[&str], internal: bool, host_access: bool) {
        let addresses: Vec<IpNet> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let IpAddr::V4(first) = addresses[0].addr() else { panic!("IPv4 first") };
        let gateway = Some(Gateway { mac: Mac::from_ipv4(first), addresses, internal, host_access });
        let settings = BridgeSettings { gateway, ..BridgeSettings::new("net", None, 1500) };
        self.apply(Update::Bridge { id, settings });
    }

    /// A port without source guard.
    pub fn open_port(&mut self, port: u32, bridge: BridgeId) -> PortId {
        let id = PortId(port);
        self.apply(Update::Port { id, settings: PortSettings { name: "open".into(), bridge, guard: None } });
        id
    }

    /// A port with an endpoint behind it: `02:42` and the address, guarded.
    pub fn endpoint(&mut self, port: u32, bridge: BridgeId, ip: Ipv4Addr) -> PortId {
        let (id, mac, addresses) = (PortId(port), Mac::from_ipv4(ip), vec![IpAddr::V4(ip), v6(ip)]);
        let guard = Some(Guard { mac, addresses: addresses.clone() });
        self.apply(Update::Port { id, settings: PortSettings { name: "endpoint".into(), bridge, guard } });
        self.apply(Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) });
        id
    }

    /// An endpoint of another host.
    pub fn remote(&mut self, bridge: BridgeId, ip: Ipv4Addr, vtep: IpAddr) {
        let (mac, addresses) = (Mac::from_ipv4(ip), vec![IpAddr::V4(ip), v6(ip)]);
        self.apply(Update::Peer { bridge, vtep });
        self.apply(Update::Endpoint { bridge, mac, addresses, place: Place::Tunnel(vtep) });
    }

    /// Sends a frame in through a port. Returns what left by ports, and what left for the underlay.
    pub fn send(&mut self, port: PortId, bytes: &[u8]) -> (Vec<(PortId, Frame)>, Vec<OnTheWire>) {
        self.send_frame(port, Frame::from_bytes(bytes))
    }

    pub fn send_frame(&mut self, port: PortId, frame: Frame) -> (Vec<(PortId, Frame)>, Vec<OnTheWire>) {
        self.switch.process(self.now, port, &mut vec![frame], &mut self.out);
        self.collect()
    }

    /// Ports that a frame left by.
    pub fn ports(&mut self, port: PortId, bytes: &[u8]) -> Vec<u32> {
        let mut ports: Vec<u32> = self.send(port, bytes).0.iter().map(|(id, _)| id.0).collect();
        ports.sort_unstable();
        ports
    }

    pub fn receive(&mut self, run: &OnTheWire) -> (Vec<(PortId, Frame)>, Vec<OnTheWire>) {
        let (from, _, ecn, bytes, segment) = run;
        let datagram = Datagram { from: *from, ecn: *ecn, bytes, segment: *segment };
        self.switch.decapsulate(self.now, std::iter::once(datagram), &mut self.out);
        self.collect()
    }

    fn collect(&mut self) -> (Vec<(PortId, Frame)>, Vec<OnTheWire>) {
        let mut wire = Vec::new();
        for train in self.out.trains.iter() {
            let runs = train.sends().map(|(bytes, segment)| (self.vtep, train.to, train.ecn, bytes.to_vec(), segment));
            wire.extend(runs);
        }
        self.out.trains.clear();
        (std::mem::take(&mut self.out.frames), wire)
    }

    pub fn later(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.switch.counters().dropped(reason)
    }

    /// Runs `work`, which must drop exactly one frame, for `reason` and no other.
    pub fn drops(&mut self, reason: DropReason, work: impl FnOnce(&mut Host) -> bool) {
        let (before, all) = (self.dropped(reason), self.switch.counters().dropped_in_all());
        let anything_came_out = work(self);
        assert!(!anything_came_out, "{reason:?}: something came out");
        let (count, others) = (self.dropped(reason) - before, self.switch.counters().dropped_in_all() - all);
        assert_eq!((count, others), (1, 1), "{reason:?}: {:?}", self.switch.drops());
    }
}

/// Host 1 and host 2 with one endpoint each in RED (VNI 42), and their ports.
pub fn pair() -> (Host, Host, PortId, PortId) {
    let (mut one, mut two) = (Host::new(1), Host::new(2));
    one.bridge(RED, Some(42));
    two.bridge(RED, Some(42));
    let (a, b) = (one.endpoint(1, RED, ip(2)), two.endpoint(1, RED, ip(3)));
    one.remote(RED, ip(3), two.vtep);
    two.remote(RED, ip(2), one.vtep);
    (one, two, a, b)
}

pub fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, 10, last)
}

pub fn v6(ip: Ipv4Addr) -> IpAddr {
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(ip.octets()[3])))
}

pub fn mac(last: u8) -> Mac {
    Mac::from_ipv4(ip(last))
}

/// A UDP frame between two endpoints of the 10.10.10.0/24 plan.
pub fn udp(src: u8, dst: u8, len: usize) -> Vec<u8> {
    udp_between(mac(src), mac(dst), ip(src), ip(dst), 1000, len)
}

pub fn udp_between(src: Mac, dst: Mac, from: Ipv4Addr, to: Ipv4Addr, port: u16, len: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(src.0, dst.0).ipv4(from.octets(), to.octets(), 64).udp(port, 2000);
    let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &payload).unwrap();
    bytes
}

/// A raw frame with that EtherType.
pub fn raw(src: Mac, dst: Mac, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&dst.0[..], &src.0[..], &ether_type.to_be_bytes()[..], payload].concat()
}

/// An ARP message.
pub fn arp(op: u16, sha: Mac, spa: Ipv4Addr, tha: Mac, tpa: Ipv4Addr, dst: Mac) -> Vec<u8> {
    let body =
        [&[0, 1, 8, 0, 6, 4][..], &op.to_be_bytes()[..], &sha.0[..], &spa.octets()[..], &tha.0[..], &tpa.octets()[..]]
            .concat();
    raw(sha, dst, 0x0806, &body)
}
