//! Whatever containers and the outside send, no network reaches another but by a published port or a public end, nothing
//! leaves an internal one, nothing leaves the host with a container's address, the host gets only what is for it, tables
//! stay bounded, and steering knows every mapping that is in use.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use nat::{Filter, Zone};
use switch::{Out, PortId, Steer, Switch};
use wire::{Fragment, Frame, Mac, Time, parse, protocol};

use super::mend::mend;
use super::records::{receive, records};
use super::routed::{CONNECTIONS, GREY, HOST, UPLINK, engine, last, mac, network, rules};

/// Where the engine's frames for the outside go.
const OUT: Mac = Mac([0x02, 0x76, 0x73, 0x77, 0x00, 0x01]);
/// Put right the checksums of a frame first.
const MEND: u8 = 8;
/// Let some time pass before a frame.
const LATER: u8 = 16;

/// Ends as packets from outside have them: protocol, destination, source.
type Ends = (u8, (IpAddr, u16), (IpAddr, u16));

/// The input is a row of frames. Each is behind a byte, which says where it comes from (0 to 3: a container, above: the
/// host's port) and what happens first, and its offload header.
pub fn run(data: &[u8]) {
    let (mut switch, mut out, mut now) = (engine(), Out::new(16), Time::from_secs(1));
    let mut steered = HashSet::new();
    for record in records(data) {
        let Some((&flags, record)) = record.split_first() else { continue };
        if flags & LATER != 0 {
            now = now + Duration::from_secs(40);
            switch.maintain(now);
            switch.tend_streams(now, &mut out);
            check(&mut switch, &mut out, None);
        }
        let mut frame = out.pool.get();
        if !receive(record, &mut frame) {
            continue;
        }
        if flags & MEND != 0 && frame.offload.partial_checksum().is_none() {
            mend(frame.bytes_mut());
        }
        let from = if flags & 4 != 0 { PortId::HOST } else { PortId(u32::from(flags & 3) + 1) };
        send(&mut switch, &mut out, now, from, frame);
        assert_steered(&mut switch, now, &mut steered);
        assert!(switch.tracker().usage().connections <= CONNECTIONS);
    }
}

fn send(switch: &mut Switch, out: &mut Out, now: Time, from: PortId, frame: Frame) {
    let waits = parse(frame.bytes()).is_ok_and(|headers| headers.fragment == Fragment::Later);
    // What is said in a connection need not be answered at once.
    let streams = parse(frame.bytes())
        .is_ok_and(|headers| (headers.key.protocol(), headers.key.dst_port()) == (protocol::TCP, 53));
    let counted = |switch: &Switch| switch.counters().dropped_in_all() + switch.counters().asked;
    let before = counted(switch);
    switch.process(now, from, &mut vec![frame], out);
    let vanished = counted(switch) == before && out.frames.is_empty();
    assert!(waits || streams || !vanished, "a frame vanished");
    check(switch, out, Some(from));
}

/// What came of a frame, or of time alone.
fn check(switch: &mut Switch, out: &mut Out, from: Option<PortId>) {
    assert!(out.trains.is_empty(), "there is no tunnel");
    for (to, frame) in out.frames.drain(..) {
        assert_allowed(from.unwrap_or(to), to, frame.bytes());
        out.pool.put(frame);
    }
    assert!(switch.take_questions().all(|question| question.network != GREY), "an internal network asks nobody");
}

fn assert_allowed(from: PortId, to: PortId, bytes: &[u8]) {
    let headers = parse(bytes).expect("what leaves parses");
    let (src, dst) = (headers.key.src(), headers.key.dst());
    if to == PortId::HOST {
        assert_ne!(network(from), Some(GREY), "an internal network has no way out");
        match headers.key.dst_mac() {
            // Answers about what came from outside are in the name of whom it was for.
            OUT if from != PortId::HOST => assert!(src.is_some_and(|src| HOST[..2].contains(&src)), "{src:?} leaves"),
            OUT => assert_eq!(headers.key.src_mac(), UPLINK),
            UPLINK => assert!(dst.is_some_and(|dst| HOST.contains(&dst)), "{dst:?} is not the host's"),
            other => panic!("{other} is nobody there"),
        }
        return;
    }
    if network(from) == network(to) {
        return;
    }
    assert_ne!(network(to), Some(GREY), "nobody reaches an internal network");
    assert_ne!(network(from), Some(GREY), "an internal network reaches nobody");
    let bridge = network(to).expect("a port that there is");
    assert_eq!((headers.key.src_mac(), headers.key.dst_mac()), (mac(bridge, 1), mac(bridge, last(to))));
    if from == PortId::HOST {
        return;
    }
    // To a published port's endpoint, or with a public end: an answer, a mapping, an error about one of these.
    let published = |dst| rules().iter().any(|rule| rule.bridge == bridge && rule.to.contains(&dst));
    let public = src.is_some_and(|src| HOST.contains(&src));
    let error = matches!(headers.key.protocol(), protocol::ICMP | protocol::ICMPV6);
    assert!(public || error || dst.is_some_and(published), "{src:?} > {dst:?} from another network");
}

/// Steering knows the mappings of all connections that are there.
fn assert_steered(switch: &mut Switch, now: Time, steered: &mut HashSet<Ends>) {
    let mut changes = Vec::new();
    switch.take_steering(&mut changes);
    for change in changes {
        let (Steer::Opened(tuple) | Steer::Ended(tuple)) = change;
        let ends = (tuple.protocol, (tuple.dst.ip(), tuple.dst_port), (tuple.src.ip(), tuple.src_port));
        match change {
            Steer::Opened(_) => steered.insert(ends),
            Steer::Ended(_) => steered.remove(&ends),
        };
    }
    let mut live = 0;
    for row in switch.conns(now, &Filter::default(), 0, usize::MAX).rows {
        let back = row.reply;
        // What turns around never comes from outside.
        if row.bound && back.zone == Zone::OUTSIDE && !HOST.contains(&row.original.dst) {
            live += 1;
            let ends = (row.protocol, (back.dst, back.dst_port), (back.src, back.src_port));
            assert!(steered.contains(&ends), "{ends:?} is not steered");
        }
    }
    assert!(steered.len() >= live && steered.len() <= CONNECTIONS as usize);
}
