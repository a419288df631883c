//! Rules of texts, through the control plane, next to the programs that the engine would have.

mod rule;
mod sure;

use std::collections::HashSet;

use axum::body::Bytes;
use nat::rules::{Family, MAX_RULES, Program, RuleSet};
use store::Store;
use switch::BridgeId;

use crate::api::{CreateNetwork, Error, FilterOf, Kind, LoadHow, NewSubnet, Rejected};
use crate::control::tests::{Host, store};
use crate::filter::Scope;

const TEXT: &str = "*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [1:2]
:OUTPUT ACCEPT [0:0]
:mine - [0:0]
[3:4] -A FORWARD -i web0 -j mine
[5:6] -A mine -s 10.0.0.0/8 -j ACCEPT
COMMIT
";

const OF_ALL: FilterOf = FilterOf { network: None, family: Family::Ipv4 };

fn red(family: Family) -> FilterOf {
    FilterOf { network: Some("RED".into()), family }
}

async fn host(store: &std::sync::Arc<dyn Store>) -> Host {
    let host = Host::start(1, store).await;
    let subnets = vec![NewSubnet { subnet: Some("10.72.0.0/24".parse().unwrap()), ..NewSubnet::default() }];
    let ask = CreateNetwork { name: "RED".into(), subnets, ..CreateNetwork::default() };
    host.control.create_network(ask).await.unwrap();
    host
}

async fn load(host: &Host, of: FilterOf, how: LoadHow, text: &str) -> Result<usize, Rejected> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    host.control.load_filter(of, how, text).await.map(|row| row.rules)
}

async fn saved(host: &Host, of: FilterOf) -> String {
    host.control.save_filter(of, true).await.unwrap()
}

/// Places that have programs in the engine.
fn programs(host: &Host) -> Vec<(Option<u32>, Family)> {
    let switch = host.tables.switch.lock().unwrap();
    let places = std::iter::once(None).chain((0..16).map(Some));
    let all = places.flat_map(|place| [(place, Family::Ipv4), (place, Family::Ipv6)]);
    all.filter(|(place, family)| switch.rules(place.map(BridgeId), *family).is_some()).collect()
}

const COUNTED: LoadHow = LoadHow { noflush: false, counters: true, test: false };

#[tokio::test]
async fn what_was_loaded_is_saved_and_survives_a_restart() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    assert_eq!(saved(&host, OF_ALL).await, "");
    assert_eq!(load(&host, OF_ALL, COUNTED, TEXT).await, Ok(2));
    assert_eq!(saved(&host, OF_ALL).await, TEXT);
    assert_eq!(programs(&host), [(None, Family::Ipv4)]);
    // Without --counters those of the text do not count.
    load(&host, red(Family::Ipv4), LoadHow::default(), TEXT).await.unwrap();
    let zeroed = TEXT.replace("[1:2]", "[0:0]").replace("[3:4]", "[0:0]").replace("[5:6]", "[0:0]");
    assert_eq!(saved(&host, red(Family::Ipv4)).await, zeroed);
    let v6 = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d fd00::/8 -j NOTRACK\nCOMMIT\n";
    load(&host, red(Family::Ipv6), COUNTED, v6).await.unwrap();
    assert_eq!(host.control.save_filter(red(Family::Ipv6), false).await.unwrap(), v6);

    host.control.stop().await;
    let Host { disk, _dir: dir, .. } = host;
    let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
    assert_eq!(saved(&host, OF_ALL).await, TEXT);
    assert_eq!(saved(&host, red(Family::Ipv4)).await, zeroed);
    let rows = host.control.filters().await.unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row.network.as_deref(), &*row.family, row.rules, row.active)).collect();
    assert_eq!(shown, [(None, "ipv4", 2, true), (Some("RED"), "ipv4", 2, false), (Some("RED"), "ipv6", 1, false)]);
    assert_eq!((rows[0].packets, rows[0].bytes, &*rows[0].tables), (8, 10, &["filter".to_owned()][..]));
    assert_eq!(programs(&host), [(None, Family::Ipv4)]);
    host.control.flush_filter(OF_ALL).await.unwrap();
    host.control.flush_filter(OF_ALL).await.unwrap();
    assert!(programs(&host).is_empty() && saved(&host, OF_ALL).await.is_empty());
}

