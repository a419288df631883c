//! Frames as bytes, from endpoint to endpoint of the fuzzed engine's plan (10.10.10.x, fd00::x).

use etherparse::PacketBuilder;
use wire::{Gso, Offload, checksum};

/// MAC address of an endpoint.
pub(super) fn mac(last: u8) -> [u8; 6] {
    [2, 0x42, 10, 10, 10, last]
}

fn v6(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[15]) = (0xfd, last);
    address
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| n as u8).collect()
}

/// Ethernet header and what follows.
pub(super) fn raw(src: u8, dst: [u8; 6], ether_type: u16, rest: &[u8]) -> Vec<u8> {
    [&dst[..], &mac(src), &ether_type.to_be_bytes(), rest].concat()
}

/// An 802.1Q tag put into a frame.
pub(super) fn tagged(frame: &[u8], tpid: u16, tag: u16) -> Vec<u8> {
    [&frame[..12], &tpid.to_be_bytes(), &tag.to_be_bytes(), &frame[12..]].concat()
}

/// UDP over IPv4 or IPv6.
pub(super) fn udp(six: bool, src: u8, dst: u8, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let link = PacketBuilder::ethernet2(mac(src), mac(dst));
    let ip = if six { link.ipv6(v6(src), v6(dst), 64) } else { link.ipv4(ip(src), ip(dst), 64) };
    ip.udp(1000, 2000).write(&mut bytes, &payload(len)).unwrap();
    bytes
}

fn ip(last: u8) -> [u8; 4] {
    [10, 10, 10, last]
}

/// TCP with ACK, and PSH if `push`.
pub(super) fn tcp(six: bool, sequence: u32, len: usize, push: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let link = PacketBuilder::ethernet2(mac(2), mac(3));
    let ip = if six { link.ipv6(v6(2), v6(3), 64) } else { link.ipv4(ip(2), ip(3), 64) };
    let tcp = ip.tcp(1000, 2000, sequence, 9000).ack(55);
    let tcp = if push { tcp.psh() } else { tcp };
    tcp.write(&mut bytes, &payload(len)).unwrap();
    bytes
}

/// The first segment of a connection.
pub(super) fn syn(six: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let link = PacketBuilder::ethernet2(mac(2), mac(3));
    let ip = if six { link.ipv6(v6(2), v6(3), 64) } else { link.ipv4(ip(2), ip(3), 64) };
    ip.tcp(1000, 2000, 7, 9000).syn().write(&mut bytes, &[]).unwrap();
    bytes
}

/// An echo request.
pub(super) fn echo(six: bool, src: u8, dst: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let link = PacketBuilder::ethernet2(mac(src), mac(dst));
    if six {
        link.ipv6(v6(src), v6(dst), 64).icmpv6_echo_request(1, 2).write(&mut bytes, &payload(8)).unwrap();
    } else {
        link.ipv4(ip(src), ip(dst), 64).icmpv4_echo_request(1, 2).write(&mut bytes, &payload(8)).unwrap();
    }
    bytes
}

/// An IPv6 packet: first next-header number, hop limit, addresses, and all that follows.
pub(super) fn ipv6(next: u8, hops: u8, src: [u8; 16], dst: [u8; 16], rest: &[u8]) -> Vec<u8> {
    let len = (rest.len() as u16).to_be_bytes();
    let packet = [&[0x60, 0, 0, 0], &len[..], &[next, hops], &src[..], &dst[..], rest].concat();
    raw(2, mac(3), 0x86dd, &packet)
}

/// A neighbour discovery message from endpoint 2, its checksum right.
pub(super) fn discovery(kind: u8, src: [u8; 16], dst: [u8; 16], body: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, 0, 0, 0], body].concat();
    let sum = checksum::pseudo_ipv6(&src, &dst, 58, message.len() as u32) + checksum::sum(&message);
    message[2..4].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
    ipv6(58, 255, src, dst, &message)
}

