//! Seeds for the engine with gateways: conversations, frame by frame, as its containers and the outside have them.

use etherparse::{Icmpv4Type, PacketBuilder, PacketBuilderStep, TcpHeader, icmpv4::DestUnreachableHeader};
use wire::Offload;

use super::Seed;
use super::names::query;
use super::packets::{fragment, tagged, with};

type Address = [u8; 4];
/// Frames, one after the other, and where each comes from.
type Steps = Vec<(u8, Vec<u8>)>;

const A: Address = [10, 10, 1, 2];
const B: Address = [10, 10, 1, 3];
const BLUE: Address = [10, 10, 2, 4];
const GREY: Address = [10, 10, 3, 5];
const HOST: Address = [198, 51, 100, 1];
const FAR: Address = [203, 0, 113, 9];
const VIA: Address = [169, 254, 86, 3];
const UPLINK: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

/// Where a frame comes from, and that its checksums are put right.
const FROM_A: u8 = 8;
const FROM_B: u8 = 9;
const FROM_BLUE: u8 = 10;
const FROM_GREY: u8 = 11;
const FROM_HOST: u8 = 12;
const LATER: u8 = 16;

fn mac([a, b, c, d]: Address) -> [u8; 6] {
    [2, 0x42, a, b, c, d]
}

fn link(from: Address) -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    let [a, b, c, _] = from;
    match from {
        HOST => PacketBuilder::ethernet2(UPLINK, UPLINK),
        [10, ..] => PacketBuilder::ethernet2(mac(from), mac([a, b, c, 1])),
        _ => PacketBuilder::ethernet2([2, 9, 9, 9, 9, 9], [2, 8, 8, 8, 8, 8]),
    }
}

fn bytes<S>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(write(&mut bytes).is_ok());
    bytes
}

fn udp(from: Address, to: Address, ports: (u16, u16), len: usize) -> Vec<u8> {
    let packet = link(from).ipv4(from, to, 64).udp(ports.0, ports.1);
    bytes(|out| packet.write(out, &vec![7; len]))
}

fn tcp(from: Address, to: Address, ports: (u16, u16), flags: &str, at: (u32, u32)) -> Vec<u8> {
    stream(from, to, ports, (flags, at), &[])
}

fn stream(from: Address, to: Address, ports: (u16, u16), (flags, at): (&str, (u32, u32)), payload: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(ports.0, ports.1, at.0, 9_000);
    header.acknowledgment_number = at.1;
    header.syn = flags.contains('S');
    header.ack = flags.contains('A');
    header.fin = flags.contains('F');
    header.rst = flags.contains('R');
    let packet: PacketBuilderStep<TcpHeader> = link(from).ipv4(from, to, 64).tcp_header(header);
    bytes(|out| packet.write(out, payload))
}

/// A message to the name server of a container's gateway.
fn message(from: Address, message: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = from;
    let packet = link(from).ipv4(from, [a, b, c, 1], 64).udp(4_001, 53);
    bytes(|out| packet.write(out, message))
}

fn echo(from: Address, to: Address, answer: bool) -> Vec<u8> {
    let packet = link(from).ipv4(from, to, 64);
    let packet = if answer { packet.icmpv4_echo_reply(7, 1) } else { packet.icmpv4_echo_request(7, 1) };
    bytes(|out| packet.write(out, b"ping"))
}

fn refusal(from: Address, to: Address, about: &[u8]) -> Vec<u8> {
    let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    let packet = link(from).ipv4(from, to, 64).icmpv4(kind);
    bytes(|out| packet.write(out, &about[14..42]))
}

/// UDP over IPv6: out from A, or back to the host's address.
fn six(back: bool) -> Vec<u8> {
    let far = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let (mut own, mut host) = ([0; 16], far);
    (own[0], own[3], own[15]) = (0xfd, 1, 2);
    host[15] = 1;
    match back {
        false => bytes(|out| link(A).ipv6(own, far, 64).udp(4_001, 53).write(out, &[6; 20])),
        true => bytes(|out| link(FAR).ipv6(far, host, 64).udp(53, 4_001).write(out, &[6; 20])),
    }
}