#[tokio::test]
async fn a_networks_rules_come_and_go_with_its_bridge_and_keep_their_counters() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, red(Family::Ipv4), COUNTED, TEXT).await.unwrap();
    assert!(programs(&host).is_empty());
    host.attach("RED", "web0").await.unwrap();
    let first = programs(&host);
    assert!(matches!(first[..], [(Some(_), Family::Ipv4)]), "{first:?}");
    // Swapped while it runs.
    let more = LoadHow { noflush: true, ..LoadHow::default() };
    assert_eq!(load(&host, red(Family::Ipv4), more, "*filter\n-A INPUT -j DROP\nCOMMIT\n").await, Ok(3));
    let counted = saved(&host, red(Family::Ipv4)).await;
    assert!(counted.contains("[0:0] -A INPUT -j DROP") && counted.contains("[5:6] -A mine"), "{counted}");
    // What it counted meanwhile is kept.
    let mut zero =
        host.control.state().filters.values().next().map(|rules| Program::new(RuleSet::clone(rules))).unwrap();
    zero.zero();
    host.tables.switch.lock().unwrap().set_rules(first[0].0.map(BridgeId), Family::Ipv4, Some(Box::new(zero)));
    host.control.remove_ports("web0", None).await.unwrap();
    assert!(programs(&host).is_empty());
    assert!(saved(&host, red(Family::Ipv4)).await.contains("[0:0] -A mine"));
    host.attach("RED", "web0").await.unwrap();
    assert_ne!(programs(&host), first, "another bridge");
    host.control.remove_ports("web0", None).await.unwrap();
    host.control.remove_network("RED").await.unwrap();
    assert!(host.control.filters().await.unwrap().is_empty());
    assert!(crate::state::Memory::read(&host.disk).unwrap().filters.is_empty());
}

