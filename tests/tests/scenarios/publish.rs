//! Ports of containers on their host [X3]: who reaches them, and as whom.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::traffic::service::{self, Asker, Service, Talk};
use tests::traffic::{tcp, udp};
use tests::{Cluster, Container, Edge, Host, Place, Runtime, Station, scenario, wait};

const ANY: &str = "[::]:80";

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

fn both(place: &impl Place) -> Result<(Service, Service)> {
    Ok((Service::tcp(place, ANY.parse()?)?, Service::udp(place, ANY.parse()?)?))
}

/// Asks over both transports from a place, and checks whom the container sees.
fn reached_as(from: &impl Place, to: SocketAddr, client: IpAddr) -> Result<()> {
    let mut talk = Talk::open(from, to)?;
    ensure!(talk.seen.ip() == client, "TCP to {to} is seen as {}, not {client}", talk.seen);
    talk.exchange(64 * 1024)?;
    let seen = service::who(from, to)?;
    ensure!(seen.ip() == client, "UDP to {to} is seen as {seen}, not {client}");
    Ok(())
}

/// What `ss -ltnu` shows: protocol and local end.
fn listening(host: &Host) -> Result<BTreeSet<(String, String)>> {
    let said = host.exec(&["ss", "-Hltnu"])?;
    Ok(said
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some(((*words.first()?).to_owned(), (*words.get(4)?).to_owned()))
        })
        .collect())
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&["network", "create", "--subnet", "10.31.0.0/24", "--subnet", "fd31::/64", "BROWN"])?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80", "-p", "8080:80/udp"])?;
        let other = edge.attach("GREEN", "other", &[])?;
        let brown = edge.attach("BROWN", "brown", &[])?;
        let _services = both(&web)?;
        let (host, outside) = (edge.host(), &edge.outside);
        let open = listening(host)?;
        for protocol in ["tcp", "udp"] {
            ensure!(open.iter().any(|(p, end)| p == protocol && end.ends_with(":8080")), "{open:?}");
        }
        for (own, near, gateway) in
            [(host.outer4(), outside.near4(host), "10.30.0.1"), (host.outer6(), outside.near6(host), "fd30::1")]
        {
            let to = at(own, 8080);
            let of = |station: &Station| if own.is_ipv4() { station.address4() } else { station.address6() };
            // Other machines and other containers are seen as themselves, down to the port.
            reached_as(outside, to, near)?;
            reached_as(&other, to, of(&other)?)?;
            reached_as(&brown, to, of(&brown)?)?;
            let talk = Talk::open_from(outside, Some(45_678), to)?;
            ensure!(talk.seen.port() == 45_678, "{}", talk.seen);
            // The host and the container itself can only be seen as the gateway.
            for own in [own, if own.is_ipv4() { "127.0.0.1".parse()? } else { "::1".parse()? }] {
                reached_as(host, at(own, 8080), gateway.parse()?)?;
            }
            reached_as(&web, to, gateway.parse()?)?;
        }
        // Other ports, and the container's own number, are nobody's.
        for port in [80, 8079, 8081] {
            service::refused(outside, at(host.outer4(), port))?;
            service::refused(outside, at(host.outer6(), port))?;
        }
        // With the port goes the sandbox's publication, and what is open ends.
        edge.daemon.vsctl(&["del-port", "web"])?;
        ensure!(edge.daemon.rows(&["publish", "ls"])?.is_empty());
        for own in [host.outer4(), host.outer6()] {
            service::refused(outside, at(own, 8080))?;
            service::refused(host, at(own, 8080))?;
            service::refused(&other, at(own, 8080))?;
        }
        ensure!(!listening(host)?.iter().any(|(_, end)| end.ends_with(":8080")));
        Ok(())
    });
}

#[test]
fn large_transfers_pass_both_ways_from_outside_and_from_the_host() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &[])?;
        // The transfers listen on a port that the kernel chooses: all those are published.
        web.netns()?.sysctl("net.ipv4.ip_local_port_range", "40000 40099")?;
        edge.daemon.vsctl(&["publish", "web", "30000-30099:40000-40099", "30000-30099:40000-40099/udp"])?;
        for inside in [web.address4()?, web.address6()?] {
            let own = if inside.is_ipv4() { edge.host().outer4() } else { edge.host().outer6() };
            let there = Mapped { to: own, shift: 10_000 };
            there.transfer(&edge.outside, &web, inside)?;
            there.transfer(edge.host(), &web, inside)?;
            let loopback = if inside.is_ipv4() { "127.0.0.1" } else { "::1" }.parse()?;
            Mapped { to: loopback, shift: 10_000 }.transfer(edge.host(), &web, inside)?;
        }
        Ok(())
    });
}

