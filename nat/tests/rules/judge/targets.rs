//! What targets do to packets and marks, and what they say about translation.

use nat::ipv4_header_is_sound;
use nat::rules::{Connection, Family, Hook, Reject, Table, Tracking, Translation, Verdict};
use nat::{Address, Tuple};
use rstest::rstest;
use wire::{Frame, Offload, checksum, parse};

use super::world::{Bench, bench, echo, forward, tcp, udp};

fn mangle(family: Family, rules: &str) -> Bench {
    bench(family, Table::Mangle, Hook::Forward, rules)
}

/// Both checksums are right, and the headers are those of the frame.
fn assert_sound(frame: &Frame, bench: &Bench) {
    let headers = parse(frame.bytes()).unwrap();
    assert!(ipv4_header_is_sound(frame.bytes(), &headers));
    assert_eq!(checksum::verify_transport(frame.bytes(), &headers), Some(true));
    assert_eq!(bench.headers, Some(headers));
}

#[rstest]
#[case("MARK --set-mark 0x5", 5)]
#[case("MARK --set-mark 0x5/0xf0", 0x05)]
#[case("MARK --or-mark 0x60", 0x75)]
#[case("MARK --and-mark 0x10", 0x10)]
#[case("MARK --xor-mark 0xff", 0xea)]
#[case("MARK --set-xmark 0x1/0x1", 0x15 & !1 ^ 1)]
#[case("CONNMARK --restore-mark", 0x3300)]
#[case("CONNMARK --restore-mark --nfmask 0xf --ctmask 0x100", 0x110)]
fn marks_of_packets(#[case] target: &str, #[case] expected: u32) {
    let mut bench = mangle(Family::Ipv4, &format!("-A FORWARD -j {target}"));
    (bench.mark, bench.tracking) = (0x15, known());
    bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b""));
    assert_eq!(bench.mark, expected);
}

#[rstest]
#[case("CONNMARK --set-mark 0x5", 5)]
#[case("CONNMARK --or-mark 0x5", 0x3305)]
#[case("CONNMARK --save-mark", 0x15)]
#[case("CONNMARK --save-mark --nfmask 0xf --ctmask 0xff", 0x3305)]
fn marks_of_connections(#[case] target: &str, #[case] expected: u32) {
    let mut bench = mangle(Family::Ipv4, &format!("-A FORWARD -j {target}"));
    (bench.mark, bench.tracking) = (0x15, known());
    bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b""));
    assert_eq!(bench.connection().mark, expected);
}

fn known() -> Tracking {
    let address = |last: u8| Address::new([10, 0, 0, last].into()).unwrap();
    let original = Tuple { src: address(1), dst: address(2), src_port: 1, dst_port: 2, protocol: 17 };
    Tracking::Known(Connection { mark: 0x3300, expires: 30, ..Connection::begun_by(original) })
}

#[rstest]
#[case(Family::Ipv4, "TTL --ttl-set 7", |bytes: &[u8]| bytes[22] == 7)]
#[case(Family::Ipv4, "TTL --ttl-inc 255", |bytes: &[u8]| bytes[22] == 255)]
#[case(Family::Ipv4, "TTL --ttl-dec 65", |bytes: &[u8]| bytes[22] == 0)]
#[case(Family::Ipv4, "DSCP --set-dscp-class EF", |bytes: &[u8]| bytes[15] == 0xb8)]
#[case(Family::Ipv4, "TOS --set-tos 0x0f/0x0f", |bytes: &[u8]| bytes[15] == 0x0f)]
#[case(Family::Ipv4, "TOS --xor-tos 0xff", |bytes: &[u8]| bytes[15] == 0xff)]
#[case(Family::Ipv6, "HL --hl-dec 1", |bytes: &[u8]| bytes[21] == 63)]
#[case(Family::Ipv6, "DSCP --set-dscp 0x2e", |bytes: &[u8]| bytes[14..16] == [0x6b, 0x80])]
#[case(Family::Ipv6, "TOS --set-tos 0x12", |bytes: &[u8]| bytes[14..16] == [0x61, 0x20])]
fn header_fields(#[case] family: Family, #[case] target: &str, #[case] test: fn(&[u8]) -> bool) {
    let mut frame = match family {
        Family::Ipv4 => udp("10.0.0.1:1", "10.0.0.2:2", b"abc"),
        Family::Ipv6 => udp("[fd00::1]:1", "[fd00::2]:2", b"abc"),
    };
    let mut bench = mangle(family, &format!("-A FORWARD -j {target}\n-A FORWARD -j DROP"));
    assert_eq!(bench.judge(&mut frame).verdict, Verdict::Drop);
    assert!(test(frame.bytes()), "{:?}", frame.bytes());
    assert_sound(&frame, &bench);
}

/// The segment size that a SYN announces, after `target`.
fn mss(target: &str, options: &[u8], payload: &[u8], v6: bool, mtu: u32) -> Option<u16> {
    let (family, mut frame) = match v6 {
        false => (Family::Ipv4, tcp("10.0.0.1:1", "10.0.0.2:2", 2, options, payload)),
        true => (Family::Ipv6, tcp("[fd00::1]:1", "[fd00::2]:2", 2, options, payload)),
    };
    let mut bench = mangle(family, &format!("-A FORWARD -p tcp --syn -j TCPMSS {target}"));
    bench.world.mtu = mtu;
    if bench.judge(&mut frame).verdict == Verdict::Drop {
        return None;
    }
    assert_sound(&frame, &bench);
    let headers = bench.headers.unwrap();
    assert_eq!(frame.len(), headers.end as usize);
    let options = &frame.bytes()[usize::from(headers.l4) + 20..usize::from(headers.payload)];
    let at = options.windows(2).position(|pair| pair == [2, 4]);
    Some(at.map_or(0, |at| u16::from_be_bytes([options[at + 2], options[at + 3]])))
}

