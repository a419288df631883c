//! An engine with what a case needs around it, and frames as a device hands them over.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::{Work, packet};
use switch::{
    BridgeId, BridgeSettings, Gateway, Guard, Limits, Out, Place, PortId, PortSettings, Route, Switch, Update,
};
use wire::{Frame, Gso, Mac, Offload, Time, parse};

pub(crate) const RED: BridgeId = BridgeId(1);
pub(crate) const NOW: Time = Time::from_secs(1);
/// Frames of one call, as of one turn.
pub(crate) const BATCH: usize = 64;
/// TCP payload of one segment in a tunnelled network (MTU 1450), and segments of a super-frame.
pub(crate) const SEGMENT: usize = 1_398;
pub(crate) const SEGMENTS: usize = 43;

/// Bytes that a case may have changed in a frame: its headers.
const HEAD: usize = 66;

/// A frame as a device hands it over: offload header, then bytes.
pub(crate) struct Template(Vec<u8>);

impl Template {
    /// A frame whose checksum is complete.
    pub(crate) fn plain(bytes: &[u8]) -> Template {
        Template([&Offload::NONE.to_bytes()[..], bytes].concat())
    }

    /// A TCP super-frame, its checksum left to a device.
    pub(crate) fn super_frame(bytes: &[u8]) -> Template {
        let headers = parse(bytes).expect("a sound frame");
        let offload = Offload::segmented(Gso::Tcp4, SEGMENT as u16, headers.payload, headers.l4, 16);
        Template([&offload.to_bytes()[..], bytes].concat())
    }
}

pub(crate) struct World {
    pub(crate) switch: Switch,
    pub(crate) out: Out,
    batch: Vec<Frame>,
}

impl World {
    pub(crate) fn new(limits: Limits) -> World {
        // As `Switch::new`, but with room for few connections: tables for a million take long to make.
        let settings =
            nat::Settings { connections: 4_096, connections_per_zone: 4_096, report_gone: true, ..nat::Settings::RFC };
        let mut state = 7u64;
        let random = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            state.rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        let switch = Switch::with_translation(limits, 42, settings, Box::new(random), Box::new(|_, _, _| true));
        World { switch, out: Out::new(2 * BATCH), batch: Vec::with_capacity(BATCH) }
    }

    /// The same with RED, a network of that MTU, its VNI 42 if it is tunnelled.
    pub(crate) fn with_network(flows: usize, vni: Option<u32>, mtu: u16) -> World {
        let mut world = World::new(Limits { flows, join_udp: true });
        let vni = vni.map(|vni| switch::Vni::new(vni).expect("a VNI"));
        world.apply(Update::Bridge { id: RED, settings: BridgeSettings::new("RED", vni, mtu) });
        world
    }

    /// The same with a gateway and a way out, to an uplink of MTU 1500.
    pub(crate) fn with_gateway(flows: usize) -> World {
        let mut world = World::new(Limits { flows, join_udp: true });
        let gateway = Gateway {
            mac: Mac(packet::mac(GATEWAY.into())),
            addresses: vec!["10.0.0.1/16".parse().expect("a subnet")],
            internal: false,
            host_access: true,
        };
        let settings = BridgeSettings { gateway: Some(gateway), ..BridgeSettings::new("RED", None, 1_500) };
        world.apply(Update::Bridge { id: RED, settings });
        world.apply(Update::Uplink { mac: Some(Mac([2; 6])) });
        let route = Route { to: "0.0.0.0/0".parse().expect("a prefix"), source: HOST.into(), mtu: 1_500 };
        world.apply(Update::Host { addresses: vec![HOST.into()], routes: vec![route] });
        world
    }

    pub(crate) fn apply(&mut self, update: Update) {
        self.switch.apply(NOW, update);
    }

    /// A guarded port with the endpoint of that number behind it.
    pub(crate) fn endpoint(&mut self, number: u32) -> PortId {
        let (id, address) = (PortId(number), IpAddr::V4(packet::endpoint(number)));
        let (mac, addresses) = (Mac(packet::mac(address)), vec![address]);
        let guard = Some(Guard { mac, addresses: addresses.clone() });
        self.apply(Update::Port { id, settings: PortSettings { name: "endpoint".into(), bridge: RED, guard } });
        self.apply(Update::Endpoint { bridge: RED, mac, addresses, place: Place::Port(id) });
        id
    }

    /// An endpoint of that number behind another host.
    pub(crate) fn remote(&mut self, number: u32) {
        let address = IpAddr::V4(packet::endpoint(number));
        let (mac, place) = (Mac(packet::mac(address)), Place::Tunnel(PEER));
        self.apply(Update::Peer { bridge: RED, vtep: PEER });
        self.apply(Update::Endpoint { bridge: RED, mac, addresses: vec![address], place });
    }

    /// Puts as many frames with that content into the pool: from then on only headers have to be written again.
    pub(crate) fn prime(&mut self, template: &Template, count: usize) {
        let frames: Vec<Frame> = (0..count)
            .map(|_| {
                let mut frame = self.out.pool.get();
                frame.receive_area()[..template.0.len()].copy_from_slice(&template.0);
                frame
            })
            .collect();
        frames.into_iter().for_each(|frame| self.out.pool.put(frame));
    }

    /// Puts a frame into the next batch.
    pub(crate) fn arrive(&mut self, template: &Template) {
        let mut frame = self.out.pool.get();
        let head = template.0.len().min(Offload::LEN + HEAD);
        frame.receive_area()[..head].copy_from_slice(&template.0[..head]);
        frame.received(template.0.len());
        self.batch.push(frame);
    }

    /// Lets the batch come in by a port. So many frames and trains must come of it, and are dropped.
    pub(crate) fn process(&mut self, from: PortId, came: (usize, usize)) {
        self.switch.process(NOW, from, &mut self.batch, &mut self.out);
        assert!(self.batch.is_empty());
        assert_eq!((self.out.frames.len(), self.out.trains.len()), came);
        self.out.clear();
    }

    /// Lets that many such frames come in by a port, at once.
    pub(crate) fn pass(&mut self, template: &Template, count: usize, from: PortId, came: (usize, usize)) {
        (0..count).for_each(|_| self.arrive(template));
        self.process(from, came);
    }

    /// The first frame of a flow, which becomes one frame: what is decided for it is cached then.
    pub(crate) fn begin(&mut self, template: &Template, from: PortId) {
        self.prime(template, BATCH);
        self.pass(template, 1, from, (1, 0));
    }

    /// That many such frames at once, again and again; what is reported is the cost of one.
    pub(crate) fn repeat(mut self, template: Template, count: usize, from: PortId, came: (usize, usize)) -> Work {
        self.prime(&template, count);
        Work::batch(count as u32, move || self.pass(&template, count, from, came))
    }
}

pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

pub(crate) fn end(number: u32, port: u16) -> SocketAddr {
    (packet::endpoint(number), port).into()
}
