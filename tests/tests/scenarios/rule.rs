//! Rules in words, and the policy of a network, on real daemons [F2, N3].

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::traffic::ping;
use tests::traffic::service::{self, Asker, Service, Talk};
use tests::vswitchd::Vswitchd;
use tests::{Cluster, Edge, Outside, Place, Station, scenario, wait};

fn services(place: &impl Place, ports: &[u16]) -> Result<Vec<Service>> {
    let any: IpAddr = "::".parse()?;
    ports.iter().map(|port| Service::tcp(place, SocketAddr::new(any, *port))).collect()
}

fn add(daemon: &Vswitchd, words: &str) -> Result<Value> {
    daemon.json(&[&["rule", "add"], &words.split(' ').collect::<Vec<_>>()[..]].concat())
}

fn both(station: &Station) -> Result<[IpAddr; 2]> {
    Ok([station.address4()?, station.address6()?])
}

/// Whether TCP gets through to a station, the same in both families.
fn opens(from: &impl Place, to: &Station, port: u16) -> Result<()> {
    both(to)?.into_iter().try_for_each(|ip| Talk::open(from, SocketAddr::new(ip, port))?.exchange(1000))
}

fn silent(from: &impl Place, to: &Station, port: u16) -> Result<()> {
    both(to)?.into_iter().try_for_each(|ip| service::silent(from, SocketAddr::new(ip, port)))
}

fn refused(from: &impl Place, to: &Station, port: u16) -> Result<()> {
    both(to)?.into_iter().try_for_each(|ip| service::refused(from, SocketAddr::new(ip, port)))
}

/// The list of rules in words and what stands behind it.
fn listed(daemon: &Vswitchd, network: &str) -> Result<Vec<(Option<u64>, String)>> {
    let rows = daemon.rows(&["rule", "ls", "--network", network])?;
    let row = |row: &Value| Ok((row["position"].as_u64(), row["rule"].as_str().context("no rule")?.to_owned()));
    rows.iter().map(row).collect()
}

#[test]
fn rules_follow_whom_they_name() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let daemon = &edge.daemon;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let db = edge.attach("GREEN", "db", &["--alias", "store", "--label", "tier=data"])?;
        let _services = (services(&db, &[80, 81])?, services(&b, &[80])?);
        let early = add(daemon, "--network GREEN --from b --to soon deny")?;
        ensure!(early["unknown"] == serde_json::json!(["soon"]), "{early}");
        add(daemon, "--network GREEN --to db --proto tcp --dport 80 allow")?;
        add(daemon, "--network GREEN --from a --to store --proto tcp reject")?;
        add(daemon, "--network GREEN --from b --to label=tier=data deny")?;
        let check = |db: &Station| -> Result<()> {
            opens(&a, db, 80)?;
            opens(&b, db, 80)?;
            refused(&a, db, 81)?;
            silent(&b, db, 81)?;
            // Who may not be reached can still reach.
            opens(db, &b, 80)
        };
        check(&db)?;
        let before = both(&db)?;
        daemon.vsctl(&["del-port", "db"])?;
        let flags = ["--ip", "10.30.0.77", "--ip6", "fd30::77", "--alias", "store", "--label", "tier=data"];
        let again = daemon.add_port("GREEN", "db", db.sandbox.pid(), &flags)?;
        let db = Station { row: again, ..db };
        ensure!(both(&db)? == ["10.30.0.77".parse::<IpAddr>()?, "fd30::77".parse::<IpAddr>()?] && both(&db)? != before);
        check(&db)?;
        // The rule for somebody who was not there yet, nor had an address.
        let soon = edge.attach("GREEN", "soon", &[])?;
        let _services = services(&soon, &[80])?;
        silent(&b, &soon, 80)?;
        opens(&a, &soon, 80)?;
        // One label, many containers.
        let other = edge.attach("GREEN", "other", &["--label", "tier=data"])?;
        let _services = services(&other, &[80])?;
        silent(&b, &other, 80)?;
        opens(&a, &other, 80)?;
        let pid = b.sandbox.pid().to_string();
        let refusal = |name: &str, label: &str| {
            daemon.vsctl_refused(&["add-port", "GREEN", name, "--pid", &pid, "--label", label])
        };
        ensure!(refusal("x", "a b=c")?.contains("label"));
        ensure!(refusal("uplink", "a=b c")?.contains("another name"), "rules call another place so");
        // A restart forgets neither names nor what was counted.
        let before = edge.daemon.json(&["rule", "ls", "--network", "GREEN"])?;
        ensure!(before.as_array().is_some_and(|rows| rows.iter().all(|row| row["packets"] != 0)), "{before}");
        edge.daemon.stop()?;
        edge.daemon.resume()?;
        let after = edge.daemon.json(&["rule", "ls", "--network", "GREEN"])?;
        ensure!(before == after, "before: {before}\nafter: {after}");
        Ok(())
    });
}

