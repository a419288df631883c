//! From containers to the outside, under the host's address [X2, F4].

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::traffic::service::{self, Asker, Service, Talk};
use tests::traffic::{ping, tcp, udp};
use tests::underlay::veth;
use tests::{Cluster, Edge, Host, Outside, Place, Station, scenario, wait};

const PORT: u16 = 8080;

/// Everything that a container may expect of the outside.
fn reaches_out(from: &Station, outside: &Outside, host: &Host) -> Result<()> {
    for (far, own) in [(Outside::FAR4, host.outer4()), (Outside::FAR6, host.outer6())] {
        let at = SocketAddr::new(far, PORT);
        let (_tcp, _udp) = (Service::tcp(outside, at)?, Service::udp(outside, at)?);
        ping::all_answered(from, far, 5)?;
        // An answer in fragments may first have to learn the MTU of the container's network: IPv6 has none cut on the way.
        wait::until(Duration::from_secs(3), "a long ping to be answered", || ping::sized(from, far, 4000))?;
        // Under the host's address, from the container's own port: nobody else has it.
        let mut talk = Talk::open_from(from, Some(40_001), at)?;
        ensure!(talk.seen == SocketAddr::new(own, 40_001), "seen as {}", talk.seen);
        talk.exchange(64 * 1024)?;
        let asker = Asker::open(from, Some(40_002), at)?;
        ensure!(asker.ask()? == SocketAddr::new(own, 40_002));
        // Ports below 512 and below 1024 are classes of their own (RFC 4787 REQ-3, RFC 6056).
        for port in [88, 555] {
            ensure!(Talk::open_from(from, Some(port), at)?.seen.port() == port);
        }
        tcp::transfer(from, outside, far, 64 * 1024)?;
        tcp::transfer(from, outside, far, 8_000_000)?;
        // Whole, at the edge, and in fragments both ways.
        udp::echo(from, outside, far, &[1, 512, 1372, 1422, 1472, 1473, 8000, 40_000])?;
        is_told_of_a_closed_port(from, far)?;
    }
    Ok(())
}

/// An ICMP error from outside finds the socket that it is about.
fn is_told_of_a_closed_port(from: &Station, far: IpAddr) -> Result<()> {
    let error = Asker::open(from, None, SocketAddr::new(far, 9))?.ask().err().context("somebody answers at port 9")?;
    ensure!(format!("{error:#}").contains("Connection refused"), "{error:#}");
    Ok(())
}

/// The host's rule set, and none of it is the switch's: there is nothing.
fn ensure_no_netfilter_rule(host: &Host) -> Result<()> {
    let rules = host.exec(&["nft", "list", "ruleset"])?;
    ensure!(rules.trim().is_empty(), "{rules}");
    for save in ["iptables-save", "ip6tables-save", "iptables-legacy-save"] {
        let rules = host.exec(&[save])?;
        ensure!(!rules.contains("-A "), "{save}: {rules}");
    }
    Ok(())
}

#[test]
fn a_container_of_a_bridge_network_reaches_the_outside() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        reaches_out(&a, &edge.outside, edge.host())
    });
}

#[test]
fn containers_of_an_overlay_network_reach_the_outside_from_their_own_host() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let hosts: Vec<&Host> = cluster.daemons.iter().map(|daemon| daemon.host()).collect();
        let outside = lab.outside(&hosts, 1500)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        for (n, host) in hosts.iter().enumerate() {
            let station = cluster.attach(n, "RED", &format!("c{n}"), &[])?;
            reaches_out(&station, &outside, host)?;
        }
        Ok(())
    });
}

#[test]
fn one_source_port_is_kept_for_one_and_another_of_its_class_found_for_the_next() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        for (far, own) in [(Outside::FAR4, edge.host().outer4()), (Outside::FAR6, edge.host().outer6())] {
            let at = SocketAddr::new(far, PORT);
            let _service = (Service::tcp(&edge.outside, at)?, Service::udp(&edge.outside, at)?);
            for (port, class) in [(300, 1..=511), (700, 512..=1023), (50_000, 1024..=65_535)] {
                let first = Talk::open_from(&a, Some(port), at)?;
                let mut second = Talk::open_from(&b, Some(port), at)?;
                ensure!(first.seen == SocketAddr::new(own, port));
                ensure!(second.seen.ip() == own && second.seen.port() != port, "{}", second.seen);
                ensure!(class.contains(&second.seen.port()), "{} for {port}", second.seen);
                second.exchange(1000)?;
                let (first, second) = (Asker::open(&a, Some(port), at)?, Asker::open(&b, Some(port), at)?);
                ensure!(first.ask()?.port() == port);
                let seen = second.ask()?.port();
                ensure!(seen != port && class.contains(&seen), "{seen} for {port}");
                // The mapping stays while it is used, and is the same towards everybody (RFC 4787 REQ-1).
                ensure!(second.ask()?.port() == seen);
            }
        }
        Ok(())
    });
}

