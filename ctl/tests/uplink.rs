//! The host's link and the mirror of its network, in a "host" that is a namespace of the test's own: NICs that come and
//! go, addresses and routes that change, networks to be reached. Needs root.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctl::api;
use ctl::model::Event;
use ctl::uplink::{self, Selection, Uplink};
use port::Form;
use port::xdp::{Xdp, XdpOptions};
use switch::turn::{Config, Handle};
use tokio::sync::mpsc::Receiver;

/// Set for the second run of this program, in the namespace.
const INSIDE: &str = "VSWITCH_TEST_INSIDE";

/// Runs `body` in a namespace of its own: this program once more, with this test only.
fn in_namespace(test: &str, body: impl AsyncFnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body());
    }
    let mut command = Command::new("unshare");
    command.arg("--net").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).join("\n");
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A NIC with a peer that makes its carrier, and an address.
fn nic(name: &str, address: &str) {
    run(&format!("ip link add {name} type veth peer name {name}p"));
    run(&format!("ip link set {name}p up"));
    run(&format!("ip link set {name} up"));
    run(&format!("ip address add {address} dev {name} nodad"));
}

struct Host {
    uplink: Arc<Uplink>,
    events: Receiver<Event>,
    handle: Handle,
}

impl Host {
    async fn start(selection: &str) -> Host {
        Host::start_with(selection, Form::Tc).await
    }

    async fn start_with(selection: &str, form: Form) -> Host {
        let mut made = uplink::make(uplink::NAME, Selection::read(selection), form).await;
        let config = Config { steering: made.steering(), ..Config::default() };
        let (handle, _, _) = Handle::start(config, Box::new(|| ())).unwrap();
        let (uplink, events) = Uplink::start(made, handle.clone()).await;
        Host { uplink, events, handle }
    }

    fn nics(&self) -> Vec<String> {
        self.uplink.status().nics.into_iter().map(|nic| format!("{} {}", nic.ifname, nic.state)).collect()
    }

    fn routes(&self) -> Vec<String> {
        let text = |route: api::HostRoute| format!("{} {} {}", route.to, route.source, route.mtu);
        self.uplink.status().routes.into_iter().map(text).collect()
    }

    fn has_event(&mut self, kind: &str) -> bool {
        std::iter::from_fn(|| self.events.try_recv().ok()).any(|event| event.kind == kind)
    }

    fn stop(self) {
        self.uplink.stop();
        self.handle.stop();
    }
}

/// Waits up to ten seconds for `condition`, while the mirror runs.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn sysctl(path: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap().trim().to_owned()
}

