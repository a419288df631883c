//! Whose names a sandbox knows: those of all its networks, and nobody else's.

use std::net::IpAddr;

use simple_dns::TYPE;
use switch::{DropReason, PortId, PortSettings, Update};

use crate::sandbox::{GATEWAY, ask, ask_as, host, name, sandbox, told};
use crate::world::{BLUE, Host, RED, ip};

const BLUE_GATEWAY: &str = "10.10.20.1";

fn blue(host: &mut Host, internal: bool) {
    host.gateways(BLUE, &["10.10.20.1/24"], internal, true);
    name(host, BLUE, 1, &["cache", "db"], &["10.10.20.7".parse().unwrap()]);
}

#[test]
fn names_of_other_networks_are_not_known() {
    let (mut host, me) = host();
    blue(&mut host, false);
    for name in ["cache", "cache.net"] {
        assert_eq!(ask(&mut host, me, name, TYPE::A), None);
    }
    assert_eq!(ask(&mut host, me, "7.20.10.10.in-addr.arpa", TYPE::PTR), None);
    assert_eq!(host.switch.counters().asked, 3);
}

#[test]
fn a_sandbox_in_two_networks_knows_both() {
    let (mut host, red) = host();
    blue(&mut host, false);
    let blue = sandbox(&mut host, 2, "me", BLUE, "10.10.20.2".parse().unwrap());
    let ends: (IpAddr, IpAddr) = ("10.10.20.2".parse().unwrap(), BLUE_GATEWAY.parse().unwrap());
    assert_eq!(ask(&mut host, red, "cache", TYPE::A), told(&["10.10.20.7"]));
    assert_eq!(ask_as(&mut host, blue, ends, "web", TYPE::A), told(&["10.10.10.3"]));
    assert_eq!(ask(&mut host, red, "7.20.10.10.in-addr.arpa", TYPE::PTR), told(&["cache.net"]));
    assert_eq!(ask(&mut host, red, "db", TYPE::A), told(&["10.10.10.4"]), "where it asks goes first");
    assert_eq!(ask_as(&mut host, blue, ends, "db", TYPE::A), told(&["10.10.20.7"]));
    // Another name, another sandbox.
    host.apply(Update::Port { id: blue, settings: PortSettings { name: "other".into(), bridge: BLUE, guard: None } });
    assert_eq!(ask(&mut host, red, "cache", TYPE::A), None);
    host.apply(Update::Port { id: blue, settings: PortSettings { name: "me".into(), bridge: BLUE, guard: None } });
    assert_eq!(ask(&mut host, red, "cache", TYPE::A), told(&["10.10.20.7"]));
    host.apply(Update::RemovePort { id: blue });
    assert_eq!(ask(&mut host, red, "cache", TYPE::A), None);
}

#[test]
fn a_network_takes_its_names_with_it() {
    let (mut host, red) = host();
    blue(&mut host, false);
    sandbox(&mut host, 2, "me", BLUE, "10.10.20.2".parse().unwrap());
    host.apply(Update::RemoveBridge { id: BLUE });
    assert_eq!(ask(&mut host, red, "cache", TYPE::A), None);
    host.apply(Update::Names { bridge: BLUE, holder: 1, entry: Some(dns::Entry::default()) });
}

#[test]
fn from_internal_networks_nothing_is_asked_elsewhere() {
    let (mut host, red) = host();
    blue(&mut host, true);
    let inner = sandbox(&mut host, 2, "inner", BLUE, "10.10.20.2".parse().unwrap());
    let ends: (IpAddr, IpAddr) = ("10.10.20.2".parse().unwrap(), BLUE_GATEWAY.parse().unwrap());
    assert_eq!(ask_as(&mut host, inner, ends, "cache", TYPE::A), told(&["10.10.20.7"]));
    assert_eq!(ask_as(&mut host, inner, ends, "example.org", TYPE::A), Some((5, false, Vec::new())));
    assert_eq!((host.dropped(DropReason::QueryRefused), host.switch.counters().asked), (1, 0));
    // With a network that leads out it may, wherever it asks.
    let out = sandbox(&mut host, 3, "inner", RED, ip(9));
    assert_eq!(ask_as(&mut host, inner, ends, "example.org", TYPE::A), None);
    assert_eq!(host.switch.counters().asked, 1);
    host.apply(Update::RemovePort { id: out });
    assert_eq!(ask_as(&mut host, inner, ends, "example.org", TYPE::A), Some((5, false, Vec::new())));
    assert_eq!(ask(&mut host, red, "example.org", TYPE::A), None, "others do as before");
}

#[test]
fn addresses_of_its_networks_are_nobody_elses_business() {
    let (mut host, me) = host();
    assert_eq!(ask(&mut host, me, "99.10.10.10.in-addr.arpa", TYPE::PTR), Some((3, false, Vec::new())));
    assert_eq!(ask(&mut host, me, "1.10.10.10.in-addr.arpa", TYPE::PTR), Some((3, false, Vec::new())), "the gateway");
    assert_eq!(ask(&mut host, me, "1.10.11.10.in-addr.arpa", TYPE::PTR), None);
}

#[test]
fn only_port_53_of_a_gateway_is_a_name_server() {
    let (mut host, me) = host();
    sandbox(&mut host, 5, "web", RED, ip(3));
    // A container's port 53 is its own.
    let bytes = crate::sandbox::datagram(ip(2).into(), ip(3).into(), b"query");
    assert_eq!(host.ports(me, &bytes), [5]);
    // The host has its own resolvers.
    let mut bytes = crate::sandbox::datagram(ip(2).into(), GATEWAY.into(), b"query");
    bytes[37] = 54;
    bytes[40..42].fill(0);
    host.send(me, &bytes);
    assert_eq!(host.dropped(DropReason::NoService), 1);
    assert_eq!(host.ports(PortId::HOST, &crate::sandbox::datagram(ip(2).into(), GATEWAY.into(), b"query")), [0u32; 0]);
    assert_eq!(host.switch.counters().named, 0);
}
