//! The whole engine on a sequence of frames from a guarded port, an open port and the underlay: it never
//! panics, and every frame that leaves by a port parses.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use switch::{
    BridgeId, BridgeSettings, Datagram, Guard, Limits, Out, Place, PortId, PortSettings, Switch, Update, Vni,
};
use wire::{Frame, Mac, Offload, Time};

const RED: BridgeId = BridgeId(1);
const GUARDED: PortId = PortId(1);
const OPEN: PortId = PortId(2);
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

fn engine() -> Switch {
    let mut switch = Switch::new(Limits { flows: 256, join_udp: true }, 42);
    let now = Time::from_secs(1);
    let vni = Vni::new(4096).expect("a VNI");
    switch.apply(now, Update::Bridge { id: RED, settings: BridgeSettings::new("RED", Some(vni), 1450) });
    let here = Ipv4Addr::new(10, 10, 10, 2);
    let (mac, addresses) = (Mac::from_ipv4(here), vec![IpAddr::V4(here)]);
    let guard = Some(Guard { mac, addresses: addresses.clone() });
    switch.apply(now, Update::Port {
        id: GUARDED,
        settings: PortSettings { name: "guarded".into(), bridge: RED, guard },
    });
    switch.apply(now, Update::Port {
        id: OPEN,
        settings: PortSettings { name: "open".into(), bridge: RED, guard: None },
    });
    switch.apply(now, Update::Endpoint { bridge: RED, mac, addresses, place: Place::Port(GUARDED) });
    let there = Ipv4Addr::new(10, 10, 10, 3);
    switch.apply(now, Update::Peer { bridge: RED, vtep: PEER });
    switch.apply(now, Update::Endpoint {
        bridge: RED,
        mac: Mac::from_ipv4(there),
        addresses: vec![IpAddr::V4(there)],
        place: Place::Tunnel(PEER),
    });
    switch
}

fuzz_target!(|data: &[u8]| {
    let mut switch = engine();
    let mut out = Out::new(8);
    let mut rest = data;
    let mut step = 0;
    // Records: one byte where from, two bytes of length, then the frame (with its virtio-net header, from a
    // port) or the datagram.
    while let Some((head, tail)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([head[1], head[2]])).min(tail.len());
        let (bytes, after) = tail.split_at(len);
        rest = after;
        step += 1;
        let now = Time::from_secs(1 + step);
        if head[0] & 1 == 0 {
            let Some((header, bytes)) = bytes.split_first_chunk::<{ Offload::LEN }>() else { continue };
            let mut frame = Frame::from_bytes(bytes);
            frame.offload = Offload::from_bytes(header);
            let from = if head[0] & 2 == 0 { GUARDED } else { OPEN };
            switch.process(now, from, &mut vec![frame], &mut out);
        } else {
            let from = if head[0] & 2 == 0 { PEER } else { STRANGER };
            let segment = if head[0] & 4 == 0 { bytes.len() } else { 60 };
            let datagram = Datagram { from, ecn: head[0] >> 6, bytes, segment };
            switch.decapsulate(now, std::iter::once(datagram), &mut out);
        }
        for (_, frame) in &out.frames {
            wire::parse(frame.bytes()).expect("what leaves by a port parses");
        }
        out.clear();
    }
});