#[test]
fn nics_come_and_go_and_routes_change() {
    in_namespace("nics_come_and_go_and_routes_change", async || {
        run("ip link set lo up");
        nic("eth0", "192.0.2.1/24");
        run("ip route add default via 192.0.2.9");
        let mut host = Host::start("auto").await;
        let status = host.uplink.status();
        assert_eq!((status.state.as_str(), status.problem), ("up", None));
        assert_eq!(host.nics(), ["eth0 up"], "known as soon as the uplink has started");
        assert_eq!(host.routes(), ["0.0.0.0/0 192.0.2.1 1500"]);
        assert!(host.has_event("uplink_joined"));

        let link = run("ip -details address show dev vsw0");
        for part in ["NOARP", "169.254.86.1/24", "fd76:7377:3000::1/64", "qlen 2000", "BROADCAST,NOARP,UP"] {
            assert!(link.contains(part), "{part}: {link}");
        }
        assert!(!link.contains("fe80"), "{link}");
        assert_eq!(sysctl("ipv4/conf/vsw0/forwarding"), "1");
        assert_eq!((sysctl("ipv4/conf/vsw0/rp_filter"), sysctl("ipv6/conf/vsw0/forwarding")), ("2".into(), "1".into()));
        assert_eq!((sysctl("ipv4/conf/eth0/forwarding"), sysctl("ipv4/ip_forward")), ("0".into(), "0".into()));

        nic("eth1", "198.51.100.1/24");
        until("the new NIC", || host.nics() == ["eth0 up", "eth1 up"]).await;
        run("ip route replace default via 198.51.100.9");
        until("the new default route", || host.routes().contains(&"0.0.0.0/0 198.51.100.1 1500".into())).await;
        run("ip link set eth1 mtu 9000");
        until("its MTU", || host.routes().contains(&"0.0.0.0/0 198.51.100.1 9000".into())).await;
        until("the link's MTU", || run("ip link show vsw0").contains("mtu 9000")).await;
        run("ip -6 address add 2001:db8::1/64 dev eth0 nodad");
        run("ip -6 route add default via 2001:db8::9");
        until("IPv6", || host.routes().contains(&"::/0 2001:db8::1 1500".into())).await;

        // Somebody's network manager lays hands on it: an IPv6 address goes with the link's state.
        run("ip link set vsw0 down");
        until("the link is up again", || run("ip link show vsw0").contains(",UP")).await;
        until("its address is back", || run("ip address show dev vsw0").contains("fd76:7377:3000::1/64")).await;
        run("ip address flush dev vsw0");
        until("both are back", || {
            let shown = run("ip address show dev vsw0");
            shown.contains("169.254.86.1/24") && shown.contains("fd76:7377:3000::1/64")
        })
        .await;

        run("ip link delete eth1");
        until("the NIC is gone", || host.nics() == ["eth0 up"]).await;
        assert_eq!(host.routes(), ["::/0 2001:db8::1 1500", "192.0.2.0/24 192.0.2.1 1500"]);
        assert!(host.has_event("uplink_left"));
        host.stop();
        until("the link goes with the data thread", || !run("ip link show").contains("vsw0")).await;
    });
}

#[test]
fn nics_have_ports_in_the_xdp_form() {
    in_namespace("nics_have_ports_in_the_xdp_form", async || {
        port::xdp::set_memory(8 << 20);
        nic("eth0", "192.0.2.1/24");
        nic("eth1", "198.51.100.1/24");
        let other = Xdp::open("eth1", &XdpOptions::default()).unwrap();
        let mut host = Host::start_with("auto", Form::Xdp).await;
        assert_eq!(host.nics(), ["eth0 up", "eth1 up"], "ports are not waited for");
        let (uplink, handle) = (host.uplink.clone(), host.handle.clone());
        let port = |ifname: &str| {
            let nic = uplink.status().nics.into_iter().find(|nic| nic.ifname == ifname);
            nic.map_or_else(
                || "none".into(),
                |nic| match (nic.xdp, nic.no_xdp) {
                    (Some(xdp), None) => xdp.to_string(),
                    (None, why) => why.unwrap_or_default(),
                    both => panic!("{both:?}"),
                },
            )
        };
        until("a port", || port("eth0") == "native, copy").await;
        until("a refusal", || port("eth1").contains("another XDP program is attached")).await;
        assert!(host.has_event("uplink_xdp") && host.has_event("uplink_no_xdp"));
        assert!(run("ip -details link show eth0").contains("prog/xdp"));
        drop(other);

        // It goes without a word, and comes again.
        run("ip link delete eth0");
        until("the NIC is gone", || port("eth0") == "none").await;
        nic("eth0", "192.0.2.1/24");
        until("a port again", || port("eth0") == "native, copy").await;
        // One that leads nowhere for a moment keeps it.
        let program = || {
            let shown = run("ip -details link show eth0");
            let mut words = shown.split("prog/xdp id ").nth(1)?.split_whitespace();
            words.next().map(|id| id.parse::<u32>().unwrap())
        };
        let before = program();
        run("ip address flush dev eth0");
        until("the NIC is none", || port("eth0") == "none").await;
        assert!(before.is_some() && program() == before);
        run("ip address add 192.0.2.1/24 dev eth0");
        until("the port is back", || port("eth0") == "native, copy").await;
        assert_eq!(program(), before);
        host.stop();
        until("nothing is left", || !run("ip -details link show eth0").contains("prog/xdp")).await;
        drop(handle);
    });
}

