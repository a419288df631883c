//! Rules as iptables-save writes them, on real daemons [F2].

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::traffic::ping;
use tests::traffic::service::{self, Asker, Service, Talk};
use tests::traffic::stream::Stream;
use tests::vswitchd::Vswitchd;
use tests::{Cluster, Edge, Outside, Place, Station, scenario, wait};

/// Both families' flags for `vsctl filter`.
const FAMILIES: [&[&str]; 2] = [&[], &["-6"]];

/// Writes a text down for `vsctl filter load`.
fn written(daemon: &Vswitchd, text: &str) -> Result<String> {
    let path = daemon.host().dir().join("rules").display().to_string();
    fs::write(&path, text)?;
    Ok(path)
}

fn load(daemon: &Vswitchd, flags: &[&str], text: &str) -> Result<()> {
    let file = written(daemon, text)?;
    daemon.vsctl(&[&["filter", "load", &file], flags].concat()).map(drop)
}

/// Rules of the table filter, with the built-in chains accepting.
fn load_filter(daemon: &Vswitchd, flags: &[&str], rules: &str) -> Result<()> {
    load(
        daemon,
        flags,
        &format!("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"),
    )
}

fn flush(daemon: &Vswitchd, flags: &[&str]) -> Result<()> {
    daemon.vsctl(&[&["filter", "flush"], flags].concat()).map(drop)
}

/// Packets that the only saved rule with these words has matched.
fn packets(daemon: &Vswitchd, flags: &[&str], words: &str) -> Result<u64> {
    let text = daemon.vsctl(&[&["filter", "save", "-c"], flags].concat())?;
    let line = text.lines().find(|line| line.ends_with(words)).with_context(|| format!("no {words} in {text}"))?;
    let count = line.trim_start_matches('[').split(':').next().context("no counter")?;
    Ok(count.parse()?)
}

fn both(station: &Station) -> Result<[IpAddr; 2]> {
    Ok([station.address4()?, station.address6()?])
}

/// TCP at these ports of both families, and UDP at the first.
fn services(station: &impl Place, ports: &[u16]) -> Result<Vec<Service>> {
    let any = |port: u16| SocketAddr::new("::".parse::<IpAddr>().unwrap_or(Outside::FAR6), port);
    let mut all = vec![Service::udp(station, any(ports[0]))?];
    for port in ports {
        all.push(Service::tcp(station, any(*port))?);
    }
    Ok(all)
}

#[test]
fn rules_decide_between_containers_and_to_the_outside() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let (_inside, _far) = (services(&b, &[80, 81, 82])?, services(&edge.outside, &[8080, 8081])?);
        let icmp = ["icmp -m icmp --icmp-type echo-request", "ipv6-icmp -m icmp6 --icmpv6-type echo-request"];
        for (flags, icmp) in FAMILIES.into_iter().zip(icmp) {
            let rules = format!(
                "-A INPUT -p {icmp} -j DROP\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                 -A FORWARD -o b -p tcp -m tcp --dport 81 -j DROP\n\
                 -A FORWARD -i a -o b -p tcp -m tcp --dport 82 -j REJECT --reject-with tcp-reset\n\
                 -A FORWARD -o b -p udp -m udp --dport 80 -j REJECT\n\
                 -A FORWARD -i a -o uplink -p tcp -m tcp --dport 8080 -j DROP"
            );
            load_filter(&edge.daemon, flags, &rules)?;
        }
        let gateways: [IpAddr; 2] = ["10.30.0.1".parse()?, "fd30::1".parse()?];
        let before = edge.daemon.drops("denied")?;
        for ((own, far), gateway) in both(&b)?.into_iter().zip([Outside::FAR4, Outside::FAR6]).zip(gateways) {
            ping::all_answered(&a, own, 3)?;
            ping::unanswered(&a, gateway)?;
            Talk::open(&a, SocketAddr::new(own, 80))?.exchange(100_000)?;
            service::silent(&a, SocketAddr::new(own, 81))?;
            service::refused(&a, SocketAddr::new(own, 82))?;
            let told =
                format!("{:#}", Asker::open(&a, None, SocketAddr::new(own, 80))?.ask().err().context("answered")?);
            ensure!(told.contains("Connection refused"), "{told}");
            service::silent(&a, SocketAddr::new(far, 8080))?;
            Talk::open(&a, SocketAddr::new(far, 8081))?.exchange(10_000)?;
            // Rules name ports: another container may.
            Talk::open(&b, SocketAddr::new(far, 8080))?.exchange(10_000)?;
            Talk::open(edge.host(), SocketAddr::new(own, 82))?.exchange(10_000)?;
        }
        ensure!(edge.daemon.drops("denied")? >= before + 8, "what is denied is counted");
        for flags in FAMILIES {
            ensure!(packets(&edge.daemon, flags, "--dport 81 -j DROP")? >= 1);
            ensure!(packets(&edge.daemon, flags, "RELATED,ESTABLISHED -j ACCEPT")? > 20);
            ensure!(packets(&edge.daemon, flags, "--dport 8080 -j DROP")? >= 1);
            // What is saved loads again, counters and all, and a loaded text is saved as it was.
            let saved = edge.daemon.vsctl(&[&["filter", "save", "-c"], flags].concat())? + "\n";
            load(&edge.daemon, &[flags, &["-c"]].concat(), &saved)?;
            ensure!(packets(&edge.daemon, flags, "--dport 81 -j DROP")? >= 1, "counters are restored");
        }
        let rows = edge.daemon.rows(&["filter", "ls"])?;
        ensure!(rows.len() == 2 && rows.iter().all(|row| row["rules"] == 6 && row["active"] == true), "{rows:?}");
        // Which rule it was, without sending anything.
        let (of, to) = (["filter", "trace", "--in", "a", "--out", "b", "--dport"], ["81", "82", "80"]);
        for (port, verdict) in to.into_iter().zip(["drop", "reject", "accept"]) {
            for flags in FAMILIES {
                let said = edge.daemon.vsctl(&[&of[..], &[port], flags].concat())?;
                ensure!(said.ends_with(&format!("verdict: {verdict}")), "{said}");
                let named = said.contains(&format!("--dport {port} -j"));
                ensure!(named == (port != "80"), "the rule is named: {said}");
            }
        }
        Ok(())
    });
}