#[test]
fn the_segment_size_is_lowered_and_never_raised() {
    let announced = [2, 4, 5, 180];
    let odd = [1, 2, 4, 5, 180, 0, 0, 0];
    for (target, options, payload, v6, mtu, expected) in [
        ("--set-mss 1000", &announced[..], &b""[..], false, 0, Some(1_000)),
        ("--set-mss 1000", &odd, b"data", false, 0, Some(1_000)),
        ("--set-mss 1000", &odd, b"", true, 0, Some(1_000)),
        ("--set-mss 9000", &announced, b"", false, 0, Some(1_460)),
        ("--clamp-mss-to-pmtu", &announced, b"", false, 1_400, Some(1_360)),
        ("--clamp-mss-to-pmtu", &announced, b"", true, 1_400, Some(1_340)),
        ("--clamp-mss-to-pmtu", &announced, b"", true, 60, None),
        // None is announced: that stands for 536 or 1,220, and is added where there is no data.
        ("--set-mss 1000", &[], b"", false, 0, Some(536)),
        ("--set-mss 300", &[4, 2, 1, 1], b"", false, 0, Some(300)),
        ("--set-mss 9000", &[], b"", true, 0, Some(1_220)),
        ("--set-mss 300", &[], b"data", false, 0, Some(0)),
        ("--set-mss 300", &[1; 40], b"", false, 0, Some(0)),
    ] {
        assert_eq!(mss(target, options, payload, v6, mtu), expected, "{target} {options:?}");
    }
}

#[test]
fn a_checksum_that_is_still_to_be_completed_stays_so() {
    for options in [&[][..], &[2, 4, 5, 180]] {
        let mut whole = tcp("10.0.0.1:1", "10.0.0.2:2", 2, options, b"");
        let mut bench = mangle(Family::Ipv4, "-A FORWARD -p tcp --syn -j TCPMSS --set-mss 300");
        let len = (whole.len() - 34) as u16;
        let sum = checksum::fold(checksum::pseudo_ipv4([10, 0, 0, 1], [10, 0, 0, 2], 6, len));
        whole.bytes_mut()[50..52].copy_from_slice(&sum.to_be_bytes());
        whole.offload = Offload::partial(34, 16);
        bench.judge(&mut whole);
        checksum::complete(&mut whole).unwrap();
        assert_sound(&whole, &bench);
    }
}

#[test]
fn na_06_netmap_keeps_the_host_part() {
    for (hook, chain, destination) in
        [(Hook::Prerouting, "PREROUTING", true), (Hook::Postrouting, "POSTROUTING", false)]
    {
        let mut bench = bench(Family::Ipv4, Table::Nat, hook, &format!("-A {chain} -j NETMAP --to 192.168.7.0/24"));
        let verdict = bench.verdict(&udp("10.0.0.1:1", "10.0.0.2:2", b""));
        let (nat, last) = match verdict {
            Verdict::Translate(Translation::Destination(nat)) if destination => (nat, 2),
            Verdict::Translate(Translation::Source(nat)) if !destination => (nat, 1),
            other => panic!("{other:?}"),
        };
        let address = [192, 168, 7, last].into();
        assert_eq!(nat.addresses.unwrap().ends(Family::Ipv4), (address, address));
    }
}

#[test]
fn translations_are_told() {
    let mut bench = bench(
        Family::Ipv6,
        Table::Nat,
        Hook::Prerouting,
        "-A PREROUTING -p udp --dport 2 -j DNAT --to-destination [fd00::5-fd00::9]:80-90 --random --persistent\n\
         -A PREROUTING -p udp --dport 3 -j REDIRECT --to-ports 99\n-A PREROUTING -p udp --dport 4 -j ACCEPT",
    );
    let mut to = |port: u16| bench.verdict(&udp("[fd00::1]:1", &format!("[fd00::2]:{port}"), b""));
    let Verdict::Translate(Translation::Destination(nat)) = to(2) else { panic!() };
    assert!(nat.random && nat.persistent && !nat.random_fully && nat.ports.unwrap().last == 90);
    let Verdict::Translate(Translation::Redirect(nat)) = to(3) else { panic!() };
    assert_eq!((nat.addresses, nat.ports.unwrap().first), (None, 99));
    assert_eq!(to(4), Verdict::Accept);
    assert_eq!(to(5), Verdict::Accept);
}

#[test]
fn fw_13_fw_14_refusing_and_writing_down() {
    let mut bench = forward(
        "-A FORWARD -j LOG --log-prefix \"seen \"\n-A FORWARD -p tcp -j REJECT --reject-with tcp-reset\n\
         -A FORWARD -p icmp -j REJECT --reject-with admin-prohib",
    );
    assert_eq!(bench.verdict(&tcp("10.0.0.1:1", "10.0.0.2:2", 2, &[], b"")), Verdict::Reject(Reject::TcpReset));
    assert_eq!(bench.verdict(&echo("10.0.0.1", "10.0.0.2")), Verdict::Reject(Reject::Icmp(13)));
    assert_eq!(bench.verdict(&udp("10.0.0.1:1", "10.0.0.2:2", b"")), Verdict::Accept);
    assert_eq!(bench.world.logged, ["seen eth0"; 3]);
}

#[test]
fn notrack_is_for_packets_that_were_not_looked_up() {
    let mut bench = bench(Family::Ipv4, Table::Raw, Hook::Prerouting, "-A PREROUTING -j CT --notrack");
    bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b""));
    assert!(matches!(bench.tracking, Tracking::Untracked));
    bench.tracking = known();
    bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b""));
    assert!(matches!(bench.tracking, Tracking::Known(_)));
}
