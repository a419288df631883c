//! Default routes of sandboxes in real namespaces: the first way of each family, none over one that is there, and the
//! next one when a link has gone. Needs root; every test has a namespace of its own.

mod namespace;

use ctl::sandbox::{LinkSpec, Netns, Way, attach, lead_out};
use namespace::{Sleeper, eventually};
use wire::Mac;

/// A link in 10.`net`.0.0/24 and fd00:`net`::/64 with their gateways.
fn spec(net: u8) -> LinkSpec {
    LinkSpec {
        ifname: None,
        mac: Mac([0x02, 0x42, 10, net, 0, 2]),
        mtu: 1500,
        addresses: vec![format!("10.{net}.0.2/24").parse().unwrap(), format!("fd00:{net}::2/64").parse().unwrap()],
        routes: vec![(format!("10.{net}.8.0/24").parse().unwrap(), format!("10.{net}.0.1").parse().unwrap())],
        gateways: vec![format!("10.{net}.0.1").parse().unwrap(), format!("fd00:{net}::1").parse().unwrap()],
        gso_max_size: 61_000,
        alias: String::new(),
    }
}

fn ways(ifname: &str, net: u8) -> Vec<Way> {
    let way = |gateway| Way { ifname: ifname.into(), gateway };
    spec(net).gateways.into_iter().map(way).collect()
}

/// The default routes of both families, one a line.
fn defaults(sleeper: &Sleeper) -> Vec<String> {
    let both = ["ip -4 route show default", "ip -6 route show default"];
    let text: String = both.iter().map(|command| sleeper.run(command)).collect();
    let first = |line: &str| line.split(' ').take(5).collect::<Vec<_>>().join(" ");
    text.lines().map(first).collect()
}

#[tokio::test]
async fn the_first_network_leads_out_and_the_next_takes_over() {
    let sleeper = Sleeper::start();
    let netns = Netns::from_pid(sleeper.pid()).unwrap();
    let first = attach(&netns, &spec(1)).await.unwrap();
    let second = attach(&netns, &spec(2)).await.unwrap();
    let through_first = ["default via 10.1.0.1 dev eth0", "default via fd00:1::1 dev eth0"];
    assert_eq!(defaults(&sleeper), through_first);
    assert!(sleeper.run("ip route get 10.2.8.9").contains("via 10.2.0.1 dev eth1"));
    assert_eq!(sleeper.run("cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim(), "0");
    lead_out(&netns, &ways("eth1", 2)).await.unwrap();
    assert_eq!(defaults(&sleeper), through_first, "one that is there stays");

    drop(first);
    eventually("the first link is gone", || sleeper.links() == ["eth1", "lo"]);
    assert!(defaults(&sleeper).is_empty());
    let gone_and_left = [ways("eth0", 1), ways("eth1", 2)].concat();
    lead_out(&netns, &gone_and_left).await.unwrap();
    assert_eq!(defaults(&sleeper), ["default via 10.2.0.1 dev eth1", "default via fd00:2::1 dev eth1"]);
    drop(second);
}

#[tokio::test]
async fn a_default_route_of_the_sandbox_stays() {
    let sleeper = Sleeper::start();
    sleeper.run("ip link add own0 type veth peer name own1");
    sleeper.run("ip address add 192.0.2.2/24 dev own0");
    sleeper.run("ip link set own0 up");
    sleeper.run("ip route add default via 192.0.2.1 metric 500");
    let netns = Netns::from_pid(sleeper.pid()).unwrap();
    let _attached = attach(&netns, &spec(1)).await.unwrap();
    assert_eq!(defaults(&sleeper), ["default via 192.0.2.1 dev own0", "default via fd00:1::1 dev eth0"]);
}

#[tokio::test]
async fn nothing_leads_out_of_an_internal_network() {
    let sleeper = Sleeper::start();
    let netns = Netns::from_pid(sleeper.pid()).unwrap();
    let _attached = attach(&netns, &LinkSpec { gateways: Vec::new(), ..spec(1) }).await.unwrap();
    assert!(defaults(&sleeper).is_empty());
    assert!(sleeper.run("ip route get 10.1.8.9").contains("via 10.1.0.1"));
    // The container may have set its link down: the way is unfit, and no error.
    sleeper.run("ip link set eth0 down");
    lead_out(&netns, &ways("eth0", 1)).await.unwrap();
    assert!(defaults(&sleeper).is_empty());
}
