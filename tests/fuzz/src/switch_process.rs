//! A guarded endpoint sends as itself and nobody else, to its own network and nowhere else; every frame comes out or is
//! counted as dropped; a flow from the cache decides as the first frame did.

use std::net::IpAddr;

use switch::{FdbRow, Out, PortId, Switch};
use wire::{Frame, Headers, Layer3, Mac, Offload, arp, nd, parse, protocol};

use super::records::{received, records};
use super::world::{self, BLUE, Frames, MTU, NOW, RED, RED_VTEP, SENDER, addresses, bridge_of, mac};

/// The input is a row of frames, each behind its offload header.
pub fn run(data: &[u8]) {
    let mut switch = world::engine();
    let mut out = Out::new(16);
    let blue = fdb(&switch, BLUE);
    for record in records(data) {
        let first = send(&mut switch, &mut out, record);
        let again = send(&mut switch, &mut out, record);
        assert_eq!(first, again, "the cached decision is the first one");
    }
    assert_eq!(fdb(&switch, BLUE), blue, "nothing is learned in another network");
}

type Sent = (Frames, Vec<(IpAddr, Vec<u8>)>);

fn send(switch: &mut Switch, out: &mut Out, record: &[u8]) -> Option<Sent> {
    let frame = received(record)?;
    let copy = Frame::from_bytes(frame.bytes());
    let offload = frame.offload;
    let dropped = switch.counters().dropped_in_all();
    switch.process(NOW, SENDER, &mut vec![frame], out);
    let frames = world::frames(out);
    for (port, bytes, own) in &frames {
        assert_eq!(bridge_of(*port), RED, "{port:?} is of another network");
        match *port == SENDER {
            true => assert_is_answer(bytes),
            false => assert_is_own(*port, bytes, *own, &copy, offload),
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
        let headers = parse(inner).expect("we send frames that make sense");
        assert_sender(&headers);
        assert!(headers.tag.is_none() && inner.len() <= usize::from(MTU) + 14);
    }
    let dropped = switch.counters().dropped_in_all() - dropped;
    assert!(!frames.is_empty() || !tunnelled.is_empty() || dropped > 0, "a frame vanished");
    Some((frames, tunnelled))
}

/// What leaves by another port is what came in, from the endpoint itself.
fn assert_is_own(port: PortId, bytes: &[u8], own: Offload, sent: &Frame, offload: Offload) {
    assert_eq!((bytes, own), (sent.bytes(), offload), "{port:?}");
    assert_sender(&parse(bytes).expect("only what parses is passed on"));
}

fn assert_sender(headers: &Headers) {
    assert_eq!(headers.key.src_mac(), mac(2));
    let dhcp = headers.key.protocol() == protocol::UDP && headers.key.dst_port() == 67;
    match headers.key.src() {
        None => {}
        Some(src) if addresses(2).contains(&src) => {}
        Some(IpAddr::V4(src)) => assert!(src.is_unspecified() && dhcp, "{src}"),
        Some(IpAddr::V6(src)) if src.is_unspecified() => assert_eq!(headers.key.protocol(), protocol::ICMPV6),
        Some(IpAddr::V6(src)) => assert!(src.is_unicast_link_local(), "{src}"),
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