#[test]
fn the_list_is_changed_and_both_forms_show_each_others_rules() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let daemon = &edge.daemon;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let _services = services(&b, &[80, 81])?;
        add(daemon, "--network GREEN --from a --to b --proto tcp reject")?;
        add(daemon, "--network GREEN --from 10.30.0.0/24 --proto tcp --dport 80-81 allow")?;
        refused(&a, &b, 80)?;
        // The first that fits decides; the second is about one family only.
        daemon.vsctl(&["rule", "move", "2", "1", "--network", "GREEN"])?;
        Talk::open(&a, SocketAddr::new(b.address4()?, 80))?.exchange(1000)?;
        service::refused(&a, SocketAddr::new(b.address6()?, 80))?;
        let more = daemon.host().dir().join("more").display().to_string();
        fs::write(&more, "*filter\n-A FORWARD -p udp -m udp --dport 53 -j DROP\nCOMMIT\n")?;
        daemon.vsctl(&["filter", "load", &more, "--network", "GREEN", "--noflush"])?;
        let list = listed(daemon, "GREEN")?;
        let expected = [
            (Some(1), "from 10.30.0.0/24 to any proto tcp dport 80-81 allow"),
            (Some(2), "from a to b proto tcp reject"),
            (None, "-A FORWARD -p udp -m udp --dport 53 -j DROP"),
        ];
        ensure!(list == expected.map(|(at, rule)| (at, rule.to_owned())), "{list:?}");
        let saved = daemon.vsctl(&["filter", "save", "--network", "GREEN"])?;
        ensure!(saved.contains("-A FORWARD -j VSWITCH-RULES\n-A FORWARD -p udp"), "{saved}");
        let comment = "--comment \"vsctl: from a to b proto tcp reject\" -j REJECT --reject-with tcp-reset";
        ensure!(
            saved.lines().any(|line| line.starts_with("-A VSWITCH-RULES -s") && line.ends_with(comment)),
            "{saved}"
        );
        // The saved text is the whole: loaded elsewhere and back, the list is the same.
        for (flags, name) in [(&[][..], "v4"), (&["-6"], "v6")] {
            let file = daemon.host().dir().join(name).display().to_string();
            fs::write(&file, daemon.vsctl(&[&["filter", "save", "--network", "GREEN"], flags].concat())? + "\n")?;
            daemon.vsctl(&[&["filter", "flush", "--network", "GREEN"], flags].concat())?;
            daemon.vsctl(&[&["filter", "load", &file, "--network", "GREEN"], flags].concat())?;
        }
        ensure!(listed(daemon, "GREEN")? == list);
        service::refused(&a, SocketAddr::new(b.address6()?, 80))?;
        let traced = daemon.vsctl(&["filter", "trace", "--network", "GREEN", "-6", "--in", "a", "--out", "b"])?;
        ensure!(traced.contains("from a to b proto tcp reject") && traced.ends_with("verdict: reject"), "{traced}");
        daemon.vsctl(&["rule", "rm", "2", "--network", "GREEN"])?;
        opens(&a, &b, 80)?;
        let rows = daemon.rows(&["rule", "ls", "--network", "GREEN"])?;
        ensure!(rows.len() == 2 && rows[0]["packets"].as_u64() > Some(5), "{rows:?}");
        ensure!(daemon.vsctl_refused(&["rule", "rm", "7", "--network", "GREEN"])?.contains("rule ls"));
        let said = daemon.vsctl_refused(&["rule", "add", "--from", "10.0.0.1", "--to", "fd00::1", "deny"])?;
        ensure!(said.contains("two families"), "{said}");
        Ok(())
    });
}

#[test]
fn outside_and_host_are_whom_rules_may_name() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let daemon = &edge.daemon;
        let a = edge.attach("GREEN", "a", &["-p", "8080:80", "-p", "8081:81"])?;
        let _services = (services(&a, &[80, 81])?, services(edge.host(), &[9000])?, services(&edge.outside, &[9000])?);
        let outer = [edge.host().outer4(), edge.host().outer6()];
        add(daemon, "--from outside --to a --proto tcp --dport 80 allow")?;
        add(daemon, "--from outside --to a deny")?;
        add(daemon, "--from host --to a --proto tcp --dport 81 reject")?;
        add(daemon, "--from a --to host --proto tcp reject")?;
        for (outer, far) in outer.into_iter().zip([Outside::FAR4, Outside::FAR6]) {
            Talk::open(&edge.outside, SocketAddr::new(outer, 8080))?.exchange(1000)?;
            service::silent(&edge.outside, SocketAddr::new(outer, 8081))?;
            service::refused(&a, SocketAddr::new(outer, 9000))?;
            Talk::open(&a, SocketAddr::new(far, 9000))?.exchange(1000)?;
        }
        opens(edge.host(), &a, 80)?;
        refused(edge.host(), &a, 81)
    });
}

