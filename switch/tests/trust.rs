//! Who a packet claims to be, and by which way it may claim that.

mod world;

use std::net::Ipv4Addr;

use switch::{DropReason, PortId, PublishId, Update};
use world::outside::{FAR, HOST, UPLINK, echo, gateway_mac, host, in_, own, published, seen, tcp, udp};
use world::{RED, ip, mac};

/// The host's link, and nobody else, brings what the host sends.
#[test]
fn packets_from_outside_cannot_claim_to_be_the_hosts() {
    let (mut host, _) = host();
    host.apply(Update::Publish { id: PublishId(1), rule: published(None, (8000, 8000), ip(2), 80) });
    let via = Ipv4Addr::new(169, 254, 86, 3);
    let link = Ipv4Addr::new(169, 254, 86, 1);
    let mask = Ipv4Addr::new(169, 254, 86, 2);
    let claims = [(HOST, HOST, 8000), (link, via, 8000), (link, HOST, 8000), (mask, HOST, 8000), (HOST, ip(2), 80)];
    for (from, to, port) in claims {
        host.drops(DropReason::Martian, |host| {
            !host.send(PortId::HOST, &tcp(in_(), (from, 5000), (to, port), "S", (1, 0))).0.is_empty()
        });
    }
}

/// The gateway's MAC address is the switch's, on every host of a network.
#[test]
fn no_port_sends_as_the_gateway() {
    let (mut host, _) = host();
    let open = host.open_port(5, RED);
    host.drops(DropReason::Martian, |host| {
        !host.send(open, &udp((gateway_mac(), mac(2)), (ip(9), 1), (ip(2), 2), 64, 1)).0.is_empty()
    });
    assert!(host.switch.fdb(host.now).iter().all(|row| row.mac != gateway_mac()));
}

#[test]
fn the_host_may_ping_a_gateway() {
    let (mut host, _) = host();
    let (frames, _) = host.send(PortId::HOST, &echo(own(), HOST, ip(1)));
    let reply = &seen(&frames)[0];
    assert_eq!((reply.port, reply.dst_mac, reply.icmp), (PortId::HOST, UPLINK, Some((0, 0))));
    assert_eq!((reply.src, reply.dst), (ip(1), HOST));
    // Strangers do not.
    host.drops(DropReason::NoMapping, |host| !host.send(PortId::HOST, &echo(in_(), FAR, ip(1))).0.is_empty());
}

/// IEEE 802.1Q: a tag without a VLAN is a priority and no more.
#[test]
fn a_priority_tag_does_not_keep_a_packet_from_being_routed() {
    let (mut host, port) = host();
    let mut bytes = udp((mac(2), gateway_mac()), (ip(2), 4000), (FAR, 53), 64, 30);
    bytes.splice(12..12, [0x81, 0, 0x60, 0]);
    let (frames, _) = host.send(port, &bytes);
    assert_eq!((seen(&frames)[0].src, seen(&frames)[0].dst), (HOST, FAR));
    bytes[15] = 5;
    host.drops(DropReason::RoutedTag, |host| !host.send(port, &bytes).0.is_empty());
}
