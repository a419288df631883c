//! Matches on a packet's connection.

use nat::rules::{Connection, Statuses, Tracking};
use nat::{Address, Direction, Tuple};

use super::world::{forward, udp};

fn tuple(src: &str, src_port: u16, dst: &str, dst_port: u16, protocol: u8) -> Tuple {
    let address = |text: &str| Address::new(text.parse().unwrap()).unwrap();
    Tuple { src: address(src), dst: address(dst), src_port, dst_port, protocol }
}

/// 10.0.0.1:1000 to 10.0.0.2:53, answered, translated to come from 192.0.2.1:2000.
fn connection() -> Connection {
    Connection {
        established: true,
        related: false,
        direction: Direction::Original,
        original: tuple("10.0.0.1", 1_000, "10.0.0.2", 53, 17),
        reply: tuple("10.0.0.2", 53, "192.0.2.1", 2_000, 17),
        statuses: Statuses(Statuses::SEEN_REPLY.0 | Statuses::CONFIRMED.0),
        source_translated: true,
        destination_translated: false,
        mark: 0x70,
        expires: 25,
    }
}

fn matches(rule: &str, tracking: Tracking) -> bool {
    let mut bench = forward(&format!("-A FORWARD {rule} -j DROP"));
    bench.tracking = tracking;
    bench.drops(&udp("10.0.0.1:1000", "10.0.0.2:53", b""))
}

#[test]
fn ct_03_states() {
    let new = Connection { established: false, statuses: Statuses(0), ..connection() };
    let related = Connection { related: true, ..connection() };
    for (tracking, state) in [
        (Tracking::None, "INVALID"),
        (Tracking::Untracked, "UNTRACKED"),
        (Tracking::Known(new), "NEW"),
        (Tracking::Known(related), "RELATED"),
        (Tracking::Known(connection()), "ESTABLISHED"),
    ] {
        for wanted in ["INVALID", "UNTRACKED", "NEW", "RELATED", "ESTABLISHED"] {
            for name in ["-m state IS--state", "-m conntrack IS--ctstate"] {
                let rule = |not: &str| format!("{} {wanted}", name.replace("IS", not));
                assert_eq!(matches(&rule(""), tracking.clone()), state == wanted, "{state} {}", rule(""));
                assert_eq!(matches(&rule("! "), tracking.clone()), state != wanted, "{state} {}", rule("! "));
            }
        }
    }
}

#[test]
fn fw_16_what_else_is_known() {
    for (rule, wanted) in [
        ("--ctstate SNAT", true),
        ("--ctstate DNAT", false),
        ("! --ctstate NEW,SNAT", false),
        ("--ctproto 17", true),
        ("! --ctproto udp", false),
        ("--ctorigsrc 10.0.0.0/24 ! --ctorigdst 10.0.0.3", true),
        ("--ctreplsrc 10.0.0.2 --ctrepldst 192.0.2.1", true),
        ("! --ctrepldst 192.0.2.0/24", false),
        ("--ctorigsrcport 1000 --ctorigdstport :53", true),
        ("--ctreplsrcport 53 --ctrepldstport 2000:", true),
        ("! --ctrepldstport 1999:2001", false),
        ("--ctstatus SEEN_REPLY,ASSURED", true),
        ("--ctstatus ASSURED", false),
        ("! --ctstatus EXPECTED", true),
        ("--ctstatus NONE", false),
        ("! --ctstatus NONE", true),
        ("--ctexpire 20:25", true),
        ("! --ctexpire 25", false),
        ("--ctdir ORIGINAL", true),
        ("--ctdir REPLY", false),
    ] {
        let rule = format!("-m conntrack {rule}");
        assert_eq!(matches(&rule, Tracking::Known(connection())), wanted, "{rule}");
        let state = rule.contains("--ctstate");
        assert_eq!(matches(&rule, Tracking::Untracked), state && rule.contains('!'), "untracked: {rule}");
    }
    // Without a connection only the state is asked.
    assert!(matches("-m conntrack --ctstate INVALID --ctproto 6", Tracking::None));
    assert!(matches("-m connmark --mark 0x10/0x10", Tracking::Known(connection())));
    assert!(!matches("-m connmark ! --mark 0x1", Tracking::Untracked));
}

#[test]
fn ports_of_a_ping_are_as_the_kernel_has_them() {
    // The identifier belongs to who asks; the other port is the type of this direction's message.
    let ping = Connection {
        original: tuple("10.0.0.1", 77, "10.0.0.2", 8, 1),
        reply: tuple("10.0.0.2", 8, "10.0.0.1", 77, 1),
        ..connection()
    };
    for (rule, wanted) in [
        ("--ctorigsrcport 77 --ctorigdstport 2048", true),
        ("--ctreplsrcport 77 --ctrepldstport 0", true),
        ("--ctrepldstport 77", false),
    ] {
        assert_eq!(matches(&format!("-m conntrack {rule}"), Tracking::Known(ping.clone())), wanted, "{rule}");
    }
}
