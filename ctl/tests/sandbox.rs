//! Links in real namespaces: what an attached one looks like, what a failed attach leaves, and what its end does.
//! Needs root; every test has namespaces of its own.

mod namespace;

use ctl::sandbox::{Attached, Error, LinkSpec, Netns, Reference, attach, remove};
use namespace::{Sleeper, eventually};
use port::{Port, Received, Tap};
use serde_json::json;
use wire::{Frame, Mac};

fn spec(last: u8) -> LinkSpec {
    LinkSpec {
        ifname: None,
        mac: Mac([0x02, 0x42, 10, 10, 10, last]),
        mtu: 1450,
        addresses: vec![format!("10.10.10.{last}/24").parse().unwrap(), format!("fd00:10::{last}/64").parse().unwrap()],
        routes: Vec::new(),
        gateways: Vec::new(),
        gso_max_size: 61_000,
        alias: "vswitch:RED".into(),
    }
}

fn open(sleeper: &Sleeper) -> Netns {
    Netns::from_pid(sleeper.pid()).unwrap()
}

fn tap(attached: &mut Attached) -> &mut Tap {
    match &mut attached.port {
        Port::Tap(tap) => tap,
        Port::Xdp(xdp) => panic!("no TAP: {:?}", xdp.info()),
    }
}

/// Reads until there is nothing more; whether the link is gone.
fn is_gone(attached: &mut Attached) -> bool {
    let mut frame = Frame::new();
    loop {
        match tap(attached).receive(&mut frame).unwrap() {
            Received::Frame => {}
            Received::Empty => return false,
            Received::Gone => return true,
        }
    }
}

#[tokio::test]
async fn an_attached_link_is_ready() {
    let sleeper = Sleeper::start();
    let mut first = attach(&open(&sleeper), &spec(2)).await.unwrap();
    assert_eq!(first.ifname, "eth0");
    let link = sleeper.link("eth0").unwrap();
    assert_eq!(link["address"], "02:42:0a:0a:0a:02");
    assert_eq!(link["mtu"], 1450);
    assert_eq!(link["gso_max_size"], 61_000);
    assert_eq!(link["ifalias"], "vswitch:RED");
    assert!(link["flags"].as_array().unwrap().contains(&json!("UP")), "{link}");
    let addresses = link["addr_info"].as_array().unwrap();
    let has = |address: &str, length: u8| {
        addresses
            .iter()
            .any(|info| info["local"] == address && info["prefixlen"] == length && info["tentative"].is_null())
    };
    assert!(has("10.10.10.2", 24) && has("fd00:10::2", 64), "{addresses:?}");
    assert!(sleeper.link("lo").unwrap()["flags"].as_array().unwrap().contains(&json!("UP")));
    let mut frame = Frame::new();
    // The kernel announces itself on a link that has come up.
    eventually("a frame of the new link", || tap(&mut first).receive(&mut frame).unwrap() == Received::Frame);

    let second = attach(&open(&sleeper), &spec(3)).await.unwrap();
    assert_eq!(second.ifname, "eth1");
    assert_eq!(sleeper.links(), ["eth0", "eth1", "lo"]);

    drop(first);
    eventually("the link goes with its descriptor", || sleeper.links() == ["eth1", "lo"]);
    let third = attach(&open(&sleeper), &spec(4)).await.unwrap();
    assert_eq!(third.ifname, "eth0");
}