/// The seeds of `switch_gateway`.
pub(super) fn seeds() -> Vec<Seed> {
    let ask = || udp(A, FAR, (4_001, 53), 20);
    let asked = |public| udp(HOST, FAR, (public, 53), 20);
    let rows: Vec<(&str, Steps)> = vec![
        (
            "out-udp",
            vec![
                (FROM_A, ask()),
                (FROM_HOST, udp(FAR, HOST, (53, 4_001), 30)),
                (FROM_A, ask()),
                (FROM_HOST, udp(FAR, HOST, (53, 4_001), 30)),
                (FROM_HOST | LATER, udp(FAR, HOST, (54, 4_001), 30)),
            ],
        ),
        (
            "out-tcp",
            vec![
                (FROM_A, tcp(A, FAR, (4_001, 80), "S", (10, 0))),
                (FROM_HOST, tcp(FAR, HOST, (80, 4_001), "SA", (50, 11))),
                (FROM_A, tcp(A, FAR, (4_001, 80), "A", (11, 51))),
                (FROM_A, tcp(A, FAR, (4_001, 80), "FA", (11, 51))),
                (FROM_HOST, tcp(FAR, HOST, (80, 4_001), "FA", (51, 12))),
                (FROM_A, tcp(A, FAR, (4_001, 80), "A", (12, 52))),
                (FROM_A, tcp(A, FAR, (4_001, 80), "S", (900_000, 0))),
            ],
        ),
        ("out-echo", vec![(FROM_A, echo(A, FAR, false)), (FROM_HOST, echo(FAR, HOST, true))]),
        ("out-six", vec![(FROM_A, six(false)), (FROM_HOST, six(true))]),
        (
            "out-taken",
            vec![(FROM_A, ask()), (FROM_B, udp(B, FAR, (4_001, 53), 20)), (FROM_B, udp(B, FAR, (4_000, 53), 1))],
        ),
        ("refused", vec![(FROM_A, ask()), (FROM_HOST, refusal(FAR, HOST, &asked(4_001)))]),
        (
            "published",
            vec![
                (FROM_HOST, tcp(FAR, HOST, (5_000, 8_003), "S", (1, 0))),
                (FROM_A, tcp(A, FAR, (83, 5_000), "SA", (9, 2))),
                (FROM_HOST, tcp(FAR, HOST, (5_000, 8_003), "A", (2, 10))),
                (FROM_HOST, tcp(FAR, HOST, (5_000, 8_003), "R", (2, 0))),
            ],
        ),
        (
            "published-udp",
            vec![
                (FROM_HOST, udp(FAR, HOST, (5_000, 9_000), 9)),
                (FROM_BLUE, udp(BLUE, FAR, (90, 5_000), 9)),
                (FROM_BLUE, udp(BLUE, FAR, (90, 5_000), 900)),
            ],
        ),
        (
            "by-the-host",
            vec![
                (FROM_HOST, udp(HOST, VIA, (5_000, 8_000), 9)),
                (FROM_A, udp(A, [10, 10, 1, 1], (80, 5_000), 9)),
                (FROM_HOST, echo(HOST, A, false)),
                (FROM_HOST, echo(HOST, [10, 10, 1, 1], false)),
                (FROM_HOST, echo(HOST, BLUE, false)),
            ],
        ),
        (
            "to-the-host",
            vec![
                (FROM_A, udp(A, HOST, (4_001, 123), 9)),
                (FROM_HOST, udp(HOST, A, (123, 4_001), 9)),
                (FROM_BLUE, udp(BLUE, HOST, (4_001, 123), 9)),
                (FROM_HOST, udp(HOST, [169, 254, 86, 2], (123, 4_001), 9)),
            ],
        ),
        (
            "hairpin",
            vec![
                (FROM_B, udp(B, HOST, (5_000, 8_000), 9)),
                (FROM_A, udp(A, B, (80, 5_000), 9)),
                (FROM_BLUE, udp(BLUE, HOST, (5_000, 8_000), 9)),
                (FROM_A, udp(A, BLUE, (80, 5_000), 9)),
                (FROM_A, udp(A, HOST, (5_000, 8_000), 9)),
                (FROM_A, udp(A, [10, 10, 1, 1], (80, 5_000), 9)),
            ],
        ),
        (
            "turned",
            vec![
                (FROM_A, ask()),
                (FROM_BLUE, udp(BLUE, FAR, (7_001, 53), 9)),
                (FROM_BLUE, udp(BLUE, HOST, (7_001, 4_001), 9)),
                (FROM_A, udp(A, HOST, (4_001, 7_001), 9)),
                (FROM_BLUE, udp(BLUE, HOST, (7_001, 4_001), 9)),
                (FROM_BLUE, refusal(BLUE, HOST, &udp(HOST, BLUE, (4_001, 7_001), 9))),
            ],
        ),
        (
            "apart",
            vec![
                (FROM_A, udp(A, BLUE, (1, 2), 9)),
                (FROM_A, udp(A, GREY, (1, 2), 9)),
                (FROM_GREY, udp(GREY, FAR, (1, 2), 9)),
                (FROM_GREY, udp(GREY, HOST, (1, 8_000), 9)),
                (FROM_GREY, echo(GREY, [10, 10, 3, 1], false)),
                (FROM_HOST, udp(FAR, GREY, (1, 2), 9)),
            ],
        ),
        (
            "too-big",
            vec![(FROM_A, udp(A, FAR, (4_001, 53), 900)), (FROM_B, tagged(&udp(B, FAR, (4_002, 53), 9), 0x8100, 0))],
        ),
        (
            "fragments",
            vec![
                (FROM_A, fragment(ask(), false, 5)),
                (FROM_A, fragment(ask(), true, 0)),
                (FROM_A, fragment(ask(), false, 9)),
                (FROM_A | LATER, fragment(ask(), false, 5)),
            ],
        ),
        (
            "gateway",
            vec![
                (FROM_A, echo(A, [10, 10, 1, 1], false)),
                (FROM_A, tcp(A, [10, 10, 1, 1], (1, 2), "S", (3, 0))),
                (FROM_A, udp(A, [10, 10, 1, 1], (1, 2), 9)),
                (FROM_A, udp(A, [10, 10, 1, 99], (1, 2), 9)),
            ],
        ),
        ("names", {
            let ask = |name, kind| message(A, &query(0, name, kind, &[]));
            let other = |from| message(from, &query(0, "example.org", 1, &[]));
            let steps =
                [(FROM_A, ask("web", 1)), (FROM_A, ask("cache", 28)), (FROM_A, other(A)), (FROM_GREY, other(GREY))];
            steps.to_vec()
        }),
        ("names-tcp", {
            let asked = query(0, "web", 1, &[]);
            let asked = [&(asked.len() as u16).to_be_bytes()[..], &asked].concat();
            let say = |flags, at, payload: &[u8]| stream(A, [10, 10, 1, 1], (4_001, 53), (flags, at), payload);
            vec![
                (FROM_A, say("S", (10, 0), &[])),
                (FROM_A, say("A", (11, 0), &[])),
                (FROM_A, say("A", (11, 0), &asked)),
                (FROM_A | LATER, say("A", (11, 0), &asked)),
                (FROM_A, say("FA", (11, 0), &[])),
                (FROM_A, say("R", (11, 0), &[])),
            ]
        }),
        ("full", (0..40).map(|port| (FROM_A, udp(A, FAR, (4_001 + port % 7, port), 9))).collect()),
    ];
    rows.into_iter().map(|(name, frames)| ("switch_gateway", name, records(&frames))).collect()
}

fn records(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let record = |(flags, frame): &(u8, Vec<u8>)| [&[*flags][..], &with(Offload::NONE, frame)].concat();
    frames.iter().map(record).flat_map(|record| [&(record.len() as u16).to_be_bytes()[..], &record].concat()).collect()
}