#[test]
fn connections_are_shown_filtered_and_ended() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &["-p", "8081:80"])?, edge.attach("GREEN", "b", &[])?);
        let at = SocketAddr::new(Outside::FAR4, PORT);
        let _services =
            (Service::tcp(&edge.outside, at)?, Service::udp(&edge.outside, at)?, Service::tcp(&a, "[::]:80".parse()?)?);
        let mut of_a = Talk::open(&a, at)?;
        let mut of_b = Talk::open(&b, at)?;
        let asker = Asker::open(&b, Some(40_004), at)?;
        asker.ask()?;
        let mut into = Talk::open(&edge.outside, SocketAddr::new(edge.host().outer6(), 8081))?;
        let own = b.address4()?.to_string();
        let count =
            |flags: &[&str]| -> Result<usize> { Ok(edge.daemon.rows(&[&["conn", "show"], flags].concat())?.len()) };
        ensure!(count(&[])? == 4 && count(&["--proto", "tcp"])? == 3 && count(&["--network", "GREEN"])? == 4);
        ensure!(count(&["--src", &own])? == 2 && count(&["--src", &own, "--proto", "udp"])? == 1);
        ensure!(count(&["--port", "8081"])? == 1 && count(&["--dst", "203.0.113.0/24"])? == 0);
        // Both sides of one: as the container sees it, and as the outside does.
        let rows = edge.daemon.rows(&["conn", "show", "--src", &own, "--proto", "udp"])?;
        let (original, reply) = (&rows[0]["original"], &rows[0]["reply"]);
        ensure!(original["network"] == "GREEN" && original["src_port"] == 40_004, "{}", rows[0]);
        ensure!(reply["network"] == "outside" && reply["dst"] == edge.host().outer4().to_string(), "{}", rows[0]);
        ensure!(reply["src"] == Outside::FAR4.to_string() && reply["src_port"] == PORT, "{}", rows[0]);
        ensure!(rows[0]["state"] == "established" && rows[0]["bound"] == true, "{}", rows[0]);
        // What is ended by hand is gone; the others go on.
        edge.daemon.vsctl(&["conn", "flush", "--src", &own])?;
        ensure!(count(&["--src", &own])? == 0 && count(&[])? == 2);
        of_a.exchange(1000)?;
        into.exchange(1000)?;
        ensure!(asker.ask()?.port() == 40_004, "UDP begins anew");
        edge.daemon.vsctl(&["conn", "flush"])?;
        ensure!(count(&[])? == 0);
        let _ = of_b.exchange(10);
        Talk::open(&b, at)?.exchange(1000)
    });
}

#[test]
fn nobody_outside_reaches_a_container_by_a_mapping_it_has_not_used() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        let at = SocketAddr::new(Outside::FAR4, PORT);
        let _service = Service::udp(&edge.outside, at)?;
        let own = a.enter(|| Ok(UdpSocket::bind("0.0.0.0:40003")?))?;
        own.set_read_timeout(Some(Duration::from_millis(300)))?;
        own.send_to(b"hello", at)?;
        let mut buffer = [0; 64];
        ensure!(own.recv(&mut buffer)? == 5);
        // From another address of the outside to the very same mapping.
        let stranger = edge.outside.enter(|| Ok(UdpSocket::bind((edge.outside.near4(edge.host()), 4444))?))?;
        stranger.send_to(b"knock", (edge.host().outer4(), 40_003))?;
        ensure!(own.recv(&mut buffer).is_err(), "a stranger came in by a mapping");
        Ok(())
    });
}