#[tokio::test]
async fn tables_that_a_text_does_not_name_stay_and_with_noflush_their_rules_too() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, OF_ALL, COUNTED, TEXT).await.unwrap();
    let raw = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    load(&host, OF_ALL, LoadHow::default(), raw).await.unwrap();
    assert_eq!(saved(&host, OF_ALL).await, format!("{raw}{TEXT}"));
    let noflush = LoadHow { noflush: true, ..LoadHow::default() };
    let text = "*filter\n:mine - [0:0]\n[9:9] -A mine -j DROP\n-A FORWARD -j LOG\nCOMMIT\n";
    assert_eq!(load(&host, OF_ALL, noflush, text).await, Ok(3));
    let all = saved(&host, OF_ALL).await;
    assert!(all.contains(":FORWARD DROP [1:2]") && all.contains("[3:4] -A FORWARD -i web0 -j mine"), "{all}");
    assert!(all.contains("[0:0] -A mine -j DROP") && !all.contains("10.0.0.0/8"), "{all}");
    let test = LoadHow { test: true, ..LoadHow::default() };
    assert_eq!(load(&host, OF_ALL, test, "*filter\nCOMMIT\n").await, Ok(0));
    assert_eq!(saved(&host, OF_ALL).await, all, "a test changes nothing");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_place_and_changes_nothing() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, OF_ALL, COUNTED, TEXT).await.unwrap();
    let long = format!("*filter\n-A INPUT -m comment --comment {}\nCOMMIT\n", "x".repeat(1 << 20));
    let many = format!("*filter\n{}COMMIT\n", "-A INPUT -j DROP\n".repeat(1_000_000));
    let cases: [(&[u8], usize, &str, &str); 6] = [
        (b"*filter\n\n-A INPUT -m wizardry -j DROP\nCOMMIT\n", 3, "wizardry", ""),
        (b"*filter\n-A INPUT -j DROP\n", 2, "end of the text", "COMMIT"),
        (b"*filter\n-A INPUT -m comment --comment \xff\xfe x\n", 2, "\u{fffd}\u{fffd}", "UTF-8"),
        (b"*filter\n:a - [0:0]\n:b - [0:0]\n-A a -j b\n-A b -j a\nCOMMIT\n", 5, "a", "loop"),
        (long.as_bytes(), 2, "-A INPUT", "longer than"),
        (many.as_bytes(), MAX_RULES + 2, "INPUT", "more than"),
    ];
    for (text, line, word, reason) in cases {
        for noflush in [false, true] {
            let how = LoadHow { noflush, ..LoadHow::default() };
            let refused = host.control.load_filter(OF_ALL, how, Bytes::copy_from_slice(text)).await.unwrap_err();
            let told = Error::from(refused.clone());
            assert_eq!((told.kind, &*told.object), (Kind::Invalid, "global IPv4 filter"));
            let Rejected::Text { error, .. } = refused else { panic!("{refused:?}") };
            // The rules of before count, too.
            let line = if noflush && line > MAX_RULES { line - 2 } else { line };
            assert_eq!(error.line, line, "{error}");
            assert!(error.word.contains(word) && error.reason.contains(reason), "{error}");
        }
    }
    assert_eq!(saved(&host, OF_ALL).await, TEXT);
    let unknown = FilterOf { network: Some("nix".into()), family: Family::Ipv4 };
    assert_eq!(host.control.save_filter(unknown, false).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn rules_of_another_version_are_kept_and_told() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, red(Family::Ipv4), COUNTED, TEXT).await.unwrap();
    let scope = host.control.state().filters.keys().next().unwrap().clone();
    let row = |network: Option<String>, text: &str| crate::filter::StoredRules {
        network,
        family: "ipv4".into(),
        text: text.into(),
    };
    let later = row(scope.network.clone(), "*filter\n-A INPUT -m later\nCOMMIT\n");
    let orphan = row(Some("f".repeat(64)), TEXT);
    let changes = [&later, &orphan].map(crate::state::Change::filter);
    host.control.stop().await;
    host.disk.commit(&changes).unwrap();
    let Host { disk, _dir: dir, .. } = host;
    let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
    assert!(!host.control.state().filters.contains_key(&Scope { family: Family::Ipv4, ..scope }));
    let told = host.control.state().warnings.get("filter").cloned().unwrap();
    assert!(told.contains("RED") && told.contains("line 2") && told.contains("vsctl filter load"), "{told}");
    assert_eq!(crate::state::Memory::read(&host.disk).unwrap().filters, [later], "the orphan is gone, the other kept");
    // Nothing passes until there are other rules.
    host.attach("RED", "web0").await.unwrap();
    let place = programs(&host)[0];
    assert_eq!(place.1, Family::Ipv4);
    let forward = |host: &Host| {
        let switch = host.tables.switch.lock().unwrap();
        nat::rules::save(&switch.rules(place.0.map(BridgeId), place.1).unwrap().rule_set(), false)
    };
    assert!(forward(&host).contains(":FORWARD DROP"));
    let ask = crate::api::AddRule { network: Some("RED".into()), action: "allow".into(), ..Default::default() };
    assert_eq!(host.control.add_rule(ask).await.unwrap_err().kind, Kind::Conflict);
    load(&host, red(Family::Ipv4), LoadHow::default(), "*filter\nCOMMIT\n").await.unwrap();
    assert!(forward(&host).contains(":FORWARD ACCEPT"));
    assert!(host.control.state().unread.is_empty());
}