/// A solicitation for endpoint `target`: from endpoint 2, or as duplicate address detection.
pub(super) fn solicitation(target: u8, probe: bool) -> Vec<u8> {
    let mut group = [0; 16];
    group[..2].copy_from_slice(&[0xff, 2]);
    group[11..].copy_from_slice(&[1, 0xff, 0, 0, target]);
    let option = if probe { Vec::new() } else { [&[1, 1], &mac(2)[..]].concat() };
    let body = [&[0; 4], &v6(target)[..], &option].concat();
    discovery(135, if probe { [0; 16] } else { v6(2) }, group, &body)
}

/// An advertisement of endpoint 2.
pub(super) fn advertisement() -> Vec<u8> {
    let body = [&[0x60, 0, 0, 0], &v6(2)[..], &[2, 1], &mac(2)[..]].concat();
    discovery(136, v6(2), v6(3), &body)
}

/// A router's advertisement from a link-local address.
pub(super) fn router() -> Vec<u8> {
    let (mut src, mut all) = (v6(2), [0; 16]);
    src[..2].copy_from_slice(&[0xfe, 0x80]);
    (all[0], all[1], all[15]) = (0xff, 2, 1);
    discovery(134, src, all, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// An ARP message from endpoint 2.
pub(super) fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let prefix = [0, 1, 8, 0, 6, 4, 0, operation];
    let dst = if operation == 1 { [0xff; 6] } else { mac(3) };
    raw(2, dst, 0x0806, &[&prefix[..], &mac(2), &sender, &[0; 6], &target, &[0; 18]].concat())
}

/// The same packet with "more fragments" and an offset in units of 8 bytes; its header's checksum is not corrected.
pub(super) fn fragment(mut frame: Vec<u8>, more: bool, offset: u16) -> Vec<u8> {
    frame[20..22].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
    frame
}

/// Puts an offload header in front of a frame.
pub(super) fn with(offload: Offload, frame: &[u8]) -> Vec<u8> {
    [&offload.to_bytes()[..], frame].concat()
}

/// A TCP super-frame as a kernel hands it over: its checksum field holds the pseudo-header's sum.
pub(super) fn super_tcp(six: bool, len: usize, size: u16) -> Vec<u8> {
    let (frame, l4) = (tcp(six, 7, len, true), if six { 54 } else { 34 });
    let kind = if six { Gso::Tcp6 } else { Gso::Tcp4 };
    with(Offload::segmented(kind, size, l4 + 20, l4, 16), &partial(frame, six, 6, usize::from(l4), 16))
}

/// A UDP super-frame.
pub(super) fn super_udp(six: bool, len: usize, size: u16) -> Vec<u8> {
    let (frame, l4) = (udp(six, 2, 4, len), if six { 54 } else { 34 });
    with(Offload::segmented(Gso::Udp, size, l4 + 8, l4, 6), &partial(frame, six, 17, usize::from(l4), 6))
}

/// An ordinary frame with a partial checksum, UDP or TCP.
pub(super) fn partial_frame(six: bool, udp_too: bool) -> Vec<u8> {
    let l4 = if six { 54 } else { 34 };
    let (frame, number, field) = if udp_too { (udp(six, 2, 4, 30), 17, 6) } else { (tcp(six, 9, 30, true), 6, 16) };
    with(Offload::partial(l4, field), &partial(frame, six, number, usize::from(l4), usize::from(field)))
}

fn partial(mut frame: Vec<u8>, six: bool, number: u8, l4: usize, field: usize) -> Vec<u8> {
    let len = frame.len() - l4;
    let word = |at: usize| u32::from(frame[at]) << 8 | u32::from(frame[at + 1]);
    let addresses = if six { 22..54 } else { 26..34 };
    let sum = addresses.step_by(2).map(word).sum::<u32>() + u32::from(number) + len as u32;
    frame[l4 + field..l4 + field + 2].copy_from_slice(&checksum::fold(sum).to_be_bytes());
    frame
}