#[tokio::test]
async fn the_descriptor_does_not_hold_the_namespace() {
    let sleeper = Sleeper::start();
    let netns = open(&sleeper);
    let reference = netns.reference().clone();
    let mut attached = attach(&netns, &spec(2)).await.unwrap();
    drop(netns);
    assert!(!is_gone(&mut attached));
    sleeper.kill();
    // The kernel deletes a namespace's links only once nothing holds it any more.
    eventually("the link is gone with its namespace", || is_gone(&mut attached));
    assert!(Netns::reopen(&reference).unwrap().is_none());
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_nothing_is_left() {
    let sleeper = Sleeper::start();
    sleeper.run("ip link add web0 type veth peer name web9");
    let wanted = LinkSpec { ifname: Some("web0".into()), ..spec(2) };
    let error = attach(&open(&sleeper), &wanted).await.unwrap_err();
    assert!(matches!(&error, Error::Taken { ifname, .. } if ifname == "web0"), "{error}");
    assert_eq!(error.to_string(), format!("link web0 in sandbox /proc/{}/ns/net: the name is taken", sleeper.pid()));
    assert_eq!(sleeper.links(), ["lo", "web0", "web9"]);
    // An alternative name counts as well, and is found out only by the kernel.
    sleeper.run("ip link property add dev web0 altname web1");
    let error = attach(&open(&sleeper), &LinkSpec { ifname: Some("web1".into()), ..spec(2) }).await.unwrap_err();
    assert!(matches!(error, Error::Taken { .. }), "{error}");
    eventually("no link is left", || sleeper.links() == ["lo", "web0", "web9"]);

    let given = attach(&open(&sleeper), &LinkSpec { ifname: Some("net7".into()), ..spec(2) }).await.unwrap();
    assert_eq!(given.ifname, "net7");
    assert!(sleeper.link("net7").is_some());
}

#[tokio::test]
async fn parallel_attaches_to_one_sandbox_get_different_names() {
    let sleeper = Sleeper::start();
    let netns = open(&sleeper);
    let tasks: Vec<_> = (2..10)
        .map(|last| {
            let netns = netns.clone();
            tokio::spawn(async move { attach(&netns, &spec(last)).await.unwrap() })
        })
        .collect();
    let mut attached = Vec::new();
    for task in tasks {
        attached.push(task.await.unwrap());
    }
    let mut names: Vec<_> = attached.iter().map(|one| one.ifname.clone()).collect();
    names.sort();
    assert_eq!(names, (0..8).map(|number| format!("eth{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn ipv6_that_was_switched_off_is_switched_on_for_the_link() {
    let sleeper = Sleeper::start();
    sleeper.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    let _attached = attach(&open(&sleeper), &spec(2)).await.unwrap();
    let link = sleeper.link("eth0").unwrap();
    assert!(link["addr_info"].as_array().unwrap().iter().any(|info| info["local"] == "fd00:10::2"), "{link}");
    let own = std::fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6").unwrap();
    assert_eq!(sleeper.run("cat /proc/sys/net/ipv6/conf/default/disable_ipv6").trim(), "1");
    assert_eq!(own.trim(), "0", "the test's own namespace is touched");
    // A sandbox without IPv6 addresses keeps it off.
    let v4 = LinkSpec { addresses: vec!["10.9.9.2/24".parse().unwrap()], ..spec(3) };
    let _attached = attach(&open(&sleeper), &v4).await.unwrap();
    assert_eq!(sleeper.run("cat /proc/sys/net/ipv6/conf/eth1/disable_ipv6").trim(), "1");
}

#[tokio::test]
async fn removing_is_idempotent_and_spares_other_links() {
    let sleeper = Sleeper::start();
    let netns = open(&sleeper);
    let mut attached = attach(&netns, &spec(2)).await.unwrap();
    remove(&netns, "eth0").await.unwrap();
    assert!(is_gone(&mut attached));
    assert_eq!(sleeper.links(), ["lo"]);
    remove(&netns, "eth0").await.unwrap();
    sleeper.run("ip link add eth0 type veth peer name eth9");
    let error = remove(&netns, "eth0").await.unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    assert_eq!(sleeper.links(), ["eth0", "eth9", "lo"]);
}

#[test]
fn a_reference_finds_the_same_namespace_or_none() {
    let sleeper = Sleeper::start();
    let netns = open(&sleeper);
    assert!(!netns.is_own());
    let stored = serde_json::to_string(netns.reference()).unwrap();
    let reference: Reference = serde_json::from_str(&stored).unwrap();
    assert_eq!(&reference, netns.reference());
    assert_eq!(reference.pid, Some(sleeper.pid()));
    assert_eq!(Netns::reopen(&reference).unwrap().unwrap().reference(), &reference);
    // Another process got the number, in another namespace or even with the inode's number used again.
    let other = Reference { ino: reference.ino + 1, ..reference.clone() };
    assert!(Netns::reopen(&other).unwrap().is_none());
    let other = Reference { started: reference.started.map(|ticks| ticks + 1), ..reference.clone() };
    assert!(Netns::reopen(&other).unwrap().is_none());
    sleeper.kill();
    assert!(Netns::reopen(&reference).unwrap().is_none());
    assert!(matches!(Netns::from_path(&reference.path), Err(Error::Gone { .. })));
}

#[test]
fn a_named_namespace_is_one() {
    let name = format!("vsw-test-{}", std::process::id());
    let ip = |verb: &str| std::process::Command::new("ip").args(["netns", verb, &name]).status().unwrap().success();
    assert!(ip("add"));
    let netns = Netns::from_path(format!("/run/netns/{name}").as_ref());
    assert!(ip("delete"));
    assert!(!netns.unwrap().is_own());
}

#[test]
fn what_is_no_namespace_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for bad in
        [folder.path(), &file, &fifo, "proc/self/ns/net".as_ref(), "/proc/self/ns/uts".as_ref(), "/dev/null".as_ref()]
    {
        let error = Netns::from_path(bad).unwrap_err();
        assert!(matches!(error, Error::NotANamespace { .. }), "{error}");
    }
    for gone in [folder.path().join("nothing"), file.join("below"), "/proc/4194304/ns/net".into()] {
        let error = Netns::from_path(&gone).unwrap_err();
        assert!(matches!(error, Error::Gone { .. }), "{error}");
    }
    assert!(Netns::from_path("/proc/self/ns/net".as_ref()).unwrap().is_own());
    assert!(Netns::from_pid(std::process::id()).unwrap().is_own());
}