#[tokio::test]
async fn a_packet_in_words_is_traced_by_the_rules_of_now() {
    use crate::api::TracePacket;
    let (store, _dir) = store().await;
    let host = host(&store).await;
    host.attach("RED", "web0").await.unwrap();
    load(&host, red(Family::Ipv4), COUNTED, TEXT).await.unwrap();
    let ask = TracePacket {
        network: Some("RED".into()),
        input: Some("web0".into()),
        output: Some("uplink".into()),
        dst: "192.0.2.7".parse().ok(),
        ..TracePacket::default()
    };
    let traced = host.control.trace(ask.clone()).await.unwrap();
    assert!(traced.packet.starts_with("10.72.0.2 > 192.0.2.7 tcp"), "{}", traced.packet);
    let rules: Vec<&str> = traced.steps.iter().map(|step| step.rule.as_str()).collect();
    assert_eq!(rules, ["-A FORWARD -i web0 -j mine", "-A mine -s 10.0.0.0/8 -j ACCEPT"]);
    assert_eq!((traced.verdict.as_str(), traced.steps[0].network.as_deref()), ("accept", Some("RED")));
    assert_eq!(saved(&host, red(Family::Ipv4)).await, TEXT, "nothing was counted");
    let meant = host.control.trace(TracePacket { network: None, ..ask.clone() }).await.unwrap();
    assert_eq!(meant, traced, "the network is that of the sandbox");
    host.control.create_network(CreateNetwork { name: "BLUE".into(), ..CreateNetwork::default() }).await.unwrap();
    host.attach("BLUE", "web0").await.unwrap();
    let unclear = host.control.trace(TracePacket { network: None, ..ask.clone() }).await.unwrap_err();
    assert!(unclear.error.contains("BLUE, RED") || unclear.error.contains("RED, BLUE"), "{}", unclear.error);
    let by_address = TracePacket { network: None, src: "10.72.0.2".parse().ok(), ..ask.clone() };
    assert_eq!(host.control.trace(by_address).await.unwrap(), traced);
    let by_neighbour = TracePacket { network: None, output: Some("db".into()), dst: None, ..ask.clone() };
    host.attach("RED", "db").await.unwrap();
    assert_eq!(host.control.trace(by_neighbour).await.unwrap().steps, traced.steps);
    for (ask, word) in [
        (TracePacket { input: None, output: None, ..ask.clone() }, "comes in"),
        (TracePacket { dst: None, ..ask.clone() }, "destination"),
        (TracePacket { dst: "fd00::1".parse().ok(), ..ask.clone() }, "source"),
        (TracePacket { ipv6: true, ..ask.clone() }, "IPv4 address"),
        (TracePacket { network: Some("nix".into()), ..ask.clone() }, "nix"),
        (TracePacket { state: Some("x".into()), ..ask.clone() }, "state"),
    ] {
        let refused = host.control.trace(ask).await.unwrap_err();
        assert!(refused.error.contains(word) && !refused.remedy.is_empty(), "{}", refused.error);
    }
}

#[tokio::test]
async fn many_rules_load() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    let count = if cfg!(debug_assertions) { 5_000 } else { 100_000 };
    let rule = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        format!(
            "-A FORWARD -s 10.{a}.{b}.{c}/32 -i web{n} -p tcp -m tcp --dport {} -m conntrack --ctstate NEW -j DROP\n",
            n % 60_000
        )
    };
    let rules: String = (0..count).map(rule).collect();
    let text = format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}COMMIT\n");
    for of in [OF_ALL, OF_ALL] {
        assert_eq!(load(&host, of, LoadHow::default(), &text).await, Ok(count as usize));
    }
    assert_eq!(host.control.save_filter(OF_ALL, false).await.unwrap(), text);
}

#[tokio::test]
async fn nothing_passes_where_a_row_of_rules_is_damaged() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, OF_ALL, COUNTED, TEXT).await.unwrap();
    host.control.stop().await;
    host.disk.commit(&[crate::state::Change::put("filter//ipv4".into(), &1)]).unwrap();
    let Host { disk, _dir: dir, .. } = host;
    let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
    assert_eq!(programs(&host), [(None, Family::Ipv4)]);
    let told = host.control.state().warnings.get("filter").cloned().unwrap();
    assert!(told.contains("global IPv4 filter") && told.contains("nothing passes"), "{told}");
    host.control.flush_filter(OF_ALL).await.unwrap();
    assert!(programs(&host).is_empty());
}
