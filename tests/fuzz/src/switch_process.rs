//! A guarded endpoint sends as itself and nobody else, to its own network and nowhere else; every frame comes out or is
//! counted as dropped; a flow from the cache decides as the first frame did. No frame leaves its VLAN.

use std::net::{IpAddr, Ipv6Addr};

use switch::{FdbRow, Out, PortId, Switch};
use wire::{Frame, Layer3, Mac, Offload, arp, checksum, nd, parse, protocol};

use super::records::{receive, records};
use super::world::{self, ACCESS, BLUE, Frames, MTU, NOW, RED, RED_VTEP, SENDER, TRUNK, addresses, bridge_of, mac};

/// The input is a row of frames, each behind its offload header.
pub fn run(data: &[u8]) {
    let mut switch = world::engine();
    let mut out = Out::new(16);
    let blue = fdb(&switch, BLUE);
    for record in records(data) {
        let first = send(&mut switch, &mut out, record);
        let again = send(&mut switch, &mut out, record);
        assert_eq!(first, again, "the cached decision is the first one");
        for from in [TRUNK, ACCESS] {
            stays_in_vlan(&mut switch, &mut out, from, record);
        }
    }
    assert_eq!(fdb(&switch, BLUE), blue, "nothing is learned in another network");
}

/// What comes from the VLAN's ports stays in the VLAN.
fn stays_in_vlan(switch: &mut Switch, out: &mut Out, from: PortId, record: &[u8]) {
    let mut frame = out.pool.get();
    if !receive(record, &mut frame) {
        return;
    }
    switch.process(NOW, from, &mut vec![frame], out);
    for (port, bytes, _) in world::frames(out) {
        assert!([ACCESS, TRUNK].contains(&port), "{port:?} is of another VLAN");
        let tag = parse(&bytes).map_or(0, |headers| headers.key.tag());
        assert!(port != ACCESS || tag & 0xfff == 0, "an access port sees no VLAN's tag");
    }
    assert_eq!(out.trains.iter().count(), 0, "tunnels carry the untagged network");
}

type Sent = (Frames, Vec<(IpAddr, Vec<u8>)>);

fn send(switch: &mut Switch, out: &mut Out, record: &[u8]) -> Option<Sent> {
    let mut frame = out.pool.get();
    if !receive(record, &mut frame) {
        return None;
    }
    let (sent, offload) = (frame.bytes().to_vec(), frame.offload);
    let dropped = switch.counters().dropped_in_all();
    switch.process(NOW, SENDER, &mut vec![frame], out);
    let frames = world::frames(out);
    for (port, bytes, own) in &frames {
        assert_eq!(bridge_of(*port), RED, "{port:?} is of another network");
        assert!(![ACCESS, TRUNK].contains(port), "{port:?} is of another VLAN");
        match *port == SENDER {
            true => assert_is_answer(bytes),
            false => assert_is_own(*port, bytes, *own, &sent, offload),
        }
    }
    let mut tunnelled = Vec::new();
    for train in out.trains.iter() {
        for (bytes, segment) in train.sends() {
            bytes.chunks(segment).for_each(|datagram| tunnelled.push((train.to, datagram.to_vec())));
        }
    }
    out.trains.clear();
    for (to, datagram) in &tunnelled {
        let (vni, inner) = vxlan::decode(datagram).expect("we send VXLAN");
        assert_eq!((*to, vni), (RED_VTEP, 42));
        assert_sender(inner);
        assert!(parse(inner).is_ok_and(|headers| headers.tag.is_none()) && inner.len() <= usize::from(MTU) + 14);
    }
    let dropped = switch.counters().dropped_in_all() - dropped;
    assert!(!frames.is_empty() || !tunnelled.is_empty() || dropped > 0, "a frame vanished");
    Some((frames, tunnelled))
}

/// What leaves by another port is what came in, and is the endpoint's own also once its checksum is completed.
fn assert_is_own(port: PortId, bytes: &[u8], own: Offload, sent: &[u8], offload: Offload) {
    assert_eq!((bytes, own), (sent, offload), "{port:?}");
    assert_sender(bytes);
    if let Some((start, offset)) = offload.partial_checksum() {
        let mut frame = Frame::from_bytes(bytes);
        // The segments of a super-frame are completed one by one; here only the place counts. Outside the frame, the
        // receiving kernel refuses it.
        frame.offload = Offload::partial(start, offset);
        if checksum::complete(&mut frame).is_ok() {
            assert_sender(frame.bytes());
        }
    }
}

/// The link-local address that belongs to the endpoint's MAC address.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0042, 0x0aff, 0xfe0a, 0x0a02);

fn assert_sender(bytes: &[u8]) {
    let headers = parse(bytes).expect("only what parses is passed on");
    assert_eq!(headers.key.src_mac(), mac(2));
    let mine = |address: IpAddr| address == LINK_LOCAL || addresses(2).contains(&address);
    if headers.layer3 == Layer3::Arp {
        let arp = arp::parse(bytes, &headers).expect("only ARP that is understood is passed on");
        assert!(arp.sender_mac == mac(2) && (arp.sender.is_unspecified() || mine(arp.sender.into())));
    }
    if let Ok(Some(nd::Message::Advertisement { target, target_mac, .. })) = nd::parse(bytes, &headers) {
        assert!(mine(target.into()) && target_mac.is_none_or(|own| own == mac(2)), "{target}");
    }
    let dhcp = headers.key.protocol() == protocol::UDP && headers.key.dst_port() == 67;
    match headers.key.src() {
        None => {}
        Some(src) if mine(src) => {}
        Some(IpAddr::V4(src)) => assert!(src.is_unspecified() && dhcp, "{src}"),
        Some(IpAddr::V6(src)) => assert!(src.is_unspecified() && headers.key.protocol() == protocol::ICMPV6, "{src}"),
    }
}

/// What comes back is the switch's answer in the name of a neighbour.
fn assert_is_answer(bytes: &[u8]) {
    let headers = parse(bytes).expect("our answers parse");
    assert!([mac(3), mac(4)].contains(&headers.key.src_mac()));
    let to = headers.key.dst_mac();
    assert!(to == mac(2) || to == Mac([0x33, 0x33, 0, 0, 0, 1]), "{to}");
    match headers.layer3 {
        Layer3::Arp => assert!(arp::parse(bytes, &headers).is_some_and(|arp| !arp.request)),
        _ => assert!(matches!(nd::parse(bytes, &headers), Ok(Some(nd::Message::Advertisement { .. })))),
    }
}

fn fdb(switch: &Switch, bridge: switch::BridgeId) -> Vec<FdbRow> {
    let mut rows: Vec<FdbRow> = switch.fdb(NOW).into_iter().filter(|row| row.bridge == bridge).collect();
    rows.sort_by_key(|row| row.mac);
    rows
}
