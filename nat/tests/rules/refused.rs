//! Texts that are refused, with line, word and reason.

use std::fmt::Write;

use nat::rules::{Family, load};
use rstest::rstest;

fn refusal(text: &str) -> (usize, String, String) {
    let error = load(Family::Ipv4, text).expect_err(text);
    (error.line, error.word, error.reason)
}

#[rstest]
#[case::no_table("-A INPUT -j DROP\n", 1, "-A", "no table is open")]
#[case::unknown_table("*broute\nCOMMIT\n", 1, "broute", "the tables are")]
#[case::not_closed("*filter\n:INPUT DROP [0:0]\n", 2, "end of the text", "not closed by COMMIT")]
#[case::not_closed_before("*filter\n*nat\n", 2, "nat", "filter is not closed")]
#[case::twice("*filter\nCOMMIT\n*filter\nCOMMIT\n", 3, "filter", "twice")]
#[case::commit("COMMIT\n", 1, "COMMIT", "no table is open")]
#[case::quote("*filter\n\n# x\n-A INPUT -m comment --comment \"a b\nCOMMIT\n", 4, "\"a b", "not closed")]
#[case::command("*filter\n-D INPUT 1\nCOMMIT\n", 2, "-D", "not a line of saved rules")]
#[case::chain("*filter\n-A my -j DROP\nCOMMIT\n", 2, "my", "no chain of this name")]
#[case::declared_twice("*filter\n:my - [0:0]\n:my - [0:0]\nCOMMIT\n", 3, "my", "declared twice")]
#[case::target_name("*filter\n:LOG - [0:0]\nCOMMIT\n", 2, "LOG", "a target has this name")]
#[case::user_policy("*filter\n:my DROP [0:0]\nCOMMIT\n", 2, "DROP", "only built-in chains")]
#[case::policy("*filter\n:INPUT REJECT [0:0]\nCOMMIT\n", 2, "REJECT", "ACCEPT or DROP")]
#[case::counters("*filter\n[1:x] -A INPUT\nCOMMIT\n", 2, "[1:x]", "not counters")]
#[case::trailing("*filter\n:INPUT DROP [0:0] x\nCOMMIT\n", 2, "x", "nothing may follow")]
#[case::inserted("*filter\n-I INPUT 2 -j DROP\nCOMMIT\n", 2, "2", "the chain has 0 rules")]
#[case::forward_reference("*filter\n-A INPUT -j my\n:my - [0:0]\nCOMMIT\n", 2, "my", "neither a chain")]
#[case::unknown_match("*filter\n-A INPUT -m time --utc\nCOMMIT\n", 2, "time", "not supported")]
#[case::unknown_set("*filter\n-A INPUT -m set --match-set a src\nCOMMIT\n", 2, "a", "no list of this name")]
#[case::set_kind("create a list:set size 8\n", 1, "list:set", "the lists are")]
#[case::set_option("create a hash:ip family inet timeout 9\n", 1, "timeout", "not supported")]
#[case::set_family("create a hash:ip family inet6\n", 1, "a", "IPv6 addresses among rules for IPv4")]
#[case::set_entry("create a hash:ip family inet\nadd a 10.0.0.0/24\n", 2, "10.0.0.0/24", "not an entry")]
#[case::set_twice("create a hash:ip\nadd a 1.2.3.4\nadd a 1.2.3.4\n", 3, "1.2.3.4", "twice")]
#[case::set_full("create a hash:ip maxelem 1\nadd a 1.2.3.4\nadd a 1.2.3.5\n", 3, "1.2.3.5", "more than 1")]
#[case::set_late("*filter\nCOMMIT\ncreate a hash:ip\n", 3, "create", "before the first table")]
#[case::set_sides(
    "create a hash:ip,port\n*filter\n-A INPUT -m set --match-set a src\nCOMMIT\n",
    3,
    "src",
    "each of its parts"
)]
#[case::unknown_target("*filter\n-A INPUT -j NFQUEUE\nCOMMIT\n", 2, "NFQUEUE", "nor a target that is supported")]
#[case::family("*filter\n-A INPUT -m hl --hl-eq 4\nCOMMIT\n", 2, "hl", "no such match for IPv4")]
#[case::other_family("*filter\n-6 -A INPUT\nCOMMIT\n", 2, "-6", "not a line")]
#[case::missing_value("*filter\n-A INPUT -p\nCOMMIT\n", 2, "-p", "its value is missing")]
#[case::mac_in_output(
    "*filter\n:a - [0:0]\n-A a -m mac --mac-source 00:00:00:00:00:01\n-A OUTPUT -j a\nCOMMIT\n",
    3,
    "mac",
    "reached from OUTPUT, as chain a is"
)]
#[case::reject_in_mangle("*mangle\n-A INPUT -j REJECT\nCOMMIT\n", 2, "REJECT", "for the table filter only")]
#[case::dnat_late(
    "*nat\n:a - [0:0]\n:b - [0:0]\n-A a -g b\n-A b -j DNAT --to-destination 1.2.3.4\n-A POSTROUTING -j a\nCOMMIT\n",
    5,
    "DNAT",
    "reached from POSTROUTING, as chain b is"
)]
#[case::clamp(
    "*mangle\n-A INPUT -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu\nCOMMIT\n",
    2,
    "--clamp-mss-to-pmtu",
    "INPUT"
)]
#[case::loop_of_one("*filter\n:a - [0:0]\n-A a -j a\nCOMMIT\n", 3, "a", "loop: a > a")]
#[case::loop_of_three(
    "*filter\n:a - [0:0]\n:b - [0:0]\n:c - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -g c\n-A c -j a\nCOMMIT\n",
    8,
    "a",
    "loop: a > b > c > a"
)]
fn what_is_wrong_is_named(#[case] text: &str, #[case] line: usize, #[case] word: &str, #[case] reason: &str) {
    let (at, what, why) = refusal(text);
    assert_eq!((at, &*what), (line, word), "{why}");
    assert!(why.contains(reason), "{why}");
}

