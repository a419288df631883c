//! Publications against the real engine's tables and real sockets, without a kernel's links.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;

use switch::PublishId;

use crate::api::{self, AddPort, CreateNetwork, Kind, NewSubnet, PublishPorts};
use crate::control::Control;
use crate::control::tests::{Host, ino, store, until};
use crate::publish::Reach;
use crate::sandbox::Reference;
use crate::state::Memory;

async fn network(host: &Host, name: &str, subnets: &[&str], internal: bool) {
    let subnet = |text: &&str| NewSubnet { subnet: Some(text.parse().unwrap()), ..NewSubnet::default() };
    let subnets = subnets.iter().map(subnet).collect();
    host.control
        .create_network(CreateNetwork { name: name.into(), subnets, internal, ..CreateNetwork::default() })
        .await
        .unwrap();
}

fn sandbox(name: &str) -> Reference {
    Reference { path: PathBuf::from(format!("/{name}")), pid: None, dev: 1, ino: ino(name), started: None }
}

async fn publish(host: &Host, name: &str, specs: &[&str]) -> Result<Vec<api::Published>, api::Error> {
    let publish = specs.iter().map(|text| (*text).to_owned()).collect();
    host.control.publish(PublishPorts { name: name.into(), publish, network: None }).await
}

/// A port that nobody has just now, outside the kernel's automatic range.
fn free() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 25_000 + (std::process::id() % 70) as u16 * 100;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("::", port)).is_ok() && UdpSocket::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

fn rules(control: &Control) -> Vec<(u32, switch::Publish)> {
    let state = control.state();
    state.published.iter().filter_map(|(id, p)| Some((*id, p.applied.as_ref().ok()?.rule.clone()))).collect()
}

#[tokio::test]
async fn a_publication_is_a_rule_sockets_and_steering_and_goes_with_its_endpoint() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.71.0.0/24", "fd71::/64"], false).await;
    host.attach("RED", "web0").await.unwrap();
    let port = free();
    let rows = publish(&host, "web0", &[&format!("{port}:80")]).await.unwrap();
    assert_eq!((rows[0].host_port, rows[0].port, rows[0].state.as_str()), (port, 80, "up"));
    assert_eq!(rows[0].network.as_deref(), Some("RED"));
    assert_eq!(publish(&host, "web0", &[&format!("{port}:80")]).await.unwrap(), rows, "the same again is the same");
    assert_eq!(host.control.published(Some("web0")).unwrap(), rows);
    assert_eq!(host.control.published(Some("web1")).unwrap_err().kind, Kind::NotFound);
    let (id, rule) = rules(&host.control).remove(0);
    assert_eq!((PublishId(id), rule.at, rule.ports, rule.to_port), (PublishId(1), None, (port, port), 80));
    let text = |addresses: &[std::net::IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text(&rule.to), ["10.71.0.2", "fd71::2"]);
    assert_eq!(text(&rule.via), ["169.254.86.3", "fd76:7377:3000::3"]);
    let reach: Vec<Reach> = host.tables.steered.lock().unwrap().iter().map(|steer| steer.reach).collect();
    assert_eq!(reach, [Reach::AnyV4, Reach::AnyV6]);
    assert!(TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is bound");

    host.control.remove_ports("web0", None).await.unwrap();
    assert!(host.control.published(None).unwrap().is_empty() && host.tables.steered.lock().unwrap().is_empty());
    assert!(TcpListener::bind(("::", port)).is_ok(), "the port is free again");
    assert!(Memory::read(&host.disk).unwrap().published.is_empty());
}

