//! A datagram reaches ports of the network whose VNI it has, if its sender is a host of that network, and no others;
//! each is delivered or counted as dropped; nobody outside can speak as an endpoint of this host.

use std::net::IpAddr;

use switch::{BridgeId, Datagram, Out, Place, Switch};
use wire::parse;

use super::mend::mend;
use super::world::{self, BLUE, BLUE_VTEP, Frames, NOW, PORTS, RED, RED_VTEP, bridge_of, bridge_with, mac, vtep_of};

/// The first byte chooses the sender, the second has the outer ECN bits and whether inner checksums are put right first
/// (4); two bytes say how long a datagram is, the rest are datagrams one behind the other.
pub fn run(data: &[u8]) {
    let Some((&[from, flags, high, low], bytes)) = data.split_first_chunk::<4>() else { return };
    let from = [RED_VTEP, BLUE_VTEP, IpAddr::from([203, 0, 113, 9])][usize::from(from) % 3];
    let segment = usize::from(u16::from_be_bytes([high, low])).max(1);
    let mut bytes = bytes.to_vec();
    if flags & 4 != 0 {
        bytes.chunks_mut(segment).filter_map(|datagram| datagram.get_mut(8..)).for_each(mend);
    }
    let ecn = flags & 3;

    let (mut switch, mut out) = (world::engine(), Out::new(16));
    for datagram in bytes.chunks(segment) {
        let frames = receive(&mut switch, &mut out, Datagram { from, ecn, bytes: datagram, segment });
        let network = vxlan::decode(datagram).ok().and_then(|(vni, _)| bridge_with(vni));
        for (port, frame, _) in &frames {
            assert_eq!(Some(bridge_of(*port)), network, "{port:?} is of another network");
            assert_eq!(from, vtep_of(bridge_of(*port)), "the sender is no host of that network");
            let src = parse(frame).expect("only what parses is delivered").key.src_mac();
            assert!(src != mac(2) && src != mac(3), "{src} is an endpoint of this host");
        }
    }
    assert_at_home(&switch);

    // All at once: the same, with segments joined. What was learned the first time may change where a frame goes the
    // second time, but nothing changes after that, and the third time flows come from the cache.
    let (mut switch, mut out) = (world::engine(), Out::new(16));
    let run = Datagram { from, ecn, bytes: &bytes, segment };
    receive(&mut switch, &mut out, run);
    let second = receive(&mut switch, &mut out, run);
    let third = receive(&mut switch, &mut out, run);
    assert_eq!(second, third, "the cached decision is the first one");
    assert_at_home(&switch);
}

/// One run of datagrams, of which each must be accounted for.
fn receive(switch: &mut Switch, out: &mut Out, run: Datagram<'_>) -> Frames {
    let before = switch.counters().clone();
    switch.decapsulate(NOW, std::iter::once(run), out);
    assert!(out.trains.is_empty(), "what came from a tunnel never leaves by one");
    let frames = world::frames(out);
    let after = switch.counters();
    // An empty datagram is one, too.
    let datagrams = run.bytes.chunks(run.segment.max(1)).count().max(1);
    let dropped = (after.dropped_in_all() - before.dropped_in_all()) as usize;
    let [floods, joined] = [after.floods - before.floods, after.joined - before.joined].map(|count| count as usize);
    let rest = datagrams.checked_sub(dropped + floods + joined).expect("no datagram counts twice");
    // A flood goes to every port of the network; what was joined went into the frame of the segment before it.
    assert_eq!(frames.len(), rest + floods * PORTS, "{datagrams} datagrams: {dropped} dropped, {floods} flooded, {joined} joined");
    frames
}

/// This host's endpoints are still where they were.
fn assert_at_home(switch: &Switch) {
    let place = |bridge: BridgeId, last: u8| {
        let rows = switch.fdb(NOW);
        rows.iter().find(|row| row.bridge == bridge && row.mac == mac(last)).map(|row| row.place)
    };
    for (bridge, first) in [(RED, 1), (BLUE, 4)] {
        for (number, last) in [(first, 2), (first + 1, 3)] {
            assert_eq!(place(bridge, last), Some(Place::Port(switch::PortId(number))));
        }
        assert_eq!(place(bridge, 4), Some(Place::Tunnel(vtep_of(bridge))));
    }
}
