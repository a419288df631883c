//! An engine whose three networks have gateways, with tables so small that they are full at once. RED is a bridge network
//! and BLUE an overlay; GREY is internal. A TCP and a UDP rule lead to RED's endpoint, one to BLUE's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::Entry;
use switch::{
    BridgeId, BridgeSettings, Gateway, Guard, Limits, Place, PortId, PortSettings, Publish, PublishId, Route, Switch,
    Update,
};
use wire::{Mac, Time, protocol};

pub(crate) const RED: BridgeId = BridgeId(1);
pub(crate) const BLUE: BridgeId = BridgeId(2);
pub(crate) const GREY: BridgeId = BridgeId(3);
/// Ports 1 and 2 are RED's, 3 is BLUE's, 4 GREY's; each has the endpoint of that number.
const NETWORKS: [BridgeId; 4] = [RED, RED, BLUE, GREY];
/// The host's end of the link.
pub(crate) const UPLINK: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
/// Connections of all networks.
pub(crate) const CONNECTIONS: u32 = 24;
/// The host's public addresses, and the one on the link to the switch.
pub(crate) const HOST: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 86, 1)),
];

/// The network of a port.
pub(crate) fn network(port: PortId) -> Option<BridgeId> {
    NETWORKS.get((port.0 as usize).checked_sub(1)?).copied()
}

/// The addresses in a network that end in `last`: 10.10.N.x, fd00:N::x.
pub(crate) fn addresses(bridge: BridgeId, last: u8) -> [IpAddr; 2] {
    let six = Ipv6Addr::new(0xfd00, bridge.0 as u16, 0, 0, 0, 0, 0, u16::from(last));
    [Ipv4Addr::new(10, 10, bridge.0 as u8, last).into(), six.into()]
}

/// The MAC address that goes with them; the gateway's ends in 1.
pub(crate) fn mac(bridge: BridgeId, last: u8) -> Mac {
    Mac([2, 0x42, 10, 10, bridge.0 as u8, last])
}

/// The last byte of the addresses of the endpoint at a port.
pub(crate) fn last(port: PortId) -> u8 {
    port.0 as u8 + 1
}

/// The engine.
pub(crate) fn engine() -> Switch {
    let mut state = 1_u64;
    let random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let settings = nat::Settings {
        connections: CONNECTIONS,
        connections_per_zone: CONNECTIONS / 2,
        bindings_per_host: 6,
        datagrams: 3,
        report_gone: true,
        ..nat::Settings::RFC
    };
    // Some ports are a host socket's.
    let is_free = |_, _, port: u16| !port.is_multiple_of(5);
    let limits = Limits { flows: 12, join_udp: true };
    let mut switch = Switch::with_translation(limits, 42, settings, Box::new(random), Box::new(is_free));
    updates().into_iter().for_each(|update| switch.apply(Time::from_secs(1), update));
    switch
}

fn updates() -> Vec<Update> {
    let mut updates = vec![
        Update::Uplink { mac: Some(UPLINK) },
        Update::Host {
            addresses: HOST.to_vec(),
            routes: [("0.0.0.0/0", HOST[0]), ("::/0", HOST[1])]
                .map(|(to, source)| Route { to: to.parse().expect("a prefix"), source, mtu: 700 })
                .to_vec(),
        },
    ];
    for bridge in [RED, BLUE, GREY] {
        let nets = [format!("10.10.{}.1/24", bridge.0), format!("fd00:{}::1/64", bridge.0)];
        let addresses = nets.iter().map(|net| net.parse().expect("a prefix")).collect();
        let (internal, host_access) = (bridge == GREY, bridge == RED);
        let gateway = Some(Gateway { mac: mac(bridge, 1), addresses, internal, host_access });
        let settings = BridgeSettings { gateway, ..BridgeSettings::new("net", None, 1_000) };
        updates.push(Update::Bridge { id: bridge, settings });
    }
    for (number, bridge) in (1..).zip(NETWORKS) {
        let id = PortId(number);
        let (mac, addresses) = (mac(bridge, last(id)), addresses(bridge, last(id)).to_vec());
        // BLUE's may send as anybody.
        let guard = (bridge != BLUE).then(|| Guard { mac, addresses: addresses.clone() });
        updates
            .push(Update::Port { id, settings: PortSettings { name: format!("port{number}").into(), bridge, guard } });
        updates.push(Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) });
    }
    for (bridge, name) in [(RED, "web"), (BLUE, "cache")] {
        let entry = Entry { names: vec![name.into()], addresses: addresses(bridge, 9).to_vec(), services: Vec::new() };
        updates.push(Update::Names { bridge, holder: 1, entry: Some(entry) });
    }
    updates.extend((1..).zip(rules()).map(|(number, rule)| Update::Publish { id: PublishId(number), rule }));
    updates
}

/// What is published.
pub(crate) fn rules() -> [Publish; 3] {
    let rule = |protocol, bridge, end: u8, ports, to_port| Publish {
        protocol,
        at: None,
        via: vec![IpAddr::V4(Ipv4Addr::new(169, 254, 86, 3))],
        ports,
        bridge,
        to: addresses(bridge, end).to_vec(),
        to_port,
    };
    [
        rule(protocol::TCP, RED, 2, (8_000, 8_009), 80),
        rule(protocol::UDP, RED, 2, (8_000, 8_000), 80),
        rule(protocol::UDP, BLUE, 4, (9_000, 9_000), 90),
    ]
}
