//! Networks that were there before: one network, several engines; and what a restart of the daemon remembers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::api::{CreateNetwork, NewSubnet};

fn red() -> CreateNetwork {
    let subnets = ["10.10.10.0/24", "fd10::/64"];
    let subnets = subnets.map(|text| NewSubnet { subnet: Some(text.parse().unwrap()), ..NewSubnet::default() });
    CreateNetwork { name: "RED".into(), driver: Some("overlay".into()), subnets: subnets.into(), ..Default::default() }
}

fn join_red() -> Value {
    json!({ "vswitch.network": "RED" })
}

#[tokio::test]
async fn engines_on_two_hosts_share_a_network_and_no_address() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    one.control.create_network(red()).await.unwrap();
    let (first, second) = (Driver::start(&one).await, Driver::start(&two).await);
    let mut seen = Vec::new();
    for (number, driver) in [(1, &first), (2, &second)] {
        let network = id(number);
        let pool = driver.network(&network, "", join_red(), join_red()).await;
        for endpoint in 0..3 {
            let key = format!("/sandbox/{number}-{endpoint}");
            let (address, _) = driver.run(&network, &pool, &id(number * 16 + endpoint), &key).await;
            assert!(!seen.contains(&address), "{address} twice");
            seen.push(address);
        }
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|address| address.starts_with("10.10.10.") && address.ends_with("/24")));

    let gone = first.refused("IpamDriver.RequestPool", request_pool("", json!({ "vswitch.network": "NONE" }))).await;
    assert!(gone.contains("NONE not found"), "{gone}");
    let other = first.refused("IpamDriver.RequestPool", request_pool("10.99.0.0/24", join_red())).await;
    assert!(other.contains("10.10.10.0/24"), "{other}");
    // Without our IPAM the subnet would be another.
    let data = json!([{ "AddressSpace": "LocalDefault", "Pool": "172.20.0.0/16", "Gateway": "172.20.0.1/16" }]);
    let why = first.refused("NetworkDriver.CreateNetwork", create_network(&id(9), data, join_red())).await;
    assert!(why.contains("--ipam-driver vswitch"), "{why}");
    let data = json!([{ "AddressSpace": "vswitch", "Pool": "10.10.10.0/24", "Gateway": "10.10.10.1/24" }]);
    let mut inward = create_network(&id(9), data, join_red());
    inward["Options"]["com.docker.network.internal"] = json!(true);
    assert!(first.refused("NetworkDriver.CreateNetwork", inward).await.contains("--internal"));
    // Addresses that another IPAM chooses on each host would meet.
    let data = json!([{ "AddressSpace": "LocalDefault", "Pool": "10.10.10.0/24", "Gateway": "10.10.10.1/24" }]);
    let why = first.refused("NetworkDriver.CreateNetwork", create_network(&id(9), data, join_red())).await;
    assert!(why.contains("agreed on with other hosts"), "{why}");
    // A joined network stays.
    let left: Vec<_> = (0..3).map(|endpoint| id(16 + endpoint)).collect();
    for endpoint in left {
        first.call("NetworkDriver.DeleteEndpoint", of_endpoint(&id(1), &endpoint)).await;
    }
    first.call("NetworkDriver.DeleteNetwork", json!({ "NetworkID": id(1) })).await;
    assert!(one.control.networks().iter().any(|row| row.name == "RED"));
}

#[tokio::test]
async fn both_families_and_the_network_is_known_by_its_pool_alone() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    host.control.create_network(red()).await.unwrap();
    let driver = Driver::start(&host).await;
    let v4 = driver.call("IpamDriver.RequestPool", request_pool("", join_red())).await;
    let v6 = json!({ "AddressSpace": "vswitch", "Pool": "", "SubPool": "", "Options": join_red(), "V6": true });
    let v6 = driver.call("IpamDriver.RequestPool", v6).await;
    assert_eq!((&v4["Pool"], &v6["Pool"]), (&json!("10.10.10.0/24"), &json!("fd10::/64")));
    let data =
        |pool: &Value, gateway: &str| json!([{ "AddressSpace": "vswitch", "Pool": pool["Pool"], "Gateway": gateway }]);
    let mut ask = create_network(&id(1), data(&v4, "10.10.10.1/24"), json!({}));
    ask["IPv6Data"] = data(&v6, "fd10::1/64");
    driver.call("NetworkDriver.CreateNetwork", ask).await;
    let six = driver.call("IpamDriver.RequestAddress", json!({ "PoolID": v6["PoolID"], "Address": "fd10::77" })).await;
    assert_eq!(six["Address"], "fd10::77/64");
    let four = driver.call("IpamDriver.RequestAddress", json!({ "PoolID": v4["PoolID"], "Address": "" })).await;
    let mut ask = create_endpoint(&id(1), &id(2), four["Address"].as_str().unwrap());
    ask["Interface"]["AddressIPv6"] = six["Address"].clone();
    ask["Interface"]["MacAddress"] = json!("02:11:22:33:44:55");
    assert_eq!(driver.call("NetworkDriver.CreateEndpoint", ask).await, json!({ "Interface": {} }));
    let joined = driver.call("NetworkDriver.Join", join(&id(1), &id(2), "/sandbox/six")).await;
    assert_eq!((&joined["Gateway"], &joined["GatewayIPv6"]), (&json!("10.10.10.1"), &json!("fd10::1")));
    let port = host.control.ports(None).await.unwrap().pop().unwrap();
    assert_eq!((port.mac.to_string().as_str(), port.addresses.len()), ("02:11:22:33:44:55", 2));
    let gateway = json!({ "PoolID": v4["PoolID"], "Address": "10.10.10.5",
                          "Options": { "RequestAddressType": "com.docker.network.gateway" } });
    assert!(driver.refused("IpamDriver.RequestAddress", gateway).await.contains("10.10.10.1"));
}