#[test]
fn established_flows_are_judged_anew_at_once() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let _service = services(&b, &[80])?;
        let established = "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
        for (flags, at) in FAMILIES.into_iter().zip(both(&b)?) {
            load_filter(&edge.daemon, flags, established)?;
            let stream = Stream::start(&a, &b, at, 1000)?;
            let mut talk = Talk::open(&a, SocketAddr::new(at, 80))?;
            talk.exchange(500_000)?;
            thread::sleep(Duration::from_millis(200));
            // In front of the rule for what is established: nothing that was remembered helps.
            load_filter(&edge.daemon, flags, &format!("-A FORWARD -o b -p udp -j DROP\n{established}"))?;
            thread::sleep(Duration::from_millis(200));
            flush(&edge.daemon, flags)?;
            thread::sleep(Duration::from_millis(200));
            let report = stream.stop()?;
            ensure!(report.gaps.len() == 1 && report.longest_gap() >= 150, "one hole and nothing else: {report:?}");
            // TCP went on meanwhile; refused, it ends.
            talk.exchange(500_000)?;
            load_filter(&edge.daemon, flags, "-A FORWARD -i a -p tcp -j REJECT --reject-with tcp-reset")?;
            talk.say()?;
            wait::until(Duration::from_secs(2), "the connection to be reset", || {
                ensure!(talk.is_ended(), "it goes on");
                Ok(())
            })?;
            flush(&edge.daemon, flags)?;
            Talk::open(&a, SocketAddr::new(at, 80))?.exchange(1000)?;
        }
        Ok(())
    });
}

#[test]
fn a_networks_rules_come_after_those_for_all_and_are_no_other_networks() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&["network", "create", "--subnet", "10.31.0.0/24", "--subnet", "fd31::/64", "BLUE"])?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let (c, d) = (edge.attach("BLUE", "c", &[])?, edge.attach("BLUE", "d", &[])?);
        let _services = (services(&b, &[80, 81, 82])?, services(&d, &[80, 81, 82])?);
        for flags in FAMILIES {
            load_filter(
                &edge.daemon,
                flags,
                "-A FORWARD -p tcp --dport 80 -j REJECT --reject-with tcp-reset\n-A FORWARD -p tcp --dport 81 -j ACCEPT",
            )?;
            load_filter(
                &edge.daemon,
                &[flags, &["--network", "GREEN"]].concat(),
                "-A FORWARD -p tcp --dport 80 -j ACCEPT\n-A FORWARD -p tcp --dport 81 -j REJECT --reject-with tcp-reset",
            )?;
        }
        for (to_b, to_d) in both(&b)?.into_iter().zip(both(&d)?) {
            for (from, to, open) in [(&a, to_b, [false, false, true]), (&c, to_d, [false, true, true])] {
                for (port, open) in [80, 81, 82].into_iter().zip(open) {
                    let to = SocketAddr::new(to, port);
                    match open {
                        true => Talk::open(from, to)?.exchange(1000)?,
                        false => service::refused(from, to)?,
                    }
                }
            }
        }
        // A network's rules wait while it is not in use here.
        edge.daemon.vsctl(&["del-port", "a"])?;
        edge.daemon.vsctl(&["del-port", "b"])?;
        let states = |network: Option<&str>| -> Result<Vec<bool>> {
            let rows = edge.daemon.rows(&["filter", "ls"])?;
            Ok(rows.iter().filter(|row| row["network"].as_str() == network).map(|row| row["active"] == true).collect())
        };
        ensure!(states(None)? == [true, true] && states(Some("GREEN"))? == [false, false]);
        edge.daemon.vsctl(&["network", "rm", "GREEN"])?;
        ensure!(states(Some("GREEN"))?.is_empty(), "they end with the network");
        Ok(())
    });
}

