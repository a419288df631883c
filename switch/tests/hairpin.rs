//! From a container by the host's address to another one, or to itself: what belongs to such a conversation besides plain
//! packets. Rows NI-07 and NU-11 of the standards list.

mod world;

use switch::{PortId, Publish, PublishId, Update};
use wire::Mac;
use world::outside::{FAR, HOST, UPLINK, echo, gateway_mac, host, pieces, published, refusal, seen, udp, up};
use world::{Host, RED, ip, mac};

const UDP: u8 = 17;

/// The client (.2) at port 1, the server (.3) at port 2, whose UDP port 80 is published at 8000.
fn neighbours() -> (Host, PortId, PortId) {
    let (mut host, client) = host();
    let server = host.endpoint(2, RED, ip(3));
    let rule = Publish { protocol: UDP, ..published(None, (8000, 8000), ip(3), 80) };
    host.apply(Update::Publish { id: PublishId(1), rule });
    (host, client, server)
}

/// Straight from the server to its neighbour, past the gateway.
fn back() -> (Mac, Mac) {
    (mac(3), mac(2))
}

fn ask(host: &mut Host, client: PortId) -> Vec<u8> {
    let (frames, _) = host.send(client, &udp(up(), (ip(2), 5000), (HOST, 8000), 64, 30));
    frames[0].1.bytes().to_vec()
}

#[test]
fn an_answer_in_fragments_is_translated_too() {
    let (mut host, client, server) = neighbours();
    ask(&mut host, client);
    for _ in 0..2 {
        for piece in pieces(udp(back(), (ip(3), 80), (ip(2), 5000), 64, 2000), 1500) {
            let (frames, _) = host.send_frame(server, piece);
            assert_eq!((frames[0].0, &frames[0].1.bytes()[26..30]), (client, &HOST.octets()[..]));
        }
    }
}

#[test]
fn a_refusal_is_translated_too() {
    let (mut host, client, server) = neighbours();
    let asked = ask(&mut host, client);
    let (frames, _) = host.send(server, &refusal(back(), ip(3), ip(2), &asked));
    let error = &seen(&frames)[0];
    assert_eq!((error.port, error.icmp, error.dst), (client, Some((3, 3)), ip(2)));
    assert_eq!(error.bytes[42 + 16..42 + 20], HOST.octets(), "about what the client has sent");
    // Others are passed on as they are.
    let direct = udp((mac(2), mac(3)), (ip(2), 5001), (ip(3), 81), 64, 30);
    let refused = refusal(back(), ip(3), ip(2), &direct);
    assert_eq!(host.send(server, &refused).0[0].1.bytes(), refused);
}

#[test]
fn what_was_bridged_before_from_the_same_port_is_decided_anew() {
    let (mut host, client, server) = neighbours();
    let answer = udp(back(), (ip(3), 80), (ip(2), 5000), 64, 30);
    for _ in 0..2 {
        host.send(client, &udp((mac(2), mac(3)), (ip(2), 5000), (ip(3), 80), 64, 30));
        assert_eq!(seen(&host.send(server, &answer).0)[0].src, ip(3));
    }
    ask(&mut host, client);
    let (frames, _) = host.send(server, &answer);
    assert_eq!((seen(&frames)[0].src, seen(&frames)[0].ports), (HOST, (8000, 5000)));
}

#[test]
fn ni_07_an_error_about_a_hairpinned_packet_shows_public_ends() {
    let (mut host, a) = host();
    let b = host.endpoint(2, RED, ip(3));
    let to_gateway = (mac(3), gateway_mac());
    host.send(b, &udp(to_gateway, (ip(3), 7000), (FAR, 53), 64, 9));
    host.send(a, &udp(up(), (ip(2), 6000), (FAR, 53), 64, 9));
    host.send(b, &udp(to_gateway, (ip(3), 7000), (HOST, 6000), 64, 9));
    let there = host.send(a, &udp(up(), (ip(2), 6000), (HOST, 7000), 64, 9)).0;
    let (frames, _) = host.send(b, &refusal(to_gateway, ip(3), HOST, there[0].1.bytes()));
    let error = &seen(&frames)[0];
    assert_eq!((error.port, error.icmp, error.src, error.dst), (a, Some((3, 3)), HOST, ip(2)));
    assert_eq!(error.bytes[42 + 12..42 + 20], [ip(2).octets(), HOST.octets()].concat());
}

/// An identifier is no port: whoever pings the host means the host.
#[test]
fn an_echo_request_to_the_host_never_turns_around() {
    let (mut host, a) = host();
    host.endpoint(2, RED, ip(3));
    let mut ping = echo((mac(3), gateway_mac()), ip(3), FAR);
    // The identifier is the number of the type "echo request".
    ping[38..40].copy_from_slice(&8u16.to_be_bytes());
    let (sum, old) = (u16::from_be_bytes([ping[36], ping[37]]), 77);
    ping[36..38].copy_from_slice(&wire::checksum::update(sum, old, 8).to_be_bytes());
    assert_eq!(seen(&host.send(PortId(2), &ping).0)[0].src, HOST);
    for _ in 0..2 {
        let (frames, _) = host.send(a, &echo(up(), ip(2), HOST));
        let there = &seen(&frames)[0];
        assert_eq!((there.port, there.dst_mac, there.src), (PortId::HOST, UPLINK, ip(2)));
    }
}

#[test]
fn a_mapping_to_itself_comes_back() {
    let (mut host, a) = host();
    host.send(a, &udp(up(), (ip(2), 6000), (FAR, 53), 64, 9));
    let (frames, _) = host.send(a, &udp(up(), (ip(2), 6000), (HOST, 6000), 64, 9));
    let own = &seen(&frames)[0];
    assert_eq!((own.port, own.src, own.dst, own.ports), (a, HOST, ip(2), (6000, 6000)));
}

#[test]
fn an_errors_own_sender_stays_hidden_behind_the_host() {
    let (mut host, a) = host();
    let asked = udp(up(), (ip(2), 4000), (FAR, 53), 64, 9);
    host.send(a, &asked);
    let answer = udp((Mac([4; 6]), Mac([6; 6])), (FAR, 53), (HOST, 4000), 60, 30);
    let delivered = host.send(PortId::HOST, &answer).0;
    let (frames, _) = host.send(a, &refusal(up(), ip(2), FAR, delivered[0].1.bytes()));
    let error = &seen(&frames)[0];
    assert_eq!((error.port, error.src, error.dst, error.icmp), (PortId::HOST, HOST, FAR, Some((3, 3))));
    assert_eq!(error.bytes[42 + 16..42 + 20], HOST.octets());
}
