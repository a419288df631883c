//! Docker's calls as its engine makes them, over a real socket, to hosts with the real engine's tables and no kernel; and a
//! stand-in for the API of Docker's engine.

mod double;
mod joined;
mod names;

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Service;
use crate::api::Listener;
use crate::control::tests::{Host, store};
use crate::state::Memory;

/// A host's plugin, as Docker reaches it.
struct Driver {
    socket: PathBuf,
    service: Option<Service>,
    dir: TempDir,
}

impl Driver {
    async fn start(host: &Host) -> Driver {
        let dir = tempfile::tempdir().unwrap();
        let mut driver = Driver { socket: dir.path().join("vswitch.sock"), service: None, dir };
        driver.resume(host);
        driver
    }

    /// Also after an end: with what the state file has.
    fn resume(&mut self, host: &Host) {
        let records = Memory::read(&host.disk).unwrap().docker;
        let listener = Listener::bind(&self.socket).unwrap();
        let api = self.dir.path().join("docker.sock");
        self.service = Some(Service::start(host.control.clone(), host.disk.clone(), records, listener, api));
    }

    async fn stop(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// A call with this body as it is; status and answer.
    async fn raw(&self, method: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let head = format!(
            "POST /{method} HTTP/1.1\r\nHost: plugin.moby.localhost\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn call(&self, method: &str, body: Value) -> Value {
        let (status, answer) = self.raw(method, &body.to_string()).await;
        assert_eq!(status, 200, "{method} {body}: {answer}");
        answer
    }

    /// A call that must fail; both interfaces' fields say why.
    async fn refused(&self, method: &str, body: Value) -> String {
        let (status, answer) = self.raw(method, &body.to_string()).await;
        assert_ne!(status, 200, "{method} {body}: {answer}");
        assert_eq!(answer["Err"], answer["Error"]);
        answer["Err"].as_str().unwrap().to_owned()
    }

    /// `docker network create` with one IPv4 subnet, up to the network driver's part; the pool's id.
    async fn network(&self, id: &str, subnet: &str, generic: Value, ipam: Value) -> String {
        let pool = self.call("IpamDriver.RequestPool", request_pool(subnet, ipam)).await;
        let pool_id = pool["PoolID"].as_str().unwrap().to_owned();
        let gateway = self.call("IpamDriver.RequestAddress", gateway_of(&pool_id)).await;
        let data = json!([{ "AddressSpace": "vswitch", "Pool": pool["Pool"], "Gateway": gateway["Address"] }]);
        self.call("NetworkDriver.CreateNetwork", create_network(id, data, generic)).await;
        pool_id
    }

    /// `docker run` up to the link: its address and MAC address.
    async fn run(&self, network: &str, pool: &str, endpoint: &str, key: &str) -> (String, String) {
        let address =
            self.call("IpamDriver.RequestAddress", json!({ "PoolID": pool, "Address": "", "Options": null })).await;
        let address = address["Address"].as_str().unwrap().to_owned();
        let ask = create_endpoint(network, endpoint, &address);
        let made = self.call("NetworkDriver.CreateEndpoint", ask).await;
        self.call("NetworkDriver.Join", join(network, endpoint, key)).await;
        (address, made["Interface"]["MacAddress"].as_str().unwrap().to_owned())
    }

    async fn stopped(&self, network: &str, pool: &str, endpoint: &str, address: &str) {
        for method in ["RevokeExternalConnectivity", "Leave", "DeleteEndpoint"] {
            self.call(&format!("NetworkDriver.{method}"), of_endpoint(network, endpoint)).await;
        }
        let bare = address.split('/').next().unwrap();
        self.call("IpamDriver.ReleaseAddress", json!({ "PoolID": pool, "Address": bare })).await;
    }
}

/// The first twelve digits tell ids apart for people.
fn id(number: u32) -> String {
    format!("{number:012x}{:052x}", 0)
}

fn request_pool(subnet: &str, options: Value) -> Value {
    json!({ "AddressSpace": "vswitch", "Pool": subnet, "SubPool": "", "Options": options, "V6": false })
}

fn gateway_of(pool: &str) -> Value {
    json!({ "PoolID": pool, "Address": "", "Options": { "RequestAddressType": "com.docker.network.gateway" } })
}

fn create_network(id: &str, v4: Value, generic: Value) -> Value {
    let options = json!({ "com.docker.network.enable_ipv6": false, "com.docker.network.generic": generic });
    json!({ "NetworkID": id, "Options": options, "IPv4Data": v4, "IPv6Data": null })
}

fn of_endpoint(network: &str, endpoint: &str) -> Value {
    json!({ "NetworkID": network, "EndpointID": endpoint })
}

fn create_endpoint(network: &str, endpoint: &str, address: &str) -> Value {
    let interface = json!({ "Address": address, "AddressIPv6": "", "MacAddress": "" });
    json!({ "NetworkID": network, "EndpointID": endpoint, "Interface": interface, "Options": null })
}

fn join(network: &str, endpoint: &str, key: &str) -> Value {
    json!({ "NetworkID": network, "EndpointID": endpoint, "SandboxKey": key, "Options": {} })
}

#[tokio::test]
async fn a_driver_says_what_it_can() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    assert_eq!(driver.raw("Plugin.Activate", "").await.1, json!({ "Implements": ["NetworkDriver", "IpamDriver"] }));
    let network = driver.raw("NetworkDriver.GetCapabilities", "").await.1;
    assert_eq!((&network["Scope"], &network["ConnectivityScope"]), (&json!("local"), &json!("global")));
    let (status, ipam) = driver.raw("IpamDriver.GetCapabilities", "").await;
    assert_eq!((status, &ipam["RequiresRequestReplay"]), (200, &json!(false)));
    assert_eq!(driver.raw("IpamDriver.GetDefaultAddressSpaces", "").await.1["LocalDefaultAddressSpace"], "vswitch");
    // What a retry without its body, a newer engine and nonsense get.
    assert_eq!(driver.raw("NetworkDriver.CreateEndpoint", "").await.0, 400);
    assert_eq!(driver.raw("NetworkDriver.Join", "[1").await.0, 400);
    assert_eq!(driver.raw("NetworkDriver.GwAllocCheck", "{}").await.0, 404);
    assert!(driver.refused("NetworkDriver.AllocateNetwork", json!({ "NetworkID": id(1) })).await.contains("swarm"));
}

#[tokio::test]
async fn a_network_of_its_own_and_a_container_in_it() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let (network, endpoint) = (id(0xa0), id(0xe0));
    let generic = json!({ "vswitch.name": "WORK", "com.docker.network.driver.mtu": "1400" });
    let pool = driver.network(&network, "10.31.0.7/16", generic.clone(), json!({})).await;
    let row = host.control.networks().into_iter().find(|row| row.name == "WORK").unwrap();
    assert_eq!((row.subnets[0].subnet.to_string().as_str(), row.mtu), ("10.31.0.0/16", 1400));

