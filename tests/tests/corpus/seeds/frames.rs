//! Seeds for what reads frames and datagrams.

use wire::Offload;

use super::Seed;
use super::packets::{
    advertisement, arp, discovery, echo, fragment, ipv6, mac, partial_frame, raw, router, solicitation, super_tcp,
    super_udp, syn, tagged, tcp, udp, with,
};

/// The seeds of all targets that take frames.
pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, frame) in plain() {
        seeds.push(("wire_parse", name, frame.clone()));
        if matches!(name.split('-').next(), Some("arp" | "nd")) {
            seeds.push(("wire_discovery", name, frame.clone()));
        }
        if !name.starts_with("arp") {
            seeds.push(("wire_answers", name, with(Offload::NONE, &frame)));
        }
        seeds.push(("switch_process", name, records(&[with(Offload::NONE, &frame)])));
        seeds.push(("vxlan_decode", name, vxlan(42, &frame)));
        let from_outside = elsewhere(frame);
        seeds.push(("switch_decapsulate", name, run(0, 0, &[vxlan(42, &from_outside)])));
    }
    for (name, input) in offloaded() {
        seeds.push(("wire_answers", name, input.clone()));
        seeds.push(("wire_cut", name, input.clone()));
        seeds.push(("wire_checksum", name, input.clone()));
        seeds.push(("switch_process", name, records(&[input])));
    }
    seeds.extend(rows_of_frames());
    seeds.extend(datagrams());
    seeds
}

