//! No frame of one network ever comes out at a port of another [N3]: whatever the rules, addresses and MACs. What two
//! containers say to each other's mappings outside is no exception of rules: the host's address is where both meet
//! (RFC 4787 REQ-9), and each has to speak first.

mod networks;
mod packets;
mod texts;
#[path = "../world/mod.rs"]
mod world;

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use nat::rules::{Family, Program, load};
use networks::{HOST, VNI, host, is_of, other, ports_of, v4};
use packets::{answer, sent};
use proptest::collection::vec;
use proptest::prelude::*;
use switch::{BridgeId, PortId};
use texts::{rules, text};
use wire::Frame;
use world::{BLUE, OnTheWire, RED, ip, mac};

/// Sockets that have sent something: network, address, protocol, port.
type Spoken = HashSet<(BridgeId, IpAddr, u8, u16)>;

/// Whether a frame is for a mapping that its owner has made, and comes from the host's address as does all that is said to
/// mappings.
fn is_by_mapping(network: BridgeId, sent: &[u8], frame: &Frame, spoken: &Spoken) -> bool {
    let to_host = |bytes: &[u8]| {
        let headers = wire::parse(bytes).ok()?;
        headers.key.dst().filter(|to| HOST.contains(to))
    };
    let Ok(headers) = wire::parse(frame.bytes()) else { return false };
    let (Some(from), Some(to)) = (headers.key.src(), headers.key.dst()) else { return false };
    let mut sockets = spoken
        .iter()
        .filter(|(of, ip, protocol, _)| *of == network && *ip == to && *protocol == headers.key.protocol());
    let port = headers.key.dst_port();
    let knows_port = matches!(headers.key.protocol(), 6 | 17) && port != 0;
    to_host(sent).is_some() && HOST.contains(&from) && sockets.any(|socket| !knows_port || socket.3 == port)
}

/// What a frame of a network has become must not be at a port of another, in another's tunnel, or on its way to another
/// network through the host.
fn within(
    network: BridgeId,
    sent: &[u8],
    spoken: &Spoken,
    frames: &[(PortId, Frame)],
    wire: &[OnTheWire],
) -> Result<(), TestCaseError> {
    for (port, frame) in frames {
        let foreign = ports_of(other(network)).contains(&port.0);
        if foreign && is_by_mapping(other(network), sent, frame, spoken) {
            continue;
        }
        prop_assert!(!foreign, "{network:?} is seen at {port:?}: {:02x?}", frame.bytes());
        let Ok(headers) = wire::parse(frame.bytes()) else { continue };
        if *port == PortId::HOST {
            let to = headers.key.dst();
            let through = to.is_some_and(|to| is_of(other(network), to));
            prop_assert!(!through, "{network:?} leaves for {to:?}: {:02x?}", frame.bytes());
        }
    }
    for (_, _, _, bytes, segment) in wire {
        for datagram in bytes.chunks((*segment).max(1)) {
            let vni = u32::from_be_bytes([0, datagram[4], datagram[5], datagram[6]]);
            let inner = Frame::from_bytes(&datagram[8..]);
            let own = network == RED || is_by_mapping(RED, sent, &inner, spoken);
            prop_assert!(own && vni == VNI, "{network:?} is in the tunnel of {vni}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_leads_from_one_network_into_another(
        sets in vec(rules(), 3),
        packets in vec(sent(), 1..60),
    ) {
        let (mut host, mut spoken) = (host(), Spoken::new());
        for (scope, set) in [None, Some(RED), Some(BLUE)].into_iter().zip(&sets) {
            for family in [Family::Ipv4, Family::Ipv6] {
                let (text, _) = text(set, family);
                let program = Program::new(load(family, &text).map_err(|error| TestCaseError::fail(error.to_string()))?);
                host.switch.set_rules(scope, family, Some(Box::new(program)));
            }
        }
        for packet in &packets {
            let bytes = packet.bytes();
            let (frames, wire) = match packet.port() {
                Some(port) => host.send(port, &bytes),
                None => {
                    let header = [&[0x08, 0, 0, 0][..], &(VNI << 8).to_be_bytes()[..], &bytes[..]].concat();
                    let len = header.len();
                    host.receive(&(v4([192, 0, 2, 2]), host.vtep, 0, header, len))
                }
            };
            let Some(network) = packet.network() else { continue };
            within(network, &bytes, &spoken, &frames, &wire)?;
            if let Ok(headers) = wire::parse(&bytes)
                && let Some(from) = headers.key.src()
            {
                spoken.insert((network, from, headers.key.protocol(), headers.key.src_port()));
            }
            // What comes back finds the network that it left.
            for (_, frame) in frames.iter().filter(|(port, _)| *port == PortId::HOST) {
                let Some(answer) = answer(frame) else { continue };
                let (frames, wire) = host.send(PortId::HOST, &answer);
                within(network, &answer, &spoken, &frames, &wire)?;
            }
        }
    }
}

#[test]
fn the_rules_and_packets_of_the_property_are_not_idle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut written, mut loaded, mut out, mut left) = (0, 0, 0, 0);
    for _ in 0..100 {
        let set = rules().new_tree(&mut runner).unwrap().current();
        written += set.len();
        loaded += text(&set, Family::Ipv4).1;
        let mut host = host();
        for packet in vec(sent(), 60).new_tree(&mut runner).unwrap().current() {
            let Some(port) = packet.port() else { continue };
            let frames = host.send(port, &packet.bytes()).0;
            out += usize::from(!frames.is_empty());
            left += usize::from(frames.iter().any(|(port, _)| *port == PortId::HOST));
        }
    }
    println!("{loaded} of {written} rules load; of 6000 packets {out} lead to something, {left} leave");
    assert!(loaded * 3 > written && out > 300 && left > 30);
}

#[test]
fn a_translation_into_another_network_leads_nowhere_and_one_within_works() {
    let bytes = |port: u16| world::udp_between(mac(2), mac(1), ip(2), Ipv4Addr::new(203, 0, 113, 9), port, 20);
    for (to, reached) in [("10.10.10.3", vec![2]), ("10.20.20.2", vec![]), ("10.20.20.1", vec![])] {
        for scope in [None, Some(RED)] {
            let mut host = host();
            let text = format!(
                "*nat\n-A PREROUTING -p udp -j DNAT --to-destination {to}\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
            );
            let program = Program::new(load(Family::Ipv4, &text).unwrap());
            host.switch.set_rules(scope, Family::Ipv4, Some(Box::new(program)));
            let ports: Vec<u32> = host.ports(PortId(1), &bytes(4_000)).into_iter().filter(|port| *port != 1).collect();
            assert_eq!(ports, reached, "{to} {scope:?}");
        }
    }
}
