//! The same in a "host" that is itself a namespace, as several hosts on one machine are; there, what a failed attach
//! leaves on the host's side can be seen, because nobody else makes links in it. Needs root.

mod namespace;

use std::collections::BTreeSet;
use std::process::Command;

use ctl::sandbox::{Error, LinkSpec, Netns, attach};
use namespace::{Sleeper, eventually};
use serde_json::Value;
use wire::Mac;

/// Set for the second run of this program, in the namespace.
const INSIDE: &str = "VSWITCH_TEST_INSIDE";

#[test]
fn a_host_that_is_a_namespace_attaches_and_rolls_back() {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(inside());
    }
    let output = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_that_is_a_namespace_attaches_and_rolls_back", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

async fn inside() {
    let before = host_links();
    let sleeper = Sleeper::start();
    let netns = Netns::from_pid(sleeper.pid()).unwrap();
    let good = LinkSpec {
        ifname: None,
        mac: Mac([0x02, 0x42, 10, 0, 0, 2]),
        mtu: 1500,
        addresses: vec!["10.0.0.2/24".parse().unwrap()],
        routes: Vec::new(),
        gateways: Vec::new(),
        gso_max_size: 61_000,
        alias: String::new(),
    };
    let attached = attach(&netns, &good).await.unwrap();
    assert_eq!((attached.ifname.as_str(), sleeper.links()), ("eth0", vec!["eth0".into(), "lo".into()]));
    assert_eq!(host_links(), before, "the link was moved");
    drop(attached);

    // The same address twice: the second one is refused when the link has been moved and renamed already.
    let twice = LinkSpec { addresses: vec![good.addresses[0], good.addresses[0]], ..good.clone() };
    let error = attach(&netns, &twice).await.unwrap_err();
    assert!(matches!(&error, Error::Address { address, .. } if *address == good.addresses[0]), "{error}");
    eventually("nothing is left in the sandbox", || sleeper.links() == ["lo"]);
    assert_eq!(host_links(), before);

    // The namespace ends before the link is moved: the host keeps nothing.
    let reference = netns.reference().clone();
    sleeper.kill();
    let attached = attach(&netns, &good).await.unwrap();
    drop((attached, netns));
    assert!(Netns::reopen(&reference).unwrap().is_none());
    assert_eq!(host_links(), before);
}

/// The names of the links on the host's side.
fn host_links() -> BTreeSet<String> {
    let output = Command::new("ip").args(["-json", "link", "show"]).output().unwrap();
    let links: Value = serde_json::from_slice(&output.stdout).unwrap();
    links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}