#[test]
fn fw_02_a_chain_called_twice_is_no_loop() {
    let text = "*filter\n:a - [0:0]\n:b - [0:0]\n:c - [0:0]\n-A INPUT -j a\n-A INPUT -j b\n-A a -j c\n-A b -j c\n\
        -A b -g c\n-A c -j RETURN\nCOMMIT\n";
    assert!(load(Family::Ipv4, text).is_ok());
}

/// Chains that each call the next one twice, as a text: 2 to the power of their number is how often the last one is met.
fn twice(chains: usize) -> String {
    let mut text = "*filter\n".to_owned();
    (0..=chains).for_each(|chain| writeln!(text, ":c{chain} - [0:0]").unwrap());
    (0..chains).for_each(|chain| writeln!(text, "-A c{chain} -j c{0}\n-A c{chain} -g c{0}", chain + 1).unwrap());
    text + "-A INPUT -j c0\nCOMMIT\n"
}

#[test]
fn fw_02_a_way_that_no_packet_could_end_is_refused() {
    assert!(load(Family::Ipv4, &twice(20)).is_ok(), "2 million rules");
    for chains in [21, 40, 1_000] {
        let (line, word, reason) = refusal(&twice(chains));
        // The innermost 20 are well; the second call of the next one is too much.
        let chain = chains - 21;
        assert_eq!((line, word), (2 + (chains + 1) + 2 * chain + 1, format!("c{chain}")));
        assert!(reason.contains("more than 4000000 rules"), "{reason}");
    }
}

#[test]
fn a_word_is_shown_shortened() {
    let (_, word, _) = refusal(&format!("*filter\n-A INPUT -j {}\nCOMMIT\n", "é".repeat(5_000)));
    assert!(word.ends_with('…') && word.chars().count() == 61);
    assert_eq!(refusal("*filter\n-A INPUT \u{7}\nCOMMIT\n").1, "?");
}