/// Where a port of the container is found.
struct Mapped {
    to: IpAddr,
    shift: u16,
}

impl Mapped {
    fn transfer(&self, from: &impl Place, web: &Station, inside: IpAddr) -> Result<()> {
        let see = |end: SocketAddr| SocketAddr::new(self.to, end.port() - self.shift);
        tcp::transfer_by(from, web, inside, 4_000_000, see).with_context(|| format!("by {}", self.to))?;
        udp::echo_by(from, web, inside, &[1, 1472, 8000, 40_000], see).with_context(|| format!("by {}", self.to))?;
        Ok(())
    }
}

#[test]
fn ranges_bound_addresses_and_chosen_ports() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &[])?;
        let _services = (
            Service::tcp(&web, ANY.parse()?)?,
            Service::tcp(&web, "[::]:8000".parse()?)?,
            Service::tcp(&web, "[::]:8009".parse()?)?,
            Service::udp(&web, "[::]:8005".parse()?)?,
        );
        let (host, outside, publish) = (edge.host(), &edge.outside, |spec: &str| {
            let rows = edge.daemon.json(&["publish", "web", spec])?;
            rows[0]["host_port"].as_u64().and_then(|port| u16::try_from(port).ok()).context(rows.to_string())
        });
        publish("7000-7009:8000-8009")?;
        publish("7000-7009:8000-8009/udp")?;
        for own in [host.outer4(), host.outer6()] {
            for port in [7000, 7009] {
                Talk::open(outside, at(own, port))?.exchange(1000)?;
            }
            service::who(outside, at(own, 7005))?;
            // Published, and nobody listens inside: the container says so itself.
            service::refused(outside, at(own, 7001))?;
            service::refused(outside, at(own, 7010))?;
        }
        // At one address, and nowhere else.
        let spec = format!("{}:9090:80", host.outer4());
        publish(&spec)?;
        Talk::open(outside, at(host.outer4(), 9090))?.exchange(1000)?;
        Talk::open(host, at(host.outer4(), 9090))?.exchange(1000)?;
        for place in ["127.0.0.1".parse()?, "::1".parse()?, host.outer6()] {
            service::refused(host, at(place, 9090))?;
        }
        service::refused(outside, at(host.outer6(), 9090))?;
        let spec = format!("[{}]:9091:80", host.outer6());
        publish(&spec)?;
        Talk::open(outside, at(host.outer6(), 9091))?.exchange(1000)?;
        service::refused(outside, at(host.outer4(), 9091))?;
        // For the host alone.
        publish("127.0.0.1:9092:80")?;
        Talk::open(host, "127.0.0.1:9092".parse()?)?.exchange(1000)?;
        service::refused(outside, at(host.outer4(), 9092))?;
        // A free port is found, shown and usable.
        let chosen = publish("80")?;
        ensure!(listening(host)?.iter().any(|(p, end)| p == "tcp" && end.ends_with(&format!(":{chosen}"))));
        Talk::open(outside, at(host.outer4(), chosen))?.exchange(1000)?;
        Talk::open(outside, at(host.outer6(), chosen))?.exchange(1000)?;
        // Asked again it is the same, and another for another.
        ensure!(publish("80")? == chosen && publish("8000")? != chosen);
        // One rule taken back, the others stay.
        edge.daemon.vsctl(&["publish", "rm", "web", &format!("{}:9090:80", host.outer4())])?;
        service::refused(outside, at(host.outer4(), 9090))?;
        Talk::open(outside, at(host.outer4(), chosen))?.exchange(1000)?;
        let rows = edge.daemon.rows(&["publish", "ls"])?;
        ensure!(rows.len() == 6 && rows.iter().all(|row| row["state"] == "up"), "{rows:?}");
        edge.daemon.vsctl(&["publish", "rm", "web"])?;
        ensure!(edge.daemon.rows(&["publish", "ls"])?.is_empty());
        service::refused(outside, at(host.outer4(), chosen))
    });
}

