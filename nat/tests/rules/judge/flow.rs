//! The order of rules: chains, jumps, returns, policies, counters.

use nat::rules::{Family, Hook, Reject, Table, Verdict, save};

use super::world::{bench, forward, udp};

const CHAINS: &str = ":FORWARD DROP [5:500]\n:a - [0:0]\n:b - [0:0]\n";

#[test]
fn fw_01_the_first_rule_that_decides_does_so() {
    for (rules, dropped) in [
        ("-A FORWARD -j ACCEPT\n-A FORWARD -j DROP", false),
        ("-A FORWARD -j LOG\n-A FORWARD\n-A FORWARD -j MARK --set-mark 1\n-A FORWARD -j ACCEPT", false),
        ("", true),
        ("-A FORWARD -j RETURN\n-A FORWARD -j ACCEPT", true),
        ("-A FORWARD -j a\n-A FORWARD -j ACCEPT\n-A a -j RETURN\n-A a -j DROP", false),
        ("-A FORWARD -j a\n-A FORWARD -j ACCEPT\n-A a -j b\n-A a -j DROP\n-A b -p tcp", true),
        ("-A FORWARD -g a\n-A FORWARD -j ACCEPT\n-A a -j RETURN", true),
        ("-A FORWARD -j a\n-A FORWARD -j ACCEPT\n-A a -g b\n-A a -j DROP\n-A b -p tcp", false),
        ("-A FORWARD -g a\n-A FORWARD -j ACCEPT\n-A a -j b\n-A a -j ACCEPT\n-A b -j RETURN", false),
        ("-A FORWARD -p tcp -j DROP\n-A FORWARD ! -p tcp -j ACCEPT", false),
    ] {
        let mut bench = forward(&format!("{CHAINS}{rules}"));
        assert_eq!(bench.drops(&udp("10.0.0.1:1", "10.0.0.2:2", b"")), dropped, "{rules}");
    }
}

#[test]
fn fw_15_counters_are_of_ip_packets_and_are_saved() {
    let mut bench = forward(&format!(
        "{CHAINS}[10:1000] -A FORWARD -p udp -j a\n-A FORWARD -p tcp -j ACCEPT\n[1:1] -A a -d 10.0.0.2 -j RETURN\n-A a -j ACCEPT"
    ));
    // 20 of IP, 8 of UDP; the Ethernet header and link padding do not count.
    let mut padded = udp("10.0.0.1:1", "10.0.0.2:2", b"abcd");
    assert!(padded.extend(&[0; 14]) && bench.drops(&padded));
    assert!(!bench.drops(&udp("10.0.0.1:1", "10.0.0.3:2", &[0; 100])));
    let saved = save(&bench.program.rule_set(), true);
    for line in [
        ":FORWARD DROP [6:532]",
        "[12:1160] -A FORWARD -p udp -j a",
        "[0:0] -A FORWARD -p tcp -j ACCEPT",
        "[2:33] -A a -d 10.0.0.2/32 -j RETURN",
        "[1:128] -A a -j ACCEPT",
    ] {
        assert!(saved.lines().any(|found| found == line), "{line}\n{saved}");
    }
    bench.program.zero();
    assert!(save(&bench.program.rule_set(), true).contains("[0:0] -A FORWARD -p udp -j a"));
}

#[test]
fn what_decided_is_told() {
    let mut bench = forward(&format!("{CHAINS}-A FORWARD -p udp -j a\n-A a -s 10.0.0.9\n-A a -s 10.0.0.1 -j REJECT"));
    let mut frame = udp("10.0.0.1:1", "10.0.0.2:2", b"");
    let outcome = bench.judge(&mut frame);
    assert_eq!(outcome.verdict, Verdict::Reject(Reject::Icmp(3)));
    let text = bench.program.describe(outcome.by.unwrap());
    assert_eq!(text, "-A a -s 10.0.0.1/32 -j REJECT --reject-with icmp-port-unreachable");
    let outcome = bench.judge(&mut udp("10.0.0.3:1", "10.0.0.2:2", b""));
    assert_eq!(bench.program.describe(outcome.by.unwrap()), "policy of forward: drop");
}

#[test]
fn other_families_tables_and_hooks_have_no_say() {
    let mut bench = forward(":FORWARD DROP [0:0]");
    assert!(!bench.drops(&udp("[fd00::1]:1", "[fd00::2]:2", b"")));
    assert!(bench.drops(&udp("10.0.0.1:1", "10.0.0.2:2", b"")));
    assert!(bench.program.acts(Table::Filter, Hook::Forward) && !bench.program.acts(Table::Filter, Hook::Input));
    bench.table = Table::Nat;
    assert_eq!(bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b"")).by, None);
    (bench.table, bench.hook) = (Table::Filter, Hook::Prerouting);
    assert_eq!(bench.judge(&mut udp("10.0.0.1:1", "10.0.0.2:2", b"")).by, None);
}

#[test]
fn a_deep_row_of_chains_is_walked_to_its_end_and_back() {
    let chains: String = (0..5_000).map(|chain| format!(":c{chain} - [0:0]\n")).collect();
    let jumps: String = (1..5_000).map(|chain| format!("-A c{} -j c{chain}\n", chain - 1)).collect();
    let rules = format!(":INPUT DROP [0:0]\n{chains}{jumps}-A INPUT -j c0\n-A INPUT -m mark --mark 3 -j ACCEPT\n");
    let mut bench = bench(Family::Ipv6, Table::Filter, Hook::Input, &format!("{rules}-A c4999 -j MARK --set-mark 3"));
    assert!(!bench.drops(&udp("[fd00::1]:1", "[fd00::2]:2", b"")));
}
