//! Rules in words: in both families' texts, at their places, with the addresses of now.

use nat::rules::Family;

use super::{COUNTED, Host, load, programs, red, saved, store};
use crate::api::{AddRule, CreateNetwork, Error, Kind, NewSubnet, RuleRow};
use crate::control::tests::until;

pub(super) fn ask(from: &str, to: &str, action: &str) -> AddRule {
    AddRule {
        network: Some("RED".into()),
        from: Some(from.into()),
        to: Some(to.into()),
        action: action.into(),
        ..AddRule::default()
    }
}

pub(super) async fn add(host: &Host, ask: AddRule) -> Result<RuleRow, Error> {
    host.control.add_rule(ask).await
}

async fn list(host: &Host) -> Vec<(Option<usize>, String)> {
    let rows = host.control.rules(Some("RED".into())).await.unwrap();
    rows.into_iter().map(|row| (row.position, row.rule)).collect()
}

pub(super) async fn host(store: &std::sync::Arc<dyn store::Store>) -> Host {
    let host = Host::start(1, store).await;
    let subnet = |text: &str| NewSubnet { subnet: Some(text.parse().unwrap()), ..NewSubnet::default() };
    let subnets = vec![subnet("10.73.0.0/24"), subnet("fd73::/64")];
    let ask = CreateNetwork { name: "RED".into(), subnets, ..CreateNetwork::default() };
    host.control.create_network(ask).await.unwrap();
    host
}

#[tokio::test]
async fn rules_in_words_are_rules_of_both_families_and_follow_names() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    let row = add(&host, AddRule { proto: Some("tcp".into()), dport: Some("80".into()), ..ask("any", "web", "deny") });
    let row = row.await.unwrap();
    assert_eq!((row.position, row.unknown, row.families.len()), (Some(1), vec!["web".to_owned()], 0));
    let text = saved(&host, red(Family::Ipv4)).await;
    let words = "-m comment --comment \"vsctl: from any to web proto tcp dport 80 deny\"";
    assert!(text.contains(&format!("-A FORWARD -j VSWITCH-RULES\n[0:0] -A VSWITCH-RULES {words}\n")), "{text}");
    assert!(programs(&host).is_empty());

    host.attach("RED", "web").await.unwrap();
    assert_eq!(programs(&host).len(), 2);
    let row = host.control.rules(Some("RED".into())).await.unwrap().remove(0);
    assert_eq!((row.families, row.unknown.len()), (vec!["ipv4".to_owned(), "ipv6".to_owned()], 0));
    let v6 = saved(&host, red(Family::Ipv6)).await;
    assert!(v6.contains("-d fd73::2/128 -p tcp -m multiport --dports 80") && v6.contains("-j DROP"), "{v6}");
    assert!(saved(&host, red(Family::Ipv4)).await.contains("-d 10.73.0.2/32 -p tcp"));
    host.control.remove_ports("web", None).await.unwrap();
    let control = host.control.clone();
    until("nobody has the name", || {
        let state = control.state();
        state.filters.values().all(|rules| rules.rules_of(nat::rules::Table::Filter, "VSWITCH-RULES").len() == 1)
    })
    .await;
}

#[tokio::test]
async fn rules_have_places_and_both_forms_show_each_other() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    load(&host, red(Family::Ipv4), COUNTED, "*filter\n:own - [0:0]\n[1:9] -A FORWARD -j own\nCOMMIT\n").await.unwrap();
    add(&host, ask("outside", "10.73.0.9", "reject")).await.unwrap();
    add(&host, AddRule { position: Some(1), ..ask("host", "any", "allow") }).await.unwrap();
    let first = (Some(1), "from host to any allow".to_owned());
    let second = (Some(2), "from outside to 10.73.0.9 reject".to_owned());
    let text = (None, "-A FORWARD -j own".to_owned());
    assert_eq!(list(&host).await, [first.clone(), second.clone(), text.clone()]);
    // What is saved loads again as the same rules.
    let all = saved(&host, red(Family::Ipv4)).await;
    load(&host, red(Family::Ipv4), COUNTED, &all).await.unwrap();
    assert_eq!(list(&host).await, [first.clone(), second.clone(), text.clone()]);
    host.control.move_rule(Some("RED".into()), 2, 1).await.unwrap();
    let moved = [(Some(1), second.1.clone()), (Some(2), first.1.clone()), text.clone()];
    assert_eq!(list(&host).await, moved);
    assert!(saved(&host, red(Family::Ipv4)).await.contains("[1:9] -A FORWARD -j own"), "others keep their counters");
    for refused in [
        add(&host, ask("outside", "10.73.0.9", "reject")).await.map(drop).unwrap_err(),
        add(&host, ask("label=", "any", "deny")).await.map(drop).unwrap_err(),
        add(&host, AddRule { position: Some(4), ..ask("any", "any", "deny") }).await.map(drop).unwrap_err(),
        host.control.remove_rule(Some("RED".into()), 3).await.unwrap_err(),
        host.control.move_rule(Some("RED".into()), 1, 0).await.unwrap_err(),
        host.control.remove_rule(None, 1).await.unwrap_err(),
    ] {
        assert!(
            matches!(refused.kind, Kind::Invalid | Kind::Conflict) && !refused.remedy.is_empty(),
            "{}",
            refused.error
        );
    }
    assert_eq!(list(&host).await, moved);
    for _ in 0..2 {
        host.control.remove_rule(Some("RED".into()), 1).await.unwrap();
    }
    assert_eq!(list(&host).await, [text]);
}