fn plain() -> Vec<(&'static str, Vec<u8>)> {
    let zero = [0; 4];
    let (two, three) = ([10, 10, 10, 2], [10, 10, 10, 3]);
    let six = |last: u8| {
        let mut address = [0; 16];
        (address[0], address[15]) = (0xfd, last);
        address
    };
    let extension = |next: u8, rest: &[u8]| [&[next, 0, 0, 0, 0, 0, 0, 0], rest].concat();
    let segment = |frame: &[u8]| frame[54..].to_vec();
    let udp6 = segment(&udp(true, 2, 3, 8));
    vec![
        ("arp-request", arp(1, two, three)),
        ("arp-request-remote", arp(1, two, [10, 10, 10, 4])),
        ("arp-probe", arp(1, zero, two)),
        ("arp-announcement", arp(1, two, two)),
        ("arp-reply", arp(2, two, three)),
        ("arp-tagged", tagged(&arp(1, two, three), 0x8100, 5)),
        ("nd-solicitation", solicitation(3, false)),
        ("nd-probe", solicitation(3, true)),
        ("nd-advertisement", advertisement()),
        ("nd-router", router()),
        ("nd-router-wanted", discovery(133, six(2), six(3), &[0; 4])),
        ("nd-redirect", discovery(137, six(2), six(3), &[&[0; 4], &six(4)[..], &six(4), &[4, 0]].concat())),
        ("udp4", udp(false, 2, 3, 18)),
        ("udp6", udp(true, 2, 3, 18)),
        ("udp4-remote", udp(false, 2, 4, 60)),
        ("udp6-remote", udp(true, 2, 4, 60)),
        ("udp4-padded", [udp(false, 2, 3, 1), vec![0; 17]].concat()),
        ("tcp4", tcp(false, 7, 18, true)),
        ("tcp6", tcp(true, 7, 18, true)),
        ("tcp4-refused", syn(false)),
        ("tcp6-refused", syn(true)),
        ("udp4-long", udp(false, 2, 3, 900)),
        ("icmp", echo(false, 2, 3)),
        ("icmp6", echo(true, 2, 3)),
        ("broadcast", raw(2, [0xff; 6], 0x88b5, &[0; 46])),
        ("unknown-destination", raw(2, mac(77), 0x88b5, &[0; 46])),
        ("link-control", raw(2, [1, 0x80, 0xc2, 0, 0, 2], 0x8809, &[0; 46])),
        ("tag", tagged(&udp(false, 2, 3, 18), 0x8100, 0x2005)),
        ("two-tags", tagged(&tagged(&udp(false, 2, 3, 18), 0x8100, 5), 0x88a8, 6)),
        ("fragment-first", fragment(udp(false, 2, 3, 32), true, 0)),
        ("fragment-later", fragment(udp(false, 2, 3, 32), false, 5)),
        ("v6-hop-by-hop", ipv6(0, 64, six(2), six(3), &extension(17, &udp6))),
        ("v6-options", ipv6(60, 64, six(2), six(3), &extension(60, &extension(17, &udp6)))),
        ("v6-routing", ipv6(43, 64, six(2), six(3), &[&[17, 0, 4, 1, 0, 0, 0, 0], &udp6[..]].concat())),
        (
            "v6-authentication",
            ipv6(51, 64, six(2), six(3), &[&[17, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &udp6[..]].concat()),
        ),
        ("v6-fragment-first", ipv6(44, 64, six(2), six(3), &[&[17, 0, 0, 1, 0, 0, 0, 9], &udp6[..]].concat())),
        ("v6-fragment-later", ipv6(44, 64, six(2), six(3), &[&[17, 0, 0, 8, 0, 0, 0, 9], &udp6[..]].concat())),
        ("v6-fragment-atomic", ipv6(44, 64, six(2), six(3), &[&[17, 0, 0, 0, 0, 0, 0, 9], &udp6[..]].concat())),
        ("v6-no-next-header", ipv6(59, 64, six(2), six(3), &[])),
    ]
}

fn offloaded() -> Vec<(&'static str, Vec<u8>)> {
    let padded = |input: Vec<u8>| [input, vec![0; 5]].concat();
    let ecn = |mut input: Vec<u8>| {
        input[1] |= 0x80;
        input
    };
    vec![
        ("super-tcp4", super_tcp(false, 700, 200)),
        ("super-tcp4-even", super_tcp(false, 600, 200)),
        ("super-tcp4-one", super_tcp(false, 100, 200)),
        ("super-tcp4-padded", padded(super_tcp(false, 300, 100))),
        ("super-tcp4-ecn", ecn(super_tcp(false, 300, 100))),
        ("super-tcp4-bytes", super_tcp(false, 60, 1)),
        ("super-tcp6", super_tcp(true, 700, 200)),
        ("super-udp4", super_udp(false, 300, 100)),
        ("super-udp6", super_udp(true, 301, 100)),
        ("super-udp4-empty", super_udp(false, 0, 100)),
        ("partial-tcp4", partial_frame(false, false)),
        ("partial-tcp6", partial_frame(true, false)),
        ("partial-udp4", partial_frame(false, true)),
        ("partial-udp6", partial_frame(true, true)),
        ("partial-padded", padded(partial_frame(false, false))),
        ("partial-outside", with(Offload::partial(90, 16), &udp(false, 2, 3, 18))),
        ("whole", with(Offload::VALID, &udp(false, 2, 3, 18))),
    ]
}

/// Frames in a row: runs of one flow, and what breaks them.
fn rows_of_frames() -> Vec<Seed> {
    let run = |six: bool, lens: &[usize]| {
        let mut at = 7;
        let mut frames = Vec::new();
        for (index, &len) in lens.iter().enumerate() {
            frames.push(tcp(six, at, len, index + 1 == lens.len()));
            at += len as u32;
        }
        frames
    };
    let join = |flags: u8, frames: &[Vec<u8>]| [vec![flags], records(frames)].concat();
    let datagrams = |six: bool, lens: &[usize]| lens.iter().map(|&len| udp(six, 2, 3, len)).collect::<Vec<_>>();
    let mixed = [run(false, &[50, 50]), datagrams(false, &[20, 20]), run(true, &[50, 50])].concat();
    let mut counted = run(false, &[40, 40, 40]);
    for (index, frame) in counted.iter_mut().enumerate() {
        // No "don't fragment": the identification counts, and must count up.
        frame[18..22].copy_from_slice(&[0, index as u8, 0, 0]);
    }
    vec![
        ("wire_join", "tcp4", join(0, &run(false, &[100, 100, 100]))),
        ("wire_join", "tcp4-short-last", join(0, &run(false, &[100, 100, 30]))),
        ("wire_join", "tcp4-short-inside", join(0, &run(false, &[100, 30, 100]))),
        ("wire_join", "tcp4-counted", join(2, &counted)),
        ("wire_join", "tcp6", join(0, &run(true, &[100, 100, 100]))),
        ("wire_join", "tcp4-gap", join(0, &[tcp(false, 7, 50, false), tcp(false, 99, 50, false)])),
        ("wire_join", "udp4", join(1, &datagrams(false, &[40, 40, 40]))),
        ("wire_join", "udp6", join(1, &datagrams(true, &[40, 40, 7]))),
        ("wire_join", "udp-not-joined", join(0, &datagrams(false, &[40, 40]))),
        ("wire_join", "mixed", join(3, &mixed)),
        ("wire_join", "tagged", join(2, &run(false, &[9, 9]).iter().map(|f| tagged(f, 0x8100, 5)).collect::<Vec<_>>())),
        (
            "switch_process",
            "run",
            records(&run(false, &[40, 40]).iter().map(|f| with(Offload::NONE, f)).collect::<Vec<_>>()),
        ),
    ]
}

fn datagrams() -> Vec<Seed> {
    let inner = |sequence: u32, len: usize| vxlan(42, &elsewhere(tcp(false, sequence, len, false)));
    let three = [inner(7, 60), inner(67, 60), inner(127, 9)];
    let partial = elsewhere(partial_frame(false, false).split_off(10));
    let whole = elsewhere(super_tcp(false, 1900, 1400).split_off(10));
    let mut ect = elsewhere(udp(false, 2, 3, 18));
    ect[15] = 2;
    let blue = vxlan(43, &elsewhere(udp(true, 2, 3, 18)));
    let other = elsewhere(udp(false, 2, 3, 18));
    vec![
        ("switch_decapsulate", "run-joined", run(0, 4, &three)),
        ("switch_decapsulate", "run-bad-checksum", run(0, 0, &[vxlan(42, &mangled(&other)), vxlan(42, &other)])),
        ("switch_decapsulate", "partial", run(0, 0, &[vxlan(42, &partial)])),
        ("switch_decapsulate", "partial-super-frame", run(0, 0, &[vxlan(42, &whole)])),
        ("switch_decapsulate", "congestion-not-ect", run(0, 7, &[vxlan(42, &other)])),
        ("switch_decapsulate", "congestion-ect", run(0, 7, &[vxlan(42, &ect)])),
        ("switch_decapsulate", "blue", run(1, 4, std::slice::from_ref(&blue))),
        ("switch_decapsulate", "blue-from-red", run(0, 4, std::slice::from_ref(&blue))),
        ("switch_decapsulate", "both", run(0, 4, &[vxlan(42, &elsewhere(udp(true, 2, 3, 18))), blue])),
        ("switch_decapsulate", "unknown-sender", run(2, 4, &[vxlan(42, &other)])),
        ("switch_decapsulate", "unknown-vni", run(0, 4, &[vxlan(44, &other)])),
        ("switch_decapsulate", "source-here", run(0, 4, &[vxlan(42, &udp(false, 2, 3, 18))])),
        ("vxlan_decode", "reserved-bits", [&[0xff; 8][..], &[0; 14]].concat()),
        ("vxlan_decode", "no-vni", [&[0; 8][..], &[0; 14]].concat()),
        ("vxlan_decode", "short", vxlan(42, &[0; 13])),
    ]
}

/// The frame as if endpoint 4, of another host, had sent it. The IP source stays: checksums stay right.
fn elsewhere(mut frame: Vec<u8>) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac(4));
    frame
}

fn mangled(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some(last) = frame.last_mut() {
        *last ^= 1;
    }
    frame
}

fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0], &(vni << 8).to_be_bytes()[..], frame].concat()
}

fn run(from: u8, flags: u8, datagrams: &[Vec<u8>]) -> Vec<u8> {
    let segment = datagrams.first().map_or(0, Vec::len) as u16;
    [&[from, flags], &segment.to_be_bytes()[..], &datagrams.concat()].concat()
}

fn records(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [&(record.len() as u16).to_be_bytes()[..], record].concat()).collect()
}