#[test]
fn two_containers_meet_at_their_public_ends() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&["network", "create", "--subnet", "10.31.0.0/24", "--subnet", "fd31::/64", "BROWN"])?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("BROWN", "b", &[])?);
        for (far, any) in [(Outside::FAR4, "0.0.0.0:0"), (Outside::FAR6, "[::]:0")] {
            // Each learns from the service outside how it is seen, and tells the other: RFC 4787 REQ-1 and REQ-9.
            let at = SocketAddr::new(far, PORT);
            let _service = Service::udp(&edge.outside, at)?;
            let open = |station: &Station| -> Result<(UdpSocket, SocketAddr)> {
                let socket = station.enter(|| Ok(UdpSocket::bind(any)?))?;
                socket.set_read_timeout(Some(Duration::from_millis(500)))?;
                Ok((socket.try_clone()?, service::seen_by(&socket, at)?))
            };
            let ((one, one_seen), (two, two_seen)) = (open(&a)?, open(&b)?);
            let mut buffer = [0; 64];
            // The first opens its own way back, and is not let in yet; the second is.
            one.send_to(b"first", two_seen)?;
            two.send_to(b"second", one_seen)?;
            let (n, from) = one.recv_from(&mut buffer).context("the first got nothing")?;
            ensure!(buffer[..n] == *b"second" && from == two_seen, "{from} is not {two_seen}");
            one.send_to(b"third", two_seen)?;
            loop {
                let (n, from) = two.recv_from(&mut buffer).context("the second got nothing")?;
                ensure!(from == one_seen, "{from} is not {one_seen}");
                if buffer[..n] == *b"third" {
                    break;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn firewall_reloads_of_the_host_change_nothing() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        ensure_no_netfilter_rule(edge.host())?;
        let web = edge.attach("GREEN", "web", &["--publish", "8081:80"])?;
        let at = SocketAddr::new(Outside::FAR4, PORT);
        let _service = (Service::tcp(&edge.outside, at)?, Service::tcp(&web, "[::]:80".parse()?)?);
        let mut out = Talk::open(&web, at)?;
        let mut into = Talk::open(&edge.outside, SocketAddr::new(edge.host().outer4(), 8081))?;
        ensure_no_netfilter_rule(edge.host())?;
        for reload in [
            &["iptables", "-F"][..],
            &["iptables", "-t", "nat", "-F"],
            &["ip6tables", "-F"],
            &["nft", "flush", "ruleset"],
        ] {
            edge.host().exec(reload)?;
            out.exchange(64 * 1024)?;
            into.exchange(64 * 1024)?;
            Talk::open(&web, at)?.exchange(1000)?;
            Talk::open(&edge.outside, SocketAddr::new(edge.host().outer4(), 8081))?.exchange(1000)?;
        }
        ensure_no_netfilter_rule(edge.host())
    });
}

#[test]
fn a_host_that_filters_and_checks_strictly_changes_nothing() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let host = edge.host();
        for link in ["all", "default", "out0"] {
            host.netns()?.sysctl(&format!("net.ipv4.conf.{link}.rp_filter"), "1")?;
        }
        // As Docker and many a firewall set it, and more than that.
        for tables in ["iptables", "ip6tables"] {
            host.exec(&[tables, "-P", "FORWARD", "DROP"])?;
            host.exec(&[tables, "-A", "INPUT", "-i", "out0", "-p", "tcp", "-j", "DROP"])?;
            host.exec(&[tables, "-A", "OUTPUT", "-o", "out0", "-p", "tcp", "-j", "DROP"])?;
        }
        let a = edge.attach("GREEN", "a", &["-p", "8081:80"])?;
        let _service = Service::tcp(&a, "[::]:80".parse()?)?;
        reaches_out(&a, &edge.outside, host)?;
        for own in [host.outer4(), host.outer6()] {
            Talk::open(&edge.outside, SocketAddr::new(own, 8081))?.exchange(64 * 1024)?;
        }
        for (at, own) in [(a.address4()?, host.outer4()), (a.address6()?, host.outer6())] {
            Talk::open(host, SocketAddr::new(at, 80))?.exchange(64 * 1024)?;
            Talk::open(host, SocketAddr::new(own, 8081))?.exchange(64 * 1024)?;
        }
        Ok(())
    });
}

#[test]
fn the_hosts_address_changes_and_both_ways_follow() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, host) = (edge.attach("GREEN", "a", &["-p", "8081:80"])?, edge.host());
        let at = SocketAddr::new(Outside::FAR4, PORT);
        let _services = (Service::tcp(&edge.outside, at)?, Service::tcp(&a, "[::]:80".parse()?)?);
        ensure!(Talk::open(&a, at)?.seen.ip() == host.outer4());
        // As a DHCP client does it, with a moment without any.
        let (old, new): (IpAddr, IpAddr) = (host.outer4(), Ipv4Addr::new(198, 18, 1, 77).into());
        host.exec(&["ip", "address", "del", &format!("{old}/24"), "dev", "out0"])?;
        host.exec(&["ip", "address", "add", &format!("{new}/24"), "dev", "out0"])?;
        let via = edge.outside.near4(host).to_string();
        host.exec(&["ip", "route", "replace", "default", "via", &via])?;
        default_source_becomes(&edge, new)?;
        let mut talk = Talk::open(&a, at)?;
        ensure!(talk.seen.ip() == new, "seen as {}", talk.seen);
        talk.exchange(100_000)?;
        Talk::open(&edge.outside, SocketAddr::new(new, 8081))?.exchange(100_000)?;
        Talk::open(host, SocketAddr::new(new, 8081))?.exchange(1000)?;
        let rows = edge.daemon.rows(&["conn", "show", "--address", &old.to_string()])?;
        ensure!(rows.is_empty(), "connections of an address that is gone: {rows:?}");
        Ok(())
    });
}