#[tokio::test]
async fn all_ports_of_a_request_are_published_or_none() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.72.0.0/24"], false).await;
    host.attach("RED", "web0").await.unwrap();
    let (mine, theirs) = (free(), free());
    let holder = TcpListener::bind(("0.0.0.0", theirs)).unwrap();
    let refused = publish(&host, "web0", &[&format!("{mine}:80"), &format!("{theirs}:81")]).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Conflict);
    let expected = format!("publish {theirs}:81/tcp: vswitchd itself listens on 0.0.0.0:{theirs}/tcp");
    assert_eq!(refused.error, expected, "the test's own process is the holder");
    assert!(host.control.published(None).unwrap().is_empty() && TcpListener::bind(("::", mine)).is_ok());
    drop(holder);
    publish(&host, "web0", &[&format!("{theirs}:81")]).await.unwrap();
    host.attach("RED", "web1").await.unwrap();
    let ours = publish(&host, "web1", &[&format!("127.0.0.1:{theirs}:80")]).await.unwrap_err();
    assert!(ours.error.ends_with(&format!("port web0 publishes 0.0.0.0:{theirs}/tcp")), "{}", ours.error);
    for (name, specs, kind) in
        [("nix", vec!["80"], Kind::NotFound), ("web0", vec!["80/x"], Kind::Invalid), ("web0", vec![], Kind::Invalid)]
    {
        assert_eq!(publish(&host, name, &specs).await.unwrap_err().kind, kind, "{name} {specs:?}");
    }
}

#[tokio::test]
async fn an_attachment_fails_with_its_publication_and_leaves_nothing() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.73.0.0/24"], false).await;
    let port = free();
    let _holder = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let ask = |spec: String| AddPort {
        network: "RED".into(),
        name: "web0".into(),
        publish: vec![spec],
        ..AddPort::default()
    };
    let refused = host.control.attach_published(ask(format!("{port}:53/udp")), sandbox("web0")).await.unwrap_err();
    assert!(refused.error.contains(&format!("0.0.0.0:{port}/udp")), "{}", refused.error);
    assert!(host.control.ports(None).await.unwrap().is_empty());
    let made = host.control.attach_published(ask(format!("{port}:53")), sandbox("web0")).await.unwrap();
    assert_eq!((made.published[0].host_port, made.published.len()), (port, 1));
    let again = host.control.attach_published(ask(format!("{port}:53")), sandbox("web0")).await.unwrap();
    assert_eq!(again.published, made.published);
    let unpinned = publish(&host, "web0", &[&format!("{port}:53")]).await.unwrap();
    assert_eq!(unpinned, made.published, "the same words mean the same, also without its network");
    assert_eq!(host.control.ports(None).await.unwrap()[0].published, made.published);
}