#[test]
fn the_host_reaches_networks_but_for_its_own_routes() {
    in_namespace("the_host_reaches_networks_but_for_its_own_routes", async || {
        nic("eth0", "10.1.0.1/16");
        let mut host = Host::start("auto").await;
        let subnets = |list: &[&str]| list.iter().map(|subnet| subnet.parse().unwrap()).collect::<Vec<_>>();
        host.uplink.reach("RED", subnets(&["172.18.0.0/16", "fd00:1::/64"]), 1400).await;
        let routes = run("ip route show dev vsw0");
        assert!(routes.contains("172.18.0.0/16 proto static scope link mtu 1400"), "{routes}");
        assert!(run("ip -6 route show dev vsw0").contains("fd00:1::/64"));
        host.uplink.reach("BLUE", subnets(&["10.1.9.0/24"]), 1500).await;
        assert!(!run("ip route show dev vsw0").contains("10.1.9.0/24"));
        assert_eq!(host.uplink.status().unreached[0].route.to_string(), "10.1.0.0/16");
        assert!(host.has_event("not_routed"));

        run("ip address flush dev eth0");
        until("the way is free", || run("ip route show dev vsw0").contains("10.1.9.0/24")).await;
        // Somebody tidies up.
        run("ip route delete 172.18.0.0/16");
        until("the route is back", || run("ip route show dev vsw0").contains("172.18.0.0/16")).await;
        host.uplink.reach("RED", Vec::new(), 0).await;
        assert!(!run("ip route show dev vsw0").contains("172.18.0.0/16"));
        assert!(!run("ip -6 route show dev vsw0").contains("fd00:1::/64"));
        host.stop();
    });
}

#[test]
fn a_foreign_link_of_that_name_is_spared() {
    in_namespace("a_foreign_link_of_that_name_is_spared", async || {
        run("ip link add vsw0 type veth peer name other");
        let host = Host::start("auto").await;
        let status = host.uplink.status();
        assert_eq!((status.state.as_str(), status.link), ("off", None));
        assert!(status.problem.unwrap().contains("--host-link"));
        host.stop();
        assert!(run("ip -details link show vsw0").contains("veth"));
    });
}

#[test]
fn nothing_is_made_where_nothing_is_wanted() {
    in_namespace("nothing_is_made_where_nothing_is_wanted", async || {
        nic("eth0", "192.0.2.1/24");
        let host = Host::start("none").await;
        assert!(!run("ip link show").contains("vsw0"));
        let status = host.uplink.status();
        assert_eq!((status.state.as_str(), status.problem, status.nics.len()), ("off", None, 0));
        host.uplink.reach("RED", vec!["172.18.0.0/16".parse().unwrap()], 1500).await;
        host.stop();
    });
}

#[test]
fn named_interfaces_are_taken_when_they_come() {
    in_namespace("named_interfaces_are_taken_when_they_come", async || {
        nic("eth0", "192.0.2.1/24");
        let host = Host::start("eth7").await;
        assert_eq!((host.nics(), host.routes().len()), (vec!["eth7 missing".to_owned()], 0));
        nic("eth7", "198.51.100.1/24");
        until("the named one", || host.nics() == ["eth7 up"]).await;
        until("its route", || host.routes() == ["198.51.100.0/24 198.51.100.1 1500"]).await;
        run("ip link delete vsw0");
        host.uplink.lost();
        let status = host.uplink.status();
        assert_eq!((status.state.as_str(), status.link, status.nics.len()), ("off", None, 0));
        assert!(status.problem.unwrap().contains("restart"));
        host.stop();
    });
}