#[test]
fn a_port_that_somebody_has_is_refused_and_its_holder_named() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80", "-p", "8080:80/udp"])?;
        let _web = both(&web)?;
        let late = edge.attach("GREEN", "late", &[])?;
        let (host, outside) = (edge.host(), &edge.outside);
        // Another publication.
        for spec in ["8080:81", "8070-8090:70-90/udp", "127.0.0.1:8080:80", "[::1]:8080:80/udp"] {
            let said = edge.daemon.vsctl_refused(&["publish", "late", spec])?;
            ensure!(said.contains("web") && said.contains("8080"), "{spec}: {said}");
        }
        // A process of the host, which keeps what it has and what comes next.
        let own = Service::tcp(host, "[::]:9999".parse()?)?;
        let own_udp = Service::udp(host, "0.0.0.0:9998".parse()?)?;
        let mut open = Talk::open(outside, at(host.outer4(), 9999))?;
        let pid = std::process::id().to_string();
        for spec in ["9999:80", "9990-9999:90-99", "9998:80/udp"] {
            let said = edge.daemon.vsctl_refused(&["publish", "late", spec])?;
            ensure!(said.contains(&pid) && said.contains("999"), "{spec}: {said}");
        }
        // All or nothing: the first of two is not left behind.
        edge.daemon.vsctl_refused(&["publish", "late", "7777:80", "9999:80"])?;
        ensure!(edge.daemon.rows(&["publish", "ls"])?.len() == 2);
        service::refused(outside, at(host.outer4(), 7777))?;
        let refused = Station::attach(&edge.daemon, "GREEN", "refused", &["-p", "9999:80"]);
        ensure!(refused.is_err());
        ensure!(edge.daemon.rows(&["ports"])?.len() == 2, "a refused attach has left a port");
        open.exchange(1000)?;
        ensure!(Talk::open(outside, at(host.outer4(), 9999))?.seen.ip() == outside.near4(host));
        ensure!(service::who(outside, at(host.outer4(), 9998))?.ip() == outside.near4(host));
        reached_as(outside, at(host.outer6(), 8080), outside.near6(host))?;
        // And nobody takes a published one from the switch.
        ensure!(Service::tcp(host, "0.0.0.0:8080".parse()?).is_err());
        // Released, it can be had.
        drop((own, own_udp, open));
        wait::until(Duration::from_secs(3), "the port to be free", || {
            edge.daemon.vsctl(&["publish", "late", "9999:80"]).map(drop)
        })?;
        drop(late);
        Ok(())
    });
}

#[test]
fn a_stream_from_outside_finds_the_container_that_replaces_another() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let flags = ["-p", "5353:80/udp", "-p", "5354:80"];
        // One socket, one source port, and never a pause long enough for an entry to expire.
        let client = Asker::open(&edge.outside, None, at(edge.host().outer4(), 5353))?;
        let own = client.local()?;
        let done = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Refused while nobody is there.
                    let _ = client.send(b"drip");
                    thread::sleep(Duration::from_millis(2));
                }
            });
            let outcome = replace(&edge, &flags, own);
            done.store(true, Ordering::Relaxed);
            outcome
        })
    });
}

/// Replaces a container by another one and again, each of which must get the client's datagrams.
fn replace(edge: &Edge, flags: &[&str], client: SocketAddr) -> Result<()> {
    let mut kept: Vec<(Station, UdpSocket)> = Vec::new();
    for round in 0..4 {
        if round > 0 {
            edge.daemon.vsctl(&["del-port", "dns"])?;
            thread::sleep(Duration::from_millis(100));
        }
        // The one before lives on.
        let next = edge.attach("GREEN", "dns", flags)?;
        let sink = next.enter(|| Ok(UdpSocket::bind("0.0.0.0:80")?))?;
        sink.set_read_timeout(Some(Duration::from_secs(1)))?;
        let from = sink.recv_from(&mut [0; 64]).with_context(|| format!("nothing arrives in round {round}"))?.1;
        ensure!(from == client, "the client is seen as {from}, not {client}");
        let _web = Service::tcp(&next, ANY.parse()?)?;
        Talk::open(&edge.outside, at(edge.host().outer6(), 5354))?.exchange(1000)?;
        kept.push((next, sink));
    }
    Ok(())
}

/// Threads of the daemon.
fn threads(edge: &Edge) -> Result<usize> {
    let pid = edge.daemon.pid().context("not running")?;
    Ok(std::fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

#[test]
fn ten_thousand_ports_are_one_rule() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80"])?;
        let ports = [20_000, 25_000, 29_999];
        let services: Vec<Service> =
            ports.iter().map(|port| Service::tcp(&web, at("::".parse()?, *port))).collect::<Result<_>>()?;
        let before = threads(&edge)?;
        edge.daemon.vsctl(&["publish", "web", "20000-29999:20000-29999"])?;
        ensure!(edge.daemon.rows(&["publish", "ls"])?.len() == 2, "not one rule");
        // A few come and go with other work.
        ensure!(threads(&edge)? < before + 20, "threads for ports");
        for port in ports {
            for own in [edge.host().outer4(), edge.host().outer6()] {
                Talk::open(&edge.outside, at(own, port))?.exchange(1000)?;
                Talk::open(edge.host(), at(own, port))?.exchange(1000)?;
            }
        }
        ensure!(listening(edge.host())?.len() >= 10_001);
        edge.daemon.vsctl(&["publish", "rm", "web", "20000-29999:20000-29999"])?;
        ensure!(listening(edge.host())?.len() <= 2);
        drop(services);
        service::refused(&edge.outside, at(edge.host().outer4(), 25_000))
    });
}