/// A host's default routes come in more forms than one.
#[test]
fn routes_by_link_local_routers_and_without_any_router_lead_out() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, host) = (edge.attach("GREEN", "a", &[])?, edge.host());
        // What a router advertisement makes.
        edge.outside.exec(&["ip", "address", "add", "fe80::1/64", "dev", "to-h1"])?;
        host.exec(&["ip", "-6", "route", "replace", "default", "via", "fe80::1", "dev", "out0"])?;
        reaches_out(&a, &edge.outside, host)?;
        // A link to one peer, who answers for all.
        edge.outside.exec(&["ip", "address", "add", &format!("{}/128", Outside::FAR6), "dev", "to-h1"])?;
        for family in ["-4", "-6"] {
            host.exec(&["ip", family, "route", "del", "default"])?;
            host.exec(&["ip", family, "route", "add", "default", "dev", "out0"])?;
        }
        default_source_becomes(&edge, host.outer4())?;
        for far in [Outside::FAR4, Outside::FAR6] {
            wait::until(Duration::from_secs(3), "the neighbour to be found", || {
                ping::all_answered(&a, far, 2).map(drop)
            })?;
            tcp::transfer(&a, &edge.outside, far, 1_000_000)?;
        }
        // What the host throws away it throws away for containers, too.
        host.exec(&["ip", "route", "add", "blackhole", "203.0.113.0/24"])?;
        host.exec(&["ip", "route", "add", "unreachable", "203.0.114.0/24"])?;
        edge.outside.exec(&["ip", "address", "add", "203.0.113.1/32", "dev", "lo"])?;
        edge.outside.exec(&["ip", "address", "add", "203.0.114.1/32", "dev", "lo"])?;
        wait::until(Duration::from_secs(5), "the routes to be known", || {
            ping::unanswered(&a, "203.0.113.1".parse()?)?;
            ping::unanswered(&a, "203.0.114.1".parse()?)
        })?;
        Ok(())
    });
}

fn default_source_becomes(edge: &Edge, source: IpAddr) -> Result<()> {
    wait::until(Duration::from_secs(5), "the default route to be known", || {
        let uplink = edge.daemon.json(&["uplink"])?;
        let routes = uplink["routes"].as_array().context("routes")?;
        let default = routes.iter().find(|route| route["to"] == "0.0.0.0/0").context("no default route")?;
        ensure!(default["source"] == source.to_string().as_str(), "{default}");
        Ok(())
    })?;
    Ok(())
}

#[test]
fn new_connections_follow_the_hosts_default_route() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, host) = (edge.attach("GREEN", "a", &[])?, edge.host());
        let at = SocketAddr::new(Outside::FAR4, PORT);
        let _service = Service::tcp(&edge.outside, at)?;
        let mut old = Talk::open(&a, at)?;
        ensure!(old.seen.ip() == host.outer4());
        // A second interface, and then the default route over it.
        veth(host, "out1", &edge.outside, "to-h1-too", "1500")?;
        let second: IpAddr = Ipv4Addr::new(198, 19, 1, 1).into();
        host.exec(&["ip", "address", "add", &format!("{second}/24"), "dev", "out1"])?;
        edge.outside.exec(&["ip", "address", "add", "198.19.1.254/24", "dev", "to-h1-too"])?;
        ensure!(Talk::open(&a, at)?.seen.ip() == host.outer4());
        host.exec(&["ip", "route", "replace", "default", "via", "198.19.1.254"])?;
        default_source_becomes(&edge, second)?;
        let mut new = Talk::open(&a, at)?;
        ensure!(new.seen.ip() == second, "seen as {}", new.seen);
        new.exchange(100_000)?;
        // What is open keeps the address that its other end knows.
        old.exchange(100_000)?;
        // The host says that an interface is gone, and there is another way.
        host.exec(&["ip", "link", "set", "out1", "down"])?;
        let via = edge.outside.near4(host).to_string();
        host.exec(&["ip", "route", "replace", "default", "via", &via])?;
        default_source_becomes(&edge, host.outer4())?;
        ensure!(Talk::open(&a, at)?.seen.ip() == host.outer4());
        host.exec(&["ip", "link", "del", "out1"])?;
        old.exchange(1000)?;
        Talk::open(&a, at)?.exchange(1000)
    });
}