#[test]
fn a_text_with_a_mistake_is_refused_by_line_and_word_and_changes_nothing() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let _service = services(&b, &[80, 81])?;
        load_filter(&edge.daemon, &[], "-A FORWARD -p tcp -m tcp --dport 81 -j REJECT --reject-with tcp-reset")?;
        let loaded = edge.daemon.vsctl(&["filter", "save"])?;
        let long = format!("-A FORWARD -m comment --comment {} -j DROP", "x".repeat(1 << 20));
        let mut many = String::new();
        for number in 0..1_000_000u32 {
            let [_, a, b, c] = number.to_be_bytes();
            writeln!(many, "-A FORWARD -s 10.{a}.{b}.{c}/32 -j DROP")?;
        }
        let cases = [
            ("-A FORWARD -p tcp -j DROP\n-A FORWARD -m wizardry -j DROP", "line 3", "wizardry"),
            ("-A FORWARD -j WIZARD", "line 2", "WIZARD"),
            ("-A FORWARD -s 10.0.0.300 -j DROP", "line 2", "10.0.0.300"),
            ("-A FORWARD -m comment --comment \"half -j DROP", "line 2", "quot"),
            (":x - [0:0]\n:y - [0:0]\n-A x -j y\n-A y -j x", "line ", "loop"),
            (&long, "line 2", "longer than"),
            (&many, "line 500002", "more than"),
        ];
        for (rules, line, word) in cases {
            let file = written(&edge.daemon, &format!("*filter\n{rules}\nCOMMIT\n"))?;
            for flags in [&[][..], &["--noflush"], &["--test"]] {
                // A million lines once are enough.
                if rules.len() > 10 << 20 && !flags.is_empty() {
                    continue;
                }
                let said = edge.daemon.vsctl_refused(&[&["filter", "load", &file], flags].concat())?;
                ensure!(said.contains(line) && said.contains(word) && said.len() < 1000, "{said}");
            }
            ensure!(edge.daemon.vsctl(&["filter", "save"])? == loaded, "the rules have changed");
        }
        ensure!(edge.daemon.vsctl_refused(&["filter", "load", "/nonexistent"])?.contains("/nonexistent"));
        let at = b.address4()?;
        Talk::open(&a, SocketAddr::new(at, 80))?.exchange(1000)?;
        service::refused(&a, SocketAddr::new(at, 81))
    });
}

#[test]
fn rules_are_in_force_before_the_first_packet_after_a_kill_and_keep_their_counters() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let (a, b, c) =
            (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?, edge.attach("GREEN", "c", &[])?);
        for flags in FAMILIES {
            load_filter(&edge.daemon, flags, "-A FORWARD -o b -p udp -j DROP\n-A FORWARD -o c -p udp -j ACCEPT")?;
        }
        let denied = [Stream::start(&a, &b, b.address4()?, 500)?, Stream::start(&a, &b, b.address6()?, 500)?];
        let allowed = [Stream::start(&a, &c, c.address4()?, 500)?, Stream::start(&a, &c, c.address6()?, 500)?];
        thread::sleep(Duration::from_millis(300));
        edge.daemon.kill9()?;
        edge.daemon.resume()?;
        let [global4, global6] = FAMILIES;
        wait::until(Duration::from_secs(10), "both families' packets to meet rules again", || {
            for flags in [global4, global6] {
                for rule in ["-o b -p udp -j DROP", "-o c -p udp -j ACCEPT"] {
                    ensure!(packets(&edge.daemon, flags, rule)? > 100, "{rule} {flags:?}");
                }
            }
            Ok(())
        })?;
        for stream in denied {
            let report = stream.stop()?;
            ensure!(report.received == 0, "{} of {} came through", report.received, report.sent);
        }
        for stream in allowed {
            let report = stream.stop()?;
            ensure!(report.received > 200, "{report:?}");
        }
        // A restart in order keeps what was counted.
        let before = [packets(&edge.daemon, global4, "-j DROP")?, packets(&edge.daemon, global6, "-j ACCEPT")?];
        edge.daemon.stop()?;
        edge.daemon.resume()?;
        let after = [packets(&edge.daemon, global4, "-j DROP")?, packets(&edge.daemon, global6, "-j ACCEPT")?];
        ensure!(before == after && before[0] > 100, "{before:?} {after:?}");
        Ok(())
    });
}

