//! What is in force stays in force: with too many rules, between two changes, over a restart.

use std::collections::HashSet;
use std::time::Duration;

use nat::rules::{Counters, Family, Program};
use switch::BridgeId;

use super::rule::{add, ask, host};
use super::{COUNTED, Host, Kind, LoadHow, OF_ALL, load, programs, red, saved, store};
use crate::api::{AddPort, CreateNetwork};
use crate::control::tests::until;
use crate::filter::{ICC_OPTION, Policy};
use crate::model::{EndpointRecord, new_id};
use crate::sandbox::Reference;
use crate::state::{Change, StoredEndpoint};

/// An endpoint with the label `app`.
fn member(network: &str, number: u16) -> StoredEndpoint {
    let [high, low] = number.to_be_bytes();
    let name = format!("m{number}");
    let path = format!("/{name}").into();
    StoredEndpoint {
        record: EndpointRecord {
            id: new_id(),
            name,
            container_id: String::new(),
            mac: wire::Mac([6, 0, 0, 0, high, low]),
            addresses: (0..16).map(|n| format!("fd73::1:{n:x}:{number:x}/64").parse().unwrap()).collect(),
            aliases: Vec::new(),
            hostname: None,
            services: Vec::new(),
            ifname: "eth0".into(),
            labels: [("app".to_owned(), String::new())].into(),
        },
        network: network.into(),
        sandbox: Reference { path, pid: None, dev: 1, ino: 1_000_000 + u64::from(number), started: None },
        allow_spoof: false,
        link: Default::default(),
        limits: Default::default(),
        vlan: None,
        dns: Default::default(),
        since: u64::from(number),
        docked: None,
    }
}

/// With sixteen addresses each, more pairs than one rule can be.
const MANY: u16 = 17;

fn labelled(name: &str) -> AddPort {
    let labels = [("app".to_owned(), String::new())].into();
    AddPort { network: "RED".into(), name: name.into(), labels, ..AddPort::default() }
}

#[tokio::test]
async fn rules_that_cannot_be_made_keep_nobody_away_whom_they_do_not_name() {
    let (store, _dir) = store().await;
    let first = host(&store).await;
    add(&first, ask("label=app", "label=app", "allow")).await.unwrap();
    let network = first.control.state().filters.keys().next().unwrap().network.clone().unwrap();
    first.control.stop().await;
    let rows: Vec<Change> = (0..MANY).map(|number| Change::endpoint(&member(&network, number))).collect();
    first.disk.commit(&rows).unwrap();
    let Host { disk, _dir: dir, .. } = first;
    let host = Host::resume_with_dead(1, &store, disk, dir, HashSet::new()).await;
    assert_eq!(host.control.state().endpoints.len(), usize::from(MANY), "all are back");
    let told = host.control.state().warnings.get("rules").cloned().unwrap_or_default();
    assert!(told.contains("RED") && told.contains("times"), "{told}");
    host.attach("RED", "web").await.unwrap();
    let refused = host.ask(labelled("new")).await.unwrap_err();
    assert!(refused.kind == Kind::Conflict && refused.error.contains("follow its name"), "{}", refused.error);
    // Without a word it is tried again.
    {
        let mut state = host.control.state();
        let gone: Vec<String> = state.endpoints.keys().skip(1).cloned().collect();
        gone.iter().for_each(|id| drop(state.endpoints.remove(id)));
    }
    let control = host.control.clone();
    until("it was tried again", || !control.state().warnings.contains_key("rules")).await;
}

#[tokio::test]
async fn who_comes_while_a_rule_is_added_waits_for_it() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    let control = host.control.clone();
    let adding = control.filtering.lock().await;
    let attaching = host.attach("RED", "web");
    tokio::pin!(attaching);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut attaching).await;
    assert!(early.is_err() && control.state().arriving.len() == 1);
    drop(adding);
    attaching.await.unwrap();
}

#[tokio::test]
async fn words_of_a_text_are_of_the_names_of_now() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    host.attach("RED", "web").await.unwrap();
    add(&host, ask("any", "web", "deny")).await.unwrap();
    let text = saved(&host, red(Family::Ipv4)).await;
    assert!(text.contains("-d 10.73.0.2/32"), "{text}");
    let old = text.replace("10.73.0.2/32", "10.73.0.99/32");
    load(&host, red(Family::Ipv4), LoadHow::default(), &old).await.unwrap();
    assert_eq!(saved(&host, red(Family::Ipv4)).await, text);
}