#[test]
fn names_of_other_hosts_are_known_and_followed() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        let (a, b) = (cluster.attach(0, "RED", "a", &[])?, cluster.attach(1, "RED", "b", &["--label", "far"])?);
        let _services = services(&b, &[80, 81])?;
        opens(&a, &b, 80)?;
        add(&cluster.daemons[0], "--network RED --from a --to b --proto tcp --dport 80 reject")?;
        add(&cluster.daemons[0], "--network RED --from a --to label=far --proto tcp --dport 81 reject")?;
        refused(&a, &b, 80)?;
        refused(&a, &b, 81)?;
        cluster.daemons[1].vsctl(&["del-port", "b"])?;
        let flags = ["--ip", "10.10.10.99", "--ip6", "fd10:10::99", "--label", "far"];
        let row = cluster.daemons[1].add_port("RED", "b", b.sandbox.pid(), &flags)?;
        let b = Station { row, ..b };
        wait::until(Duration::from_secs(2), "the rules to follow", || {
            refused(&a, &b, 80)?;
            refused(&a, &b, 81)
        })
        .map(drop)
    });
}

#[test]
fn a_network_that_denies_lets_through_what_rules_allow() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let create =
            ["network", "create", "--policy", "deny", "--subnet", "10.33.0.0/24", "--subnet", "fd33::/64", "SHUT"];
        edge.daemon.vsctl(&create)?;
        let (a, b) = (edge.attach("SHUT", "a", &["-p", "8080:80"])?, edge.attach("SHUT", "b", &[])?);
        let _services = (services(&a, &[80])?, services(&b, &[80, 81])?, services(&edge.outside, &[9000])?);
        let shut = |edge: &Edge| -> Result<()> {
            for to in both(&b)? {
                service::silent(&a, SocketAddr::new(to, 81))?;
                ping::unanswered(&a, to)?;
            }
            for (outer, far) in [(edge.host().outer4(), Outside::FAR4), (edge.host().outer6(), Outside::FAR6)] {
                Talk::open(&a, SocketAddr::new(far, 9000))?.exchange(1000)?;
                Talk::open(&edge.outside, SocketAddr::new(outer, 8080))?.exchange(1000)?;
            }
            opens(edge.host(), &b, 81)
        };
        shut(&edge)?;
        silent(&a, &b, 80)?;
        let inspected = edge.daemon.vsctl(&["network", "inspect", "SHUT"])?;
        ensure!(inspected.contains("\"com.docker.network.bridge.enable_icc\": \"false\""), "{inspected}");
        let rows = edge.daemon.rows(&["network", "ls"])?;
        ensure!(rows.iter().all(|row| (row["policy"] == "deny") == (row["name"] == "SHUT")), "{rows:?}");
        let traced = edge.daemon.vsctl(&["filter", "trace", "--network", "SHUT", "--in", "a", "--out", "b"])?;
        ensure!(traced.contains("-A VSWITCH-POLICY -j DROP") && traced.ends_with("verdict: drop"), "{traced}");
        let rows = edge.daemon.rows(&["rule", "ls", "--network", "SHUT"])?;
        ensure!(
            rows.len() == 1 && rows[0]["rule"] == "policy: deny" && rows[0]["packets"].as_u64() > Some(9),
            "{rows:?}"
        );
        // What a rule allows passes, and what answers it.
        add(&edge.daemon, "--network SHUT --from a --to b --proto tcp --dport 80 allow")?;
        opens(&a, &b, 80)?;
        shut(&edge)?;
        silent(&b, &a, 80)?;
        // Rules come and go, the policy stays; it is none of the texts.
        let saved = edge.daemon.vsctl(&["filter", "save", "-c", "--network", "SHUT"])?;
        ensure!(!saved.contains("VSWITCH-POLICY") && saved.contains("vsctl: from a to b"), "{saved}");
        ensure!(!saved.contains("[0:0] -A VSWITCH-RULES"), "its counters are its own: {saved}");
        for flags in [&[][..], &["-6"]] {
            edge.daemon.vsctl(&[&["filter", "flush", "--network", "SHUT"], flags].concat())?;
        }
        silent(&a, &b, 80)?;
        edge.daemon.kill9()?;
        edge.daemon.resume()?;
        wait::until(Duration::from_secs(5), "the way outside", || {
            let at = SocketAddr::new(Outside::FAR4, 9000);
            Talk::open(&a, at)?.exchange(10)
        })?;
        shut(&edge)
    });
}

#[test]
fn an_overlay_network_that_denies_does_so_on_every_host() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let icc = "com.docker.network.bridge.enable_icc=false";
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64", "-o", icc])?;
        let (a, b) = (cluster.attach(0, "RED", "a", &[])?, cluster.attach(1, "RED", "b", &[])?);
        let _services = (services(&a, &[80])?, services(&b, &[80])?);
        let any: IpAddr = "::".parse()?;
        let _udp = Service::udp(&b, SocketAddr::new(any, 53))?;
        silent(&a, &b, 80)?;
        silent(&b, &a, 80)?;
        // Each host is asked.
        add(&cluster.daemons[0], "--network RED --from a --to b allow")?;
        silent(&a, &b, 80)?;
        add(&cluster.daemons[1], "--network RED --from a --to b allow")?;
        opens(&a, &b, 80)?;
        for to in both(&b)? {
            Asker::open(&a, None, SocketAddr::new(to, 53))?.ask()?;
        }
        silent(&b, &a, 80)
    });
}