#[tokio::test]
async fn it_leads_to_the_oldest_network_that_leads_outside_and_moves_with_it() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "IN", &["10.74.0.0/24"], true).await;
    network(&host, "RED", &["10.74.1.0/24"], false).await;
    network(&host, "BLUE", &["10.74.2.0/24"], false).await;
    host.attach("IN", "web0").await.unwrap();
    let port = free();
    let spec = format!("{port}:80");
    let refused = publish(&host, "web0", &[&spec]).await.unwrap_err();
    assert!(refused.error.contains("internal"), "{}", refused.error);
    host.attach("RED", "web0").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    host.attach("BLUE", "web0").await.unwrap();
    let to = |host: &Host| rules(&host.control).iter().map(|(_, rule)| rule.to[0].to_string()).collect::<Vec<_>>();
    publish(&host, "web0", &[&spec]).await.unwrap();
    assert_eq!(to(&host), ["10.74.1.2"]);
    host.control.remove_ports("web0", Some("RED")).await.unwrap();
    assert_eq!(
        (to(&host), host.control.published(None).unwrap()[0].network.as_deref()),
        (vec!["10.74.2.2".into()], Some("BLUE"))
    );
    host.control.remove_ports("web0", Some("BLUE")).await.unwrap();
    assert_eq!((to(&host).len(), host.control.published(None).unwrap()[0].state.as_str()), (0, "waiting"));
    host.attach("BLUE", "web0").await.unwrap();
    assert_eq!(host.control.published(None).unwrap()[0].state, "up");
    host.control.unpublish_of("web0", Some(&spec)).await.unwrap();
    assert_eq!(host.control.unpublish(1).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn after_a_kill_the_same_ports_are_published_again() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.75.0.0/24"], false).await;
    host.attach("RED", "web0").await.unwrap();
    host.attach("RED", "web1").await.unwrap();
    let (one, two) = (free(), free());
    let made = publish(&host, "web0", &["80", &format!("{one}:81"), &format!("{two}:82")]).await.unwrap();
    publish(&host, "web1", &["80"]).await.unwrap();
    host.control.halt();
    let Host { control, disk, _dir: dir, .. } = host;
    drop(control);
    // Somebody is quicker, and one container has ended.
    let mut gone = Memory::read(&disk).unwrap().endpoints.into_iter().find(|e| e.record.name == "web1").unwrap();
    gone.sandbox.ino = 0;
    disk.commit(&[crate::state::Change::endpoint(&gone)]).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let thief = loop {
        match TcpListener::bind(("0.0.0.0", two)) {
            Ok(thief) => break thief,
            Err(_) => assert!(std::time::Instant::now() < deadline, "the old sockets are still there"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let host = Host::resume_with_dead(1, &store, disk, dir, [0].into()).await;
    let rows = host.control.published(None).unwrap();
    let ports = |rows: &[api::Published]| rows.iter().map(|row| (row.id, row.host_port)).collect::<BTreeSet<_>>();
    assert_eq!(ports(&rows), ports(&made), "the automatic one as well");
    let states: Vec<&str> = rows.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["up", "up", "failed"]);
    assert!(rows[2].reason.as_ref().unwrap().contains(&format!("0.0.0.0:{two}/tcp")), "{:?}", rows[2].reason);
    assert_eq!(rules(&host.control).len(), 2);
    let still = publish(&host, "web0", &[&format!("{two}:82")]).await.unwrap_err();
    assert!(still.kind == Kind::Conflict && still.error.contains(&format!("0.0.0.0:{two}/tcp")), "{still}");
    drop(thief);
    let fresh = publish(&host, "web0", &["90"]).await.unwrap();
    assert!(fresh[0].id > 4, "numbers are not used again");
    until("the port is taken when it is free", || host.control.published(None).unwrap()[2].state == "up").await;
}

#[tokio::test]
async fn without_a_link_of_the_host_nothing_is_published() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.76.0.0/24"], false).await;
    host.attach("RED", "web0").await.unwrap();
    let (one, two) = (free(), free());
    publish(&host, "web0", &[&format!("{one}:80")]).await.unwrap();
    host.control.hear(switch::turn::Notice::Gone(switch::PortId::HOST)).await;
    let row = host.control.published(None).unwrap().remove(0);
    assert_eq!(row.state, "waiting");
    assert!(row.reason.unwrap().contains("no link"), "and it says why");
    assert!(rules(&host.control).is_empty() && host.tables.steered.lock().unwrap().is_empty());
    let refused = publish(&host, "web0", &[&format!("{two}:81")]).await.unwrap_err();
    assert!(refused.kind == Kind::Unavailable && refused.error.contains("no link"), "{refused}");
    assert!(refused.remedy.contains("vsctl uplink"), "{}", refused.remedy);
    assert!(
        TcpListener::bind(("::", two)).is_ok() && host.control.published(None).unwrap().len() == 1,
        "nothing is left of it"
    );
}

#[tokio::test]
async fn an_address_too_many_is_refused() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.77.0.0/24"], false).await;
    host.attach("RED", "web0").await.unwrap();
    let specs: Vec<String> = (1..=251).map(|n| format!("127.0.3.{n}::80")).collect();
    publish(&host, "web0", &specs.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    let refused = publish(&host, "web0", &["127.0.4.1::80"]).await.unwrap_err();
    assert!(refused.error.contains("251 single addresses"), "{refused}");
    assert_eq!(host.control.published(None).unwrap().len(), 251);
    publish(&host, "web0", &["127.0.3.1::81", "82"]).await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_taken_again_at_once_inherits_nothing() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    network(&host, "RED", &["10.78.0.0/24"], false).await;
    host.attach("RED", "web0").await.unwrap();
    publish(&host, "web0", &["80"]).await.unwrap();
    // Somebody else's request holds up the end of the publication.
    let gate = host.control.publishing.lock().await;
    let control = host.control.clone();
    let removed = tokio::spawn(async move { control.remove_ports("web0", None).await });
    until("the old one has gone", || host.control.state().endpoints.is_empty()).await;
    host.attach("RED", "web0").await.unwrap();
    drop(gate);
    removed.await.unwrap().unwrap();
    assert_eq!(host.control.ports(None).await.unwrap().len(), 1);
    assert!(host.control.published(Some("web0")).unwrap().is_empty());
}