    let (address, mac) = driver.run(&network, &pool, &endpoint, "/sandbox/one").await;
    assert_eq!((address.as_str(), mac.as_str()), ("10.31.0.2/16", "02:42:0a:1f:00:02"));
    // Everything may come twice.
    let again = driver.call("NetworkDriver.CreateEndpoint", create_endpoint(&network, &endpoint, &address)).await;
    assert_eq!(again, json!({ "Interface": { "MacAddress": mac } }));
    let joined = driver.call("NetworkDriver.Join", join(&network, &endpoint, "/sandbox/one")).await;
    assert_eq!(joined["InterfaceName"], json!({ "SrcName": "vsw0000000000e0", "DstPrefix": "eth" }));
    assert_eq!((&joined["Gateway"], &joined["DisableGatewayService"]), (&json!("10.31.0.1"), &json!(true)));
    assert_eq!(
        driver.call("NetworkDriver.EndpointOperInfo", of_endpoint(&network, &endpoint)).await["Value"],
        json!({})
    );
    let port = host.control.ports(None).await.unwrap().pop().unwrap();
    assert_eq!((port.endpoint_id.as_str(), port.addresses[0].to_string()), (endpoint.as_str(), address.clone()));

    let same = json!({ "PoolID": pool, "Address": "10.31.0.2", "Options": null });
    assert!(driver.refused("IpamDriver.RequestAddress", same).await.contains("10.31.0.2 is in use"));
    for _ in 0..2 {
        driver.stopped(&network, &pool, &endpoint, &address).await;
    }
    assert!(host.control.ports(None).await.unwrap().is_empty());
    // Its own host may have an address that rests.
    let same = json!({ "PoolID": pool, "Address": "10.31.0.2", "Options": null });
    driver.call("IpamDriver.RequestAddress", same).await;
    for _ in 0..2 {
        driver.call("IpamDriver.ReleasePool", json!({ "PoolID": pool })).await;
        driver.call("NetworkDriver.DeleteNetwork", json!({ "NetworkID": network })).await;
    }
    assert!(host.control.networks().iter().all(|row| row.name != "WORK"));
    let memory = Memory::read(&host.disk).unwrap();
    assert!(memory.docker.networks.is_empty() && memory.docker.pools.is_empty() && memory.docker.endpoints.is_empty());
    assert!(memory.reservations.is_empty());
}

