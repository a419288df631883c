//! Described packets before two sets of rules.

use nat::rules::{Nowhere, load};

use super::*;
use crate::api::TracePacket;

const GLOBAL: &str = "*raw
-A PREROUTING -p udp -m udp --dport 9 -j NOTRACK
COMMIT
*mangle
-A PREROUTING -s 10.0.0.2/32 -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*nat
-A PREROUTING -i uplink -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80
-A PREROUTING -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 5353
-A POSTROUTING -o uplink -j MASQUERADE
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -d 10.0.0.9/32 -j ACCEPT
-A FORWARD -p udp -m state --state UNTRACKED -j DROP
-A FORWARD -m mark --mark 0x1 -m conntrack --ctstate NEW
COMMIT
";

const OWN: &str = "*nat
-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.3
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:web - [0:0]
-A INPUT -p tcp -m tcp --dport 5353 -j REJECT --reject-with tcp-reset
-A FORWARD -o web0 -j web
-A web -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
";

fn traced(ask: TracePacket, src: &str, dst: &str) -> (Vec<String>, String) {
    by((GLOBAL, OWN), ask, src, dst)
}

fn by((global, own): (&str, &str), ask: TracePacket, src: &str, dst: &str) -> (Vec<String>, String) {
    let layer = |network: Option<&str>, text: &str| Layer {
        network: network.map(str::to_owned),
        program: Program::new(load(Family::Ipv4, text).unwrap()),
    };
    let mut layers = [layer(None, global), layer(Some("RED"), own)];
    let between = Between {
        input: ask.input.clone().unwrap_or_default(),
        output: ask.output.clone().unwrap_or_default(),
        gateway: "10.0.0.1".parse().ok(),
        places: HashMap::from([
            ("10.0.0.1".parse().unwrap(), String::new()),
            ("10.0.0.2".parse().unwrap(), "web0".into()),
        ]),
        subnets: vec!["10.0.0.0/24".parse().unwrap()],
    };
    let described = Described::of(&ask, src.parse().unwrap(), dst.parse().unwrap()).unwrap();
    let traced = trace(&mut layers, described, &between, 0, &mut Nowhere);
    let line = |step: TraceStep| {
        let TraceStep { hook, table, network, rule, did } = step;
        let did = did.map(|did| format!(" ({did})")).unwrap_or_default();
        format!("{hook} {table} {}: {rule}{did}", network.unwrap_or_default())
    };
    (traced.steps.into_iter().filter(|step| !step.rule.ends_with("accept")).map(line).collect(), traced.verdict)
}

fn ask(input: &str, output: &str, dport: u16) -> TracePacket {
    let name = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    TracePacket { input: name(input), output: name(output), dport: Some(dport), ..TracePacket::default() }
}

#[test]
fn tables_follow_in_order_and_later_rules_see_what_earlier_ones_did() {
    let (steps, verdict) = traced(ask("uplink", "web0", 8080), "192.0.2.7", "192.0.2.1");
    let expected = [
        "PREROUTING nat : -A PREROUTING -i uplink -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80 \
         (the destination becomes 10.0.0.2:80)",
        "FORWARD filter RED: -A FORWARD -o web0 -j web",
        "FORWARD filter RED: -A web -p tcp -m tcp --dport 80 -j ACCEPT",
    ];
    assert_eq!((steps, &*verdict), (expected.map(str::to_owned).to_vec(), "accept"), "the network's DNAT is not asked");

    let (steps, verdict) = traced(ask("web0", "uplink", 80), "10.0.0.2", "192.0.2.7");
    assert!(steps[0].ends_with("(the mark is 0x1 now)"), "{steps:?}");
    assert!(steps[1].contains("--mark 0x1 -m conntrack --ctstate NEW"), "{steps:?}");
    assert_eq!((steps[2].as_str(), &*verdict), ("FORWARD filter RED: policy of forward: drop", "drop"));
    let answer = TracePacket { state: Some("established".into()), ..ask("uplink", "web0", 8080) };
    assert!(traced(answer, "192.0.2.7", "192.0.2.1").0.iter().all(|step| !step.contains(" nat ")));
}

#[test]
fn accepted_by_all_networks_rules_is_not_yet_accepted() {
    let (steps, verdict) = traced(ask("web0", "db", 5), "10.0.0.7", "10.0.0.9");
    assert!(steps[0].contains("-d 10.0.0.9/32 -j ACCEPT") && steps[1].contains("RED: policy"), "{steps:?}");
    assert_eq!(verdict, "drop");
    let (steps, verdict) =
        traced(TracePacket { proto: Some("udp".into()), ..ask("web0", "db", 9) }, "10.0.0.7", "10.0.0.8");
    assert_eq!((steps.len(), &*verdict), (2, "drop"), "the first that drops decides: {steps:?}");
}

#[test]
fn what_is_redirected_is_for_the_gateway() {
    let (steps, verdict) = traced(ask("web0", "uplink", 53), "10.0.0.7", "192.0.2.7");
    assert!(steps[0].ends_with("(it goes to the gateway itself, 10.0.0.1:5353)"), "{steps:?}");
    assert!(steps[1].starts_with("INPUT filter RED") && steps[1].ends_with("tcp-reset"), "{steps:?}");
    assert_eq!((steps.len(), &*verdict), (2, "reject"));
    assert_eq!(traced(ask("", "uplink", 53), "10.0.0.1", "192.0.2.7").1, "accept");
}

#[test]
fn where_it_goes_is_decided_by_its_new_destination() {
    let way = |to: &str, output: &str| {
        let text = format!(
            "*nat\n-A PREROUTING -j DNAT --to-destination {to}\nCOMMIT\n*filter\n-A INPUT -j DROP\n\
             -A FORWARD -o web0 -j DROP\n-A FORWARD -o uplink -j REJECT\nCOMMIT\n"
        );
        let (steps, verdict) = by((&text, OWN), ask("web7", output, 80), "10.0.0.7", "192.0.2.7");
        (steps[1].clone(), verdict)
    };
    for output in ["", "uplink"] {
        assert_eq!(way("10.0.0.2", output), ("FORWARD filter : -A FORWARD -o web0 -j DROP".into(), "drop".into()));
        assert_eq!(way("10.0.0.1", output), ("INPUT filter : -A INPUT -j DROP".into(), "drop".into()));
        assert_eq!(way("192.0.2.9", output).1, "reject");
    }
    assert_eq!(way("10.0.0.9", "uplink").1, "reject", "whose address that is is not known");
}

#[test]
fn of_very_many_rules_the_first_and_the_last_are_shown() {
    let many = format!("*filter\n{}-A FORWARD -j DROP\nCOMMIT\n", "-A FORWARD -p tcp\n".repeat(3_000));
    let (steps, verdict) = by((&many, OWN), ask("web0", "db", 5), "10.0.0.7", "10.0.0.8");
    assert_eq!((steps.len(), &*verdict), (1_000, "drop"));
    let last = "FORWARD filter : -A FORWARD -j DROP (2001 rules before it are left out here)";
    assert_eq!((&*steps[0], &*steps[999]), ("FORWARD filter : -A FORWARD -p tcp", last));
}
