//! Rules by chance, of every table and target, about both networks.

use std::net::IpAddr;

use nat::rules::{Family, load};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::networks::{FAR, HOST, of_blue, of_red};

/// Rules of a text, most of which can be loaded.
pub(crate) fn rules() -> impl Strategy<Value = Vec<String>> {
    let chain = prop_oneof![
        4 => Just(("filter", "FORWARD")),
        1 => select(vec![("filter", "INPUT"), ("filter", "OUTPUT"), ("raw", "PREROUTING"), ("raw", "OUTPUT")]),
        1 => select(vec![("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("mangle", "POSTROUTING"), ("mangle", "INPUT")]),
        3 => select(vec![("nat", "PREROUTING"), ("nat", "PREROUTING"), ("nat", "POSTROUTING"), ("nat", "OUTPUT")]),
    ];
    let asked = select(vec![
        "",
        "",
        "",
        "-i p1",
        "-i p2",
        "-i p3",
        "-i p4",
        "-i uplink",
        "-i vsw0",
        "-i tunnel",
        "! -i p1",
        "-i p+",
        "-p tcp",
        "-p tcp --dport 80",
        "-p udp",
        "-p udp --dport 53",
        "-m conntrack --ctstate NEW",
        "-m conntrack --ctstate RELATED,ESTABLISHED",
        "-m conntrack --ctstate INVALID,UNTRACKED",
        "-m mark --mark 1",
        "-s RED",
        "-d RED",
        "-s BLUE",
        "-d BLUE",
        "-d HOST",
        "-d FAR",
        "-s FAR",
    ]);
    let done = prop_oneof![
        select(vec!["ACCEPT", "ACCEPT", "DROP", "RETURN", "REJECT", "user"]),
        select(vec![
            "NOTRACK",
            "CT --notrack",
            "MARK --set-mark 1",
            "CONNMARK --set-mark 2",
            "CONNMARK --restore-mark",
            "TTL --ttl-set 9",
            "HL --hl-set 9",
            "DSCP --set-dscp 8",
            "LOG"
        ]),
        select(vec![
            "DNAT --to-destination RED2",
            "DNAT --to-destination BLUE2",
            "DNAT --to-destination BLUE3",
            "DNAT --to-destination BLUEGW",
            "DNAT --to-destination RED2-RED4",
            "REDIRECT",
            "REDIRECT --to-ports 80",
            "SNAT --to-source BLUE2",
            "SNAT --to-source BLUEGW",
            "SNAT --to-source RED3",
            "SNAT --to-source HOST",
            "MASQUERADE",
            "NETMAP --to BLUE",
            "NETMAP --to RED"
        ]),
    ];
    let rule = (chain, vec(asked, 1..3), done)
        .prop_map(|((table, chain), asked, done)| format!("{table} -A {chain} {} -j {done}", asked.join(" ")));
    vec(rule, 0..12)
}

/// The text of those rules that can be loaded, for one family, and their number.
pub(crate) fn text(rules: &[String], family: Family) -> (String, usize) {
    let six = family == Family::Ipv6;
    let of = |both: [IpAddr; 2]| both[usize::from(six)].to_string();
    let red = if six { "fd00::/64".to_owned() } else { "10.10.10.0/24".to_owned() };
    let blue = if six { "fd00:20::/64".to_owned() } else { "10.20.20.0/24".to_owned() };
    let filled = |rule: &String| {
        let rule =
            rule.replace("BLUEGW", &of(of_blue(1))).replace("BLUE2", &of(of_blue(2))).replace("BLUE3", &of(of_blue(3)));
        let rule = rule.replace("RED2", &of(of_red(2))).replace("RED3", &of(of_red(3))).replace("RED4", &of(of_red(4)));
        rule.replace("RED", &red).replace("BLUE", &blue).replace("HOST", &of(HOST)).replace("FAR", &of(FAR))
    };
    let (mut text, mut count) = (String::new(), 0);
    for table in ["raw", "mangle", "nat", "filter"] {
        let mut body = String::new();
        for rule in rules.iter().map(filled) {
            let Some(rule) = rule.strip_prefix(table) else { continue };
            let user = ":user - [0:0]\n-A user -p tcp -j ACCEPT\n";
            if load(family, &format!("*{table}\n{user}{rule}\nCOMMIT\n")).is_ok() {
                body += &format!("{}\n", rule.trim());
                count += 1;
            }
        }
        text += &format!("*{table}\n:user - [0:0]\n-A user -p tcp -j ACCEPT\n{body}COMMIT\n");
    }
    (text, count)
}
