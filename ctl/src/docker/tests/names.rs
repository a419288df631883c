//! What is learnt from Docker's engine: names, renames, and what it has forgotten.

use serde_json::json;

use super::double::{Container, Double};
use super::*;
use crate::api::Port;
use crate::control::tests::until;

async fn port(host: &Host) -> Port {
    host.control.ports(None).await.unwrap().pop().unwrap()
}

/// Waits until the only port is called so, with its aliases and host name.
async fn named(host: &Host, name: &str, hostname: &str) {
    let start = std::time::Instant::now();
    loop {
        let port = port(host).await;
        if port.name == name && port.hostname.as_deref() == Some(hostname) {
            return;
        }
        assert!(start.elapsed().as_secs() < 10, "is {port:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn names_come_and_change_and_what_is_lost_goes() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let engine = Double::start(&driver.dir.path().join("docker.sock"), id(1));
    let pool = driver.network(&id(1), "10.35.0.0/24", json!({}), json!({})).await;
    let (address, _) = driver.run(&id(1), &pool, &id(2), "/run/netns/abcdef").await;
    assert_eq!(port(&host).await.name, "docker-abcdef");
    let portmap = json!([{ "Proto": 6, "Port": 80, "HostIP": "127.0.0.1", "HostPort": 0 }]);
    let mut ask = of_endpoint(&id(1), &id(2));
    ask["Options"] = json!({ "com.docker.network.portmap": portmap });
    driver.call("NetworkDriver.ProgramExternalConnectivity", ask).await;

    let container =
        Container { id: id(0xc), name: "web".into(), endpoint: id(2), address, aliases: vec!["www".into()] };
    engine.containers.lock().unwrap().push(container);
    named(&host, "web", "web-host").await;
    let there = port(&host).await;
    assert_eq!((there.aliases, there.container_id, there.ifname.as_str()), (vec!["www".to_owned()], id(0xc), "eth0"));
    let published = host.control.published(Some("web")).unwrap();
    assert!(published.len() == 1 && published[0].state == "up", "{published:?}");

    engine.containers.lock().unwrap()[0].name = "shop".into();
    engine.tell("rename", &id(0xc));
    named(&host, "shop", "shop-host").await;
    assert_eq!(host.control.published(Some("shop")).unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_that_another_sandbox_has_gets_the_containers_id() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let engine = Double::start(&driver.dir.path().join("docker.sock"), id(1));
    let pool = driver.network(&id(1), "10.36.0.0/24", json!({}), json!({})).await;
    host.attach("bridge", "web").await.unwrap();
    let (address, _) = driver.run(&id(1), &pool, &id(2), "/run/netns/abcdef").await;
    let container = Container { id: id(0xc), name: "web".into(), endpoint: id(2), address, aliases: Vec::new() };
    engine.containers.lock().unwrap().push(container);
    let control = host.control.clone();
    let renamed = async || control.ports(None).await.unwrap().iter().any(|port| port.name == "web-00000000000c");
    let start = std::time::Instant::now();
    while !renamed().await {
        assert!(start.elapsed().as_secs() < 10, "{:?}", host.control.ports(None).await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(host.control.ports(Some("web")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_engine_has_forgotten_is_given_up() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let mut driver = Driver::start(&host).await;
    let pool = driver.network(&id(1), "10.37.0.0/24", json!({ "vswitch.name": "KEPT" }), json!({})).await;
    driver.network(&id(9), "10.38.0.0/24", json!({ "vswitch.name": "LOST" }), json!({})).await;
    let (address, _) = driver.run(&id(1), &pool, &id(2), "/sandbox/kept").await;
    driver.run(&id(1), &pool, &id(3), "/sandbox/lost").await;
    driver.stop().await;
    // As if all that had been long ago.
    let records = Memory::read(&host.disk).unwrap().docker;
    let networks = records.networks.into_values().map(|network| crate::docker::record::Network {
        since: 0,
        seen: true,
        ..network
    });
    let endpoints = records.endpoints.into_values().map(|e| crate::docker::record::Endpoint { since: 0, ..e });
    let mut changes: Vec<_> = networks.map(|network| crate::docker::record::network(&network)).collect();
    changes.extend(endpoints.map(|endpoint| crate::docker::record::endpoint(&endpoint)));
    host.disk.commit(&changes).unwrap();

    let engine = Double::start(&driver.dir.path().join("docker.sock"), id(1));
    let container = Container { id: id(0xc), name: "web".into(), endpoint: id(2), address, aliases: Vec::new() };
    engine.containers.lock().unwrap().push(container);
    driver.resume(&host);
    let control = host.control.clone();
    until("the forgotten network and endpoint to go", || {
        let kept = control.networks().into_iter().find(|row| row.name == "KEPT").is_some_and(|row| row.endpoints == 1);
        kept && control.networks().iter().all(|row| row.name != "LOST")
    })
    .await;
    named(&host, "web", "web-host").await;
    let network = host.control.network("KEPT").await.unwrap().id;
    until("its address to be given back", || control.reserved_in(&network).len() == 1).await;
}