#[tokio::test]
async fn words_that_are_flushed_in_one_family_stay_out_of_it() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    add(&host, ask("any", "web", "deny")).await.unwrap();
    host.control.flush_filter(red(Family::Ipv4)).await.unwrap();
    host.attach("RED", "web").await.unwrap();
    assert_eq!(saved(&host, red(Family::Ipv4)).await, "");
    assert!(saved(&host, red(Family::Ipv6)).await.contains("-d fd73::2/128"));
    add(&host, ask("host", "web", "allow")).await.unwrap();
    let text = saved(&host, red(Family::Ipv4)).await;
    assert!(text.contains("from host to web") && !text.contains("from any to web"), "{text}");
    let rows = host.control.rules(Some("RED".into())).await.unwrap();
    assert_eq!((rows[0].families.len(), rows[1].families.len()), (1, 2));
}

#[tokio::test]
async fn a_list_of_another_kind_is_refused_while_rules_that_are_kept_look_into_it() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    let text = "create X hash:ip family inet\n*raw\n-A PREROUTING -m set --match-set X src -j ACCEPT\nCOMMIT\n";
    load(&host, OF_ALL, COUNTED, text).await.unwrap();
    let before = saved(&host, OF_ALL).await;
    let other = "create X hash:ip,port family inet\n*filter\nCOMMIT\n";
    let refused = crate::api::Error::from(load(&host, OF_ALL, COUNTED, other).await.unwrap_err());
    assert!(refused.kind == Kind::Invalid && refused.error.contains("read again"), "{}", refused.error);
    assert_eq!(saved(&host, OF_ALL).await, before);
}

#[tokio::test]
async fn rules_come_too_late_for_a_network_that_is_gone() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    let control = host.control.clone();
    let other = control.filtering.lock().await;
    let loading = load(&host, red(Family::Ipv4), COUNTED, "*filter\nCOMMIT\n");
    tokio::pin!(loading);
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut loading).await.is_err());
    let removing = tokio::spawn({
        let control = control.clone();
        async move { control.remove_network("RED").await }
    });
    until("it is gone", || control.state().networks.values().all(|network| network.record.name != "RED")).await;
    drop(other);
    assert_eq!(crate::api::Error::from(loading.await.unwrap_err()).kind, Kind::NotFound);
    removing.await.unwrap().unwrap();
    assert!(control.state().filters.is_empty());
    assert!(crate::state::Memory::read(&host.disk).unwrap().filters.is_empty());
}

#[tokio::test]
async fn nobody_is_called_what_rules_call_others() {
    let (store, _dir) = store().await;
    let host = host(&store).await;
    for name in ["any", "host", "outside", "10.73.0.9"] {
        assert_eq!(host.attach("RED", name).await.unwrap_err().kind, Kind::Invalid, "{name}");
        let ask = AddPort { aliases: vec![name.into()], ..labelled("web") };
        let refused = host.ask(ask).await.unwrap_err();
        assert!(refused.kind == Kind::Invalid && refused.error.contains(name), "{}", refused.error);
    }
}

#[tokio::test]
async fn a_policy_goes_on_counting_when_rules_change() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let options = [(ICC_OPTION.to_owned(), "false".to_owned())].into();
    let ask = CreateNetwork { name: "RED".into(), options, ..CreateNetwork::default() };
    host.control.create_network(ask).await.unwrap();
    host.attach("RED", "web").await.unwrap();
    let (place, family) = programs(&host)[0];
    let counted = Policy::Deny.arm(family, None, &[Counters { packets: 7, bytes: 8 }]).unwrap();
    let program = Some(Box::new(Program::new(counted)));
    host.tables.switch.lock().unwrap().set_rules(place.map(BridgeId), family, program);
    load(&host, red(family), COUNTED, "*filter\n-A FORWARD -p tcp -j ACCEPT\nCOMMIT\n").await.unwrap();
    let policy = async || host.control.rules(Some("RED".into())).await.unwrap().pop().unwrap();
    assert_eq!((policy().await.packets, policy().await.bytes), (7, 8));
    host.control.flush_filter(red(family)).await.unwrap();
    assert_eq!(policy().await.packets, 7);
}