#[tokio::test]
async fn published_ports_follow_the_engine() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let (network, endpoint) = (id(0xa1), id(0xe1));
    let pool = driver.network(&network, "10.32.0.0/24", json!({}), json!({})).await;
    let (address, _) = driver.run(&network, &pool, &endpoint, "/sandbox/two").await;
    let portmap = json!([{ "Proto": 6, "IP": "", "Port": 80, "HostIP": "127.0.0.1", "HostPort": 0, "HostPortEnd": 0 }]);
    let mut ask = of_endpoint(&network, &endpoint);
    ask["Options"] = json!({ "com.docker.network.portmap": portmap });
    for _ in 0..2 {
        driver.call("NetworkDriver.ProgramExternalConnectivity", ask.clone()).await;
        assert_eq!(host.control.published(None).unwrap().len(), 1);
    }
    let first = host.control.published(None).unwrap().pop().unwrap();
    let other = id(0xe2);
    driver.run(&network, &pool, &other, "/sandbox/three").await;
    let mut taken = of_endpoint(&network, &other);
    let portmap = json!([{ "Proto": 6, "Port": 81, "HostIP": "127.0.0.1", "HostPort": first.host_port }]);
    taken["Options"] = json!({ "com.docker.network.portmap": portmap });
    let why = driver.refused("NetworkDriver.ProgramExternalConnectivity", taken).await;
    assert!(why.contains(&first.name), "{why}");
    driver.call("NetworkDriver.RevokeExternalConnectivity", of_endpoint(&network, &endpoint)).await;
    assert!(host.control.published(None).unwrap().is_empty());
    driver.call("NetworkDriver.ProgramExternalConnectivity", ask).await;
    driver.stopped(&network, &pool, &endpoint, &address).await;
    assert!(host.control.published(None).unwrap().is_empty());
    let unknown = of_endpoint(&network, &id(0xff));
    assert!(driver.refused("NetworkDriver.Join", unknown).await.contains("not found"));
}

#[tokio::test]
async fn another_ipam_chooses_addresses_or_leaves_them_to_us() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let data = json!([{ "AddressSpace": "LocalDefault", "Pool": "10.33.0.0/24", "Gateway": "10.33.0.9/24",
                        "AuxAddresses": { "printer": "10.33.0.3/24" } }]);
    driver.call("NetworkDriver.CreateNetwork", create_network(&id(0xb0), data, json!({}))).await;
    let make = create_endpoint(&id(0xb0), &id(0xf0), "10.33.0.2/24");
    driver.call("NetworkDriver.CreateEndpoint", make).await;
    driver.call("NetworkDriver.Join", join(&id(0xb0), &id(0xf0), "/sandbox/before")).await;
    // Docker gives an address again only when its endpoint is gone, told or not.
    let again = create_endpoint(&id(0xb0), &id(0xf1), "10.33.0.2/24");
    driver.call("NetworkDriver.CreateEndpoint", again).await;
    assert!(host.control.ports(None).await.unwrap().is_empty());
    for taken in ["10.33.0.9/24", "10.33.0.3/24"] {
        driver.refused("NetworkDriver.CreateEndpoint", create_endpoint(&id(0xb0), &id(0xf2), taken)).await;
    }
    driver.call("NetworkDriver.DeleteEndpoint", of_endpoint(&id(0xb0), &id(0xf1))).await;
    driver.call("NetworkDriver.CreateEndpoint", create_endpoint(&id(0xb0), &id(0xf0), "10.33.0.2/24")).await;

    let none = json!([{ "AddressSpace": "null", "Pool": "0.0.0.0/0" }]);
    driver.call("NetworkDriver.CreateNetwork", create_network(&id(0xb1), none, json!({}))).await;
    let made = driver.call("NetworkDriver.CreateEndpoint", create_endpoint(&id(0xb1), &id(0xf3), "")).await;
    assert!(made["Interface"]["Address"].as_str().is_some_and(|address| address.ends_with(".0.2/16")), "{made}");
    assert!(
        driver
            .refused("NetworkDriver.CreateEndpoint", create_endpoint(&id(0xbb), &id(0xf4), ""))
            .await
            .contains("state")
    );
}

/// An engine that leads IPv4 and IPv6 out by different networks asks both for the same ports.
#[tokio::test]
async fn two_ways_out_publish_one_family_each() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    let driver = Driver::start(&host).await;
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let portmap = json!([{ "Proto": 6, "Port": 80, "HostIP": "", "HostPort": port, "HostPortEnd": port }]);
    for (number, only_v4) in [(1, true), (2, false)] {
        let pool = driver.network(&id(number), &format!("10.{}.0.0/24", 60 + number), json!({}), json!({})).await;
        driver.run(&id(number), &pool, &id(16 + number), "/sandbox/both").await;
        let mut ask = of_endpoint(&id(number), &id(16 + number));
        ask["Options"] = json!({
            "com.docker.network.portmap": portmap,
            "com.docker.network.driver.private.no_proxy_6to4": only_v4,
        });
        driver.call("NetworkDriver.ProgramExternalConnectivity", ask).await;
    }
    let mut specs: Vec<String> = host.control.published(None).unwrap().into_iter().map(|row| row.spec).collect();
    specs.sort();
    assert_eq!(specs, [format!("0.0.0.0:{port}:80/tcp"), format!("[::]:{port}:80/tcp")]);
    driver.call("NetworkDriver.RevokeExternalConnectivity", of_endpoint(&id(1), &id(17))).await;
    assert_eq!(host.control.published(None).unwrap().len(), 1);
}