#[test]
fn hosts_of_an_overlay_network_have_their_own_rules() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        let (a, b) = (cluster.attach(0, "RED", "a", &[])?, cluster.attach(1, "RED", "b", &[])?);
        let _services = (services(&a, &[80, 81])?, services(&b, &[80, 81])?);
        for flags in FAMILIES {
            let of_red = [flags, &["--network", "RED"]].concat();
            load_filter(&cluster.daemons[0], &of_red, "-A FORWARD -i a -o tunnel -p udp -j REJECT")?;
            load_filter(&cluster.daemons[1], flags, "-A FORWARD -i tunnel -o b -p tcp --dport 81 -j DROP")?;
        }
        for (to_a, to_b) in both(&a)?.into_iter().zip(both(&b)?) {
            Talk::open(&a, SocketAddr::new(to_b, 80))?.exchange(100_000)?;
            service::silent(&a, SocketAddr::new(to_b, 81))?;
            let told = Asker::open(&a, None, SocketAddr::new(to_b, 80))?.ask().err().context("answered")?;
            ensure!(format!("{told:#}").contains("Connection refused"), "{told:#}");
            Talk::open(&b, SocketAddr::new(to_a, 81))?.exchange(100_000)?;
            ping::all_answered(&b, to_a, 3)?;
        }
        let rows = cluster.daemons[1].rows(&["filter", "ls"])?;
        ensure!(
            rows.len() == 2 && rows.iter().all(|row| row["network"].is_null()),
            "rules of h1 are not h2's: {rows:?}"
        );
        Ok(())
    });
}

/// The texts of the document's recipes, in its order.
fn recipes() -> Vec<&'static str> {
    let document = include_str!("../../../docs/filtering.md");
    let (_, recipes) = document.split_once("## Recipes\n").unwrap_or_default();
    let (recipes, _) = recipes.split_once("\n## ").unwrap_or((recipes, ""));
    recipes.split("```").skip(1).step_by(2).collect()
}

#[test]
fn the_recipes_of_the_document_do_what_they_say() {
    scenario(|lab| {
        let [web_only, web_to_db, resolver, few_at_once] = recipes()[..] else {
            bail!("other recipes: {:?}", recipes())
        };
        let edge = Edge::start(lab)?;
        let of = ["--network", "GREEN"];
        let web = edge.attach("GREEN", "web", &["-p", "8080:80", "-p", "8081:81"])?;
        let (db, other) = (edge.attach("GREEN", "db", &[])?, edge.attach("GREEN", "other", &[])?);
        let _services = (services(&web, &[80, 81])?, services(&db, &[5432, 81])?, services(&edge.outside, &[9000])?);
        let outer = |port| SocketAddr::new(edge.host().outer4(), port);
        load(&edge.daemon, &of, web_only)?;
        Talk::open(&edge.outside, outer(8080))?.exchange(1000)?;
        service::silent(&edge.outside, outer(8081))?;
        Talk::open(&web, SocketAddr::new(Outside::FAR4, 9000))?.exchange(1000)?;
        Talk::open(&other, SocketAddr::new(web.address4()?, 81))?.exchange(1000)?;

        load(&edge.daemon, &of, web_to_db)?;
        let at = |port| -> Result<SocketAddr> { Ok(SocketAddr::new(db.address4()?, port)) };
        Talk::open(&web, at(5432)?)?.exchange(1000)?;
        service::refused(&web, at(81)?)?;
        service::refused(&other, at(5432)?)?;
        Talk::open(&db, SocketAddr::new(web.address4()?, 81))?.exchange(1000)?;

        flush(&edge.daemon, &of)?;
        let dns = edge.attach("GREEN", "dns", &["--ip", "10.30.0.53"])?;
        let old = edge.attach("GREEN", "old", &["--ip", "10.30.0.20"])?;
        let _services = (services(&dns, &[53])?, services(&old, &[5432])?);
        load(&edge.daemon, &of, resolver)?;
        for asked in ["8.8.8.8:53", "10.30.0.1:53", "10.30.0.53:53"] {
            let seen = service::who(&other, asked.parse()?)?;
            ensure!(seen.ip().to_string() == "10.30.0.1", "seen as {seen} when asking {asked}");
        }
        Talk::open(&other, "192.0.2.80:5432".parse()?)?.exchange(1000)?;

        flush(&edge.daemon, &of)?;
        load_filter(&edge.daemon, &[], few_at_once.trim())?;
        let mut talks = Vec::new();
        for _ in 0..60 {
            match edge.outside.enter(|| Ok(TcpStream::connect_timeout(&outer(8081), Duration::from_millis(200))))? {
                Ok(talk) => talks.push(talk),
                Err(_) => break,
            }
        }
        ensure!((5..60).contains(&talks.len()), "{} connections at once", talks.len());
        Ok(())
    });
}