#[tokio::test]
async fn a_chosen_pool_is_another_each_time_and_a_named_one_the_same() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let pool = async |subnet: &str| driver.call("IpamDriver.RequestPool", request_pool(subnet, Value::Null)).await;
    let (one, two) = (pool("").await, pool("").await);
    assert_ne!(one["Pool"], two["Pool"]);
    assert_eq!(pool("10.34.0.0/24").await, pool("10.34.0.0/24").await);
    let range = json!({ "Pool": "10.9.0.0/16", "SubPool": "10.9.4.0/22", "Options": {}, "V6": false });
    let pool = driver.call("IpamDriver.RequestPool", range).await;
    let gateway = driver.call("IpamDriver.RequestAddress", gateway_of(pool["PoolID"].as_str().unwrap())).await;
    assert_eq!(gateway["Address"], "10.9.4.1/16");
    let bare = json!({ "Pool": "", "SubPool": "10.9.4.0/22", "Options": null, "V6": false });
    assert!(driver.refused("IpamDriver.RequestPool", bare).await.contains("ip-range"));
    let option = request_pool("", json!({ "tenant": "a" }));
    assert!(driver.refused("IpamDriver.RequestPool", option).await.contains("tenant"));
    driver.call("IpamDriver.ReleaseAddress", json!({ "PoolID": "own/nowhere", "Address": "10.9.4.1" })).await;
    driver.call("IpamDriver.ReleasePool", json!({ "PoolID": "own/nowhere" })).await;
}

#[tokio::test]
async fn what_docker_was_told_outlives_the_daemon() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    host.control.create_network(red()).await.unwrap();
    let mut driver = Driver::start(&host).await;
    let pool = driver.network(&id(1), "", join_red(), join_red()).await;
    let (address, _) = driver.run(&id(1), &pool, &id(2), "/sandbox/long").await;
    let granted = json!({ "PoolID": pool, "Address": "10.10.10.99", "Options": null });
    driver.call("IpamDriver.RequestAddress", granted.clone()).await;
    driver.stop().await;

    let Host { control, disk, _dir: dir, .. } = host;
    control.stop().await;
    drop(control);
    let host = Host::resume_with_dead(1, &store, disk, dir, Default::default()).await;
    driver.resume(&host);
    let port = host.control.ports(None).await.unwrap().pop().unwrap();
    assert_eq!(port.addresses[0].to_string(), address);
    let more = driver.run(&id(1), &pool, &id(3), "/sandbox/later").await.0;
    assert_ne!(more, address);
    // A grant whose answer the crash swallowed is given again, one in use is not.
    driver.call("IpamDriver.RequestAddress", granted).await;
    let bare = address.split('/').next().unwrap();
    let taken = json!({ "PoolID": pool, "Address": bare, "Options": null });
    assert!(driver.refused("IpamDriver.RequestAddress", taken).await.contains(bare));
    // Docker's engine gives back what it has lost: the endpoint goes with its address.
    driver.call("IpamDriver.ReleaseAddress", json!({ "PoolID": pool, "Address": bare })).await;
    assert_eq!(host.control.ports(None).await.unwrap().len(), 1);
    rests(&host, bare).await;
}

/// The store's row of a lease is written after the answer: it has to come to rest soon.
async fn rests(host: &Host, address: &str) {
    let start = Instant::now();
    loop {
        let leases = host.control.leases("RED").await.unwrap();
        if leases.iter().any(|lease| lease.address.to_string() == address && lease.state == "resting") {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{address} does not rest within 10 s: {leases:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
