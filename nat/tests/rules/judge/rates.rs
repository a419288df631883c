//! Matches that remember: limits, quotas, numbers of connections, every n-th packet.

use std::time::Duration;

use nat::Address;
use nat::Tuple;
use nat::rules::{Connection, Tracking};

use super::world::{Bench, forward, udp};

/// Packets that pass of so many, one every so many milliseconds.
fn passing(bench: &mut Bench, count: u32, every: u64) -> u32 {
    let frame = udp("10.0.0.1:1000", "10.0.0.2:53", &[0; 72]);
    let mut passed = 0;
    for _ in 0..count {
        passed += u32::from(bench.drops(&frame));
        bench.now = bench.now + Duration::from_millis(every);
    }
    passed
}

#[test]
fn fw_09_limit_is_a_burst_and_then_a_rate() {
    for (rule, count, every, expected) in [
        ("--limit 10/sec", 1_000, 10, 104..=105),
        ("--limit 10/sec --limit-burst 20", 15, 0, 15..=15),
        ("--limit 1/min --limit-burst 1", 61, 1_000, 2..=2),
        ("", 100, 1_000, 5..=5),
    ] {
        let passed = passing(&mut forward(&format!("-A FORWARD -m limit {rule} -j DROP")), count, every);
        assert!(expected.contains(&passed), "{rule}: {passed}");
    }
}

#[test]
fn a_limit_fills_up_again_but_not_beyond_its_burst() {
    let mut bench = forward("-A FORWARD -m limit --limit 1/sec --limit-burst 3 -j DROP");
    assert_eq!(passing(&mut bench, 10, 0), 3);
    bench.now = bench.now + Duration::from_secs(3_600);
    assert_eq!(passing(&mut bench, 10, 0), 3);
    bench.now = bench.now + Duration::from_millis(2_000);
    assert_eq!(passing(&mut bench, 10, 0), 2);
}

#[test]
fn fw_10_hashlimit_has_a_quota_for_each() {
    let rule = "--hashlimit-upto 1/sec --hashlimit-burst 2 --hashlimit-name a";
    for (mode, expected) in [
        ("", 2),
        ("--hashlimit-mode srcip", 4),
        ("--hashlimit-mode srcip --hashlimit-srcmask 24", 2),
        ("--hashlimit-mode srcip,dstport", 8),
    ] {
        let mut bench = forward(&format!("-A FORWARD -m hashlimit {rule} {mode} -j DROP"));
        let mut dropped = 0;
        for number in 0..40 {
            let (src, dst) = (format!("10.0.0.{}:9", number % 2), format!("10.0.1.1:{}", 1 + number / 2 % 2));
            dropped += u32::from(bench.drops(&udp(&src, &dst, b"")));
        }
        assert_eq!(dropped, expected, "{mode}");
    }
}

#[test]
fn hashlimit_counts_bytes_and_knows_what_is_above() {
    // 100 bytes are 7 chunks of 16: ten seconds of traffic, of which 1,000 bytes pass in each.
    let rule = "--hashlimit-upto 1000b/s --hashlimit-name a --hashlimit-mode srcip";
    let passed = passing(&mut forward(&format!("-A FORWARD -m hashlimit {rule} -j DROP")), 1_000, 10);
    assert!((95..=105).contains(&passed), "{passed}");
    let above = rule.replace("upto", "above");
    let over = passing(&mut forward(&format!("-A FORWARD -m hashlimit {above} -j DROP")), 1_000, 10);
    assert_eq!(passed + over, 1_000);
}

#[test]
fn rules_with_one_name_share_their_quota() {
    let rule = "-A FORWARD -p udp -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 4 --hashlimit-name a -j";
    let mut bench = forward(&format!("{rule} MARK --set-mark 1\n{rule} DROP"));
    assert_eq!(passing(&mut bench, 10, 0), 2);
}

#[test]
fn a_full_table_takes_nobody_new_until_old_ones_are_forgotten() {
    let mut bench = forward(
        "-A FORWARD -m hashlimit --hashlimit-upto 9/sec --hashlimit-name a --hashlimit-mode srcip \
         --hashlimit-htable-max 2 --hashlimit-htable-expire 3000 -j ACCEPT",
    );
    let from = |last: u8| udp(&format!("10.0.0.{last}:9"), "10.0.1.1:1", b"");
    assert!(!bench.drops(&from(1)) && !bench.drops(&from(2)) && bench.drops(&from(3)));
    bench.now = bench.now + Duration::from_secs(4);
    assert!(!bench.drops(&from(3)));
}

#[test]
fn fw_11_every_nth_packet() {
    for (rule, expected) in [
        ("--every 3 --packet 0", [true, false, false, true, false, false]),
        ("--every 3 --packet 2", [false, false, true, false, false, true]),
        ("--every 1 --packet 0", [true; 6]),
    ] {
        let mut bench = forward(&format!("-A FORWARD -m statistic --mode nth {rule} -j DROP"));
        let mut other = forward(&format!("-A FORWARD -m statistic --mode nth ! {rule} -j DROP"));
        for wanted in expected {
            assert_eq!(passing(&mut bench, 1, 0) == 1, wanted, "{rule}");
            assert_eq!(passing(&mut other, 1, 0) == 0, wanted, "! {rule}");
        }
    }
}

#[test]
fn fw_10_connlimit_counts_open_connections_and_forgets_closed_ones() {
    let mut bench =
        forward("-A FORWARD -m connlimit --connlimit-above 2 --connlimit-mask 24 -j DROP\n-A FORWARD -j ACCEPT");
    let address = |last: u8| Address::new([10, 0, 0, last].into()).unwrap();
    let tuple = |number: u8| Tuple { src: address(number), dst: address(200), src_port: 9, dst_port: 80, protocol: 17 };
    let come = |bench: &mut Bench, number: u8| {
        bench.tracking = Tracking::Known(Connection { expires: 30, ..Connection::begun_by(tuple(number)) });
        bench.now = bench.now + Duration::from_millis(10);
        let dropped = bench.drops(&udp(&format!("10.0.0.{number}:9"), "10.0.0.200:80", b""));
        if !dropped {
            bench.world.open.push(tuple(number));
        }
        dropped
    };
    assert!(!come(&mut bench, 1) && !come(&mut bench, 2) && come(&mut bench, 3) && come(&mut bench, 4));
    // Those that are open go on; one that closes makes room for one.
    assert!(!come(&mut bench, 1) && !come(&mut bench, 2));
    bench.world.open.retain(|open| *open != tuple(1));
    assert!(!come(&mut bench, 5) && come(&mut bench, 6));
}

#[test]
fn what_was_counted_and_closed_is_not_counted_when_it_is_made_again_elsewhere() {
    // The gateway's errors come from one address, and are of the connections that they are about.
    let mut bench = forward("-A FORWARD -m connlimit --connlimit-above 1 -j DROP\n-A FORWARD -j ACCEPT");
    let address = |last: u8| Address::new([10, 0, 0, last].into()).unwrap();
    let tuple = |number: u8| Tuple { src: address(number), dst: address(200), src_port: 9, dst_port: 80, protocol: 17 };
    let about = |bench: &mut Bench, number: u8| {
        bench.tracking = Tracking::Known(Connection::begun_by(tuple(number)));
        bench.now = bench.now + Duration::from_millis(10);
        bench.drops(&udp("10.0.0.1:9", "10.0.0.200:80", b""))
    };
    assert!(!about(&mut bench, 2) && !about(&mut bench, 3));
    bench.world.open.push(tuple(2));
    assert!(!about(&mut bench, 4), "only what is counted now");
}