#[test]
fn more_ports_than_files_may_be_open_are_refused_with_the_limit() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80"])?;
        let _service = Service::tcp(&web, ANY.parse()?)?;
        let pid = edge.daemon.pid().context("not running")?.to_string();
        edge.host().exec(&["prlimit", "--pid", &pid, "--nofile=3000:3000"])?;
        let said = edge.daemon.vsctl_refused(&["publish", "web", "20000-29999:20000-29999"])?;
        ensure!(said.contains("10000") && said.contains("3000"), "{said}");
        ensure!(listening(edge.host())?.len() <= 2, "ports are left open");
        edge.daemon.vsctl(&["publish", "web", "20000-21999:20000-21999"])?;
        Talk::open(&edge.outside, at(edge.host().outer4(), 8080))?.exchange(1000)
    });
}

#[test]
fn clients_of_the_family_that_the_container_lacks_are_served_by_the_host() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&["network", "create", "--subnet", "10.33.0.0/24", "FOUR"])?;
        let web = edge.attach("FOUR", "web", &["-p", "8080:80", "-p", "8080:80/udp"])?;
        let _services = both(&web)?;
        let gateway = "10.33.0.1".parse()?;
        for place in ["127.0.0.1".parse()?, "::1".parse()?, edge.host().outer4(), edge.host().outer6()] {
            reached_as(edge.host(), at(place, 8080), gateway)?;
        }
        reached_as(&edge.outside, at(edge.host().outer4(), 8080), edge.outside.near4(edge.host()))?;
        reached_as(&edge.outside, at(edge.host().outer6(), 8080), gateway)
    });
}

#[test]
fn the_annotation_publishes_ports_of_a_runc_container() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let annotations = [
            ("org.vswitch.networks", "GREEN"),
            ("org.vswitch.name", "web"),
            ("org.vswitch.publish", "8080:80;8080:80/udp"),
        ];
        let web = Container::run(lab, Runtime::Runc, &edge.daemon, "web", &annotations)?;
        let _services = both(&web)?;
        let host = edge.host();
        reached_as(&edge.outside, at(host.outer4(), 8080), edge.outside.near4(host))?;
        reached_as(&edge.outside, at(host.outer6(), 8080), edge.outside.near6(host))?;
        let rows = edge.daemon.rows(&["publish", "ls"])?;
        ensure!(rows.len() == 2 && rows.iter().all(|row| row["name"] == "web"), "{rows:?}");
        // A port that is taken fails the container, and says why.
        let second = [("org.vswitch.networks", "GREEN"), ("org.vswitch.publish", "8080:80")];
        let outcome = Container::run(lab, Runtime::Runc, &edge.daemon, "second", &second);
        let said = format!("{:#}", outcome.err().context("a taken port was published")?);
        ensure!(said.contains("8080") && said.contains("web"), "{said}");
        web.remove()?;
        ensure!(edge.daemon.rows(&["publish", "ls"])?.is_empty());
        service::refused(&edge.outside, at(host.outer4(), 8080))
    });
}

#[test]
fn a_container_of_an_overlay_network_publishes_on_its_own_host() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let hosts: Vec<&Host> = cluster.daemons.iter().map(|daemon| daemon.host()).collect();
        let outside = lab.outside(&hosts, 1500)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        let web = cluster.attach(0, "RED", "web", &["-p", "8080:80", "-p", "8080:80/udp"])?;
        let near = cluster.attach(0, "RED", "near", &[])?;
        let far = cluster.attach(1, "RED", "far", &[])?;
        let _services = both(&web)?;
        let (h1, h2) = (hosts[0], hosts[1]);
        reached_as(&outside, at(h1.outer4(), 8080), outside.near4(h1))?;
        reached_as(&outside, at(h1.outer6(), 8080), outside.near6(h1))?;
        reached_as(&near, at(h1.outer4(), 8080), near.address4()?)?;
        reached_as(h1, "127.0.0.1:8080".parse()?, "10.10.10.1".parse()?)?;
        reached_as(h1, "[::1]:8080".parse()?, "fd10:10::1".parse()?)?;
        // Through the underlay, as another machine, from a container that leaves under its own host's address.
        reached_as(h2, at(h1.address4(), 8080), h2.address4())?;
        reached_as(&far, at(h1.address4(), 8080), h2.address4())?;
        service::refused(&outside, at(h2.outer4(), 8080))
    });
}
