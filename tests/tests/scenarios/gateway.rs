//! The gateway of a network: the same on every host, a router between the network's subnets and outward, a wall between
//! networks [X1].

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use tests::traffic::service::{self, Service};
use tests::traffic::{ping, tcp, udp};
use tests::{Cluster, Edge, Outside, Place, Station, exec, scenario};

/// The gateway's link address, as a station has it.
fn neighbour(station: &Station, gateway: &str) -> Result<String> {
    let said = station.exec(&["ip", "neigh", "show", gateway])?;
    let mut words = said.split_whitespace().skip_while(|word| *word != "lladdr");
    words.nth(1).map(str::to_owned).with_context(|| format!("{gateway} is unknown: {said:?}"))
}

/// What ping(8) says, whether it is answered or not.
fn ping_says(from: &impl Place, flags: &[&str], to: IpAddr) -> Result<String> {
    let to = to.to_string();
    let argv = [&["ping", "-n", "-c", "1", "-W", "1"], flags, &[&to]].concat();
    let output = exec::output_in(Some(&from.netns()?), &argv)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_gateway_answers_with_the_same_mac_on_every_host() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        for (host, name) in [(0, "c1"), (1, "c2")] {
            let station = cluster.attach(host, "RED", name, &[])?;
            for gateway in ["10.10.10.1", "fd10:10::1"] {
                ping::all_answered(&station, gateway.parse()?, 3)?;
                ping::sized(&station, gateway.parse()?, 1000)?;
                let mac = neighbour(&station, gateway)?;
                ensure!(mac == "02:42:0a:0a:0a:01", "{gateway} is {mac} on h{}", host + 1);
            }
            let routes = station.exec(&["ip", "route"])? + &station.exec(&["ip", "-6", "route"])?;
            for gateway in ["10.10.10.1", "fd10:10::1"] {
                ensure!(routes.contains(&format!("default via {gateway} ")), "{routes}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_packet_whose_hops_run_out_is_answered_by_the_gateway() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        for (to, gateway) in [(Outside::FAR4, "10.30.0.1"), (Outside::FAR6, "fd30::1")] {
            let said = ping_says(&a, &["-t", "1"], to)?;
            ensure!(said.contains(&format!("From {gateway}")), "{said}");
            ensure!(said.contains("Time to live exceeded") || said.contains("Time exceeded"), "{said}");
            // One hop it is, and not two.
            let said = ping_says(&a, &["-t", "2"], to)?;
            ensure!(said.contains(&format!("bytes from {to}")), "{said}");
        }
        ensure!(edge.daemon.drops("time_exceeded")? == 2);
        // Routers beyond the host are heard as well: their errors are about a translated packet.
        let (host, outside) = (edge.host(), &edge.outside);
        for (sysctl, to, router) in [
            ("net.ipv4.conf.all.forwarding", "203.0.113.9", outside.near4(host)),
            ("net.ipv6.conf.all.forwarding", "2001:db8:eeee::9", outside.near6(host)),
        ] {
            outside.netns()?.sysctl(sysctl, "1")?;
            let said = ping_says(&a, &[], to.parse()?)?;
            let words = ["Unreachable", "No route"];
            ensure!(said.contains(&format!("From {router}")) && words.iter().any(|w| said.contains(w)), "{said}");
            outside.exec(&["ip", "route", "add", to, "dev", "to-h1"])?;
            let said = ping_says(&a, &["-t", "2"], to.parse()?)?;
            ensure!(said.contains(&format!("From {router}")), "{said}");
            ensure!(said.contains("Time to live exceeded") || said.contains("Time exceeded"), "{said}");
        }
        Ok(())
    });
}

#[test]
fn what_cannot_be_reached_is_said() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        // No service at the gateway, over either transport.
        for gateway in ["10.30.0.1", "fd30::1"] {
            let at = SocketAddr::new(gateway.parse()?, 4242);
            service::refused(&a, at)?;
            let said = service::who(&a, at).err().context("somebody answers at the gateway")?;
            ensure!(format!("{said:#}").contains("refused"), "{said:#}");
        }
        // No route of the host.
        for (family, to, gateway) in [("-4", Outside::FAR4, "10.30.0.1"), ("-6", Outside::FAR6, "fd30::1")] {
            ping::all_answered(&a, to, 1)?;
            edge.host().exec(&["ip", family, "route", "del", "default"])?;
            tests::wait::until(std::time::Duration::from_secs(5), "the route to be forgotten", || {
                let said = ping_says(&a, &[], to)?;
                let known = said.contains("Net Unreachable") || said.contains("No route");
                ensure!(known && said.contains(&format!("From {gateway}")), "{said}");
                Ok(())
            })?;
            service::refused(&a, SocketAddr::new(to, 80))?;
        }
        Ok(())
    });
}

#[test]
fn a_smaller_mtu_of_the_nic_is_told_and_transfers_adapt() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        ping::sized(&a, Outside::FAR4, 1400)?;
        edge.host().exec(&["ip", "link", "set", "out0", "mtu", "1400"])?;
        edge.outside.exec(&["ip", "link", "set", "to-h1", "mtu", "1400"])?;
        for (to, gateway, words) in
            [(Outside::FAR4, "10.30.0.1", "(mtu = 1400)"), (Outside::FAR6, "fd30::1", "mtu=1400")]
        {
            tests::wait::until(std::time::Duration::from_secs(5), "the new MTU to be told", || {
                // Below the container's own MTU, above the NIC's.
                let said = ping_says(&a, &["-M", "do", "-s", "1420"], to)?;
                ensure!(said.contains(&format!("From {gateway}")) && said.contains(words), "{said}");
                Ok(())
            })?;
            // The container's kernel knows now; fragments and segments are cut to fit, both ways.
            udp::echo(&a, &edge.outside, to, &[100, 1300, 1372, 1373, 1400, 8000])?;
            tcp::transfer(&a, &edge.outside, to, 4_000_000)?;
        }
        Ok(())
    });
}

#[test]
fn a_smaller_mtu_of_a_route_is_found_by_tcp_alone() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        // Only the host knows: the other end offers full segments, so that the first long one meets the limit.
        for (family, gateway, to) in [
            ("-4", edge.outside.near4(edge.host()), Outside::FAR4),
            ("-6", edge.outside.near6(edge.host()), Outside::FAR6),
        ] {
            let via = gateway.to_string();
            edge.host().exec(&["ip", family, "route", "replace", "default", "via", &via, "mtu", "1300"])?;
            let default = if to.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            tests::wait::until(std::time::Duration::from_secs(5), "the route's MTU to be taken in", || {
                let uplink = edge.daemon.json(&["uplink"])?;
                let routes = uplink["routes"].as_array().context("routes")?;
                ensure!(routes.iter().any(|route| route["to"] == default && route["mtu"] == 1300), "{routes:?}");
                Ok(())
            })?;
            tcp::transfer(&a, &edge.outside, to, 4_000_000)?;
            let learnt = a.exec(&["ip", "route", "get", &to.to_string()])?;
            ensure!(learnt.contains("mtu 1300"), "{learnt}");
        }
        Ok(())
    });
}

#[test]
fn two_networks_do_not_reach_each_other_through_their_gateways() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&["network", "create", "--subnet", "10.31.0.0/24", "--subnet", "fd31::/64", "BROWN"])?;
        let green = edge.attach("GREEN", "green", &[])?;
        let brown = edge.attach("BROWN", "brown", &[])?;
        let _open = Service::tcp(&brown, "[::]:80".parse()?)?;
        for (to, gateway) in [(brown.address4()?, "10.30.0.1"), (brown.address6()?, "fd30::1")] {
            let said = ping_says(&green, &[], to)?;
            ensure!(said.contains(&format!("From {gateway}")), "{said}");
            let words = ["Packet filtered", "Administratively prohibited", "prohibited"];
            ensure!(words.iter().any(|word| said.contains(word)), "{said}");
            service::refused(&green, SocketAddr::new(to, 80))?;
            ping::unanswered(&green, to)?;
        }
        // Nor the other's gateway.
        ping::unanswered(&green, "10.31.0.1".parse()?)?;
        ping::unanswered(&green, "fd31::1".parse()?)?;
        ensure!(edge.daemon.drops("other_network")? > 8);
        // Nor does the host carry it from one to the other, whoever forwards there.
        for (family, all) in [("ipv4", "net.ipv4.conf.all.forwarding"), ("ipv6", "net.ipv6.conf.all.forwarding")] {
            edge.host().netns()?.sysctl(all, "1").with_context(|| family.to_owned())?;
        }
        ping::unanswered(&green, brown.address4()?)?;
        ping::unanswered(&green, brown.address6()?)
    });
}

#[test]
fn an_internal_network_has_no_way_out() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        edge.daemon.vsctl(&[
            "network",
            "create",
            "--internal",
            "--subnet",
            "10.32.0.0/24",
            "--subnet",
            "fd32::/64",
            "INNER",
        ])?;
        let a = edge.attach("INNER", "a", &[])?;
        let b = edge.attach("INNER", "b", &[])?;
        for at in [b.address4()?, b.address6()?] {
            tcp::transfer(&a, &b, at, 100_000)?;
        }
        for family in ["-4", "-6"] {
            let routes = a.exec(&["ip", family, "route"])?;
            ensure!(!routes.contains("default"), "{routes}");
        }
        ensure!(ping_says(&a, &[], Outside::FAR4)?.contains("unreachable"));
        // A container that makes itself a route gets no further.
        for (family, gateway, far) in [("-4", "10.32.0.1", Outside::FAR4), ("-6", "fd32::1", Outside::FAR6)] {
            a.exec(&["ip", family, "route", "add", "default", "via", gateway])?;
            ping::unanswered(&a, far)?;
            service::refused(&a, SocketAddr::new(far, 80))?;
        }
        for host in [edge.host().outer4(), edge.host().outer6()] {
            ping::unanswered(&a, host)?;
        }
        ensure!(edge.daemon.drops("internal")? >= 8);
        Ok(())
    });
}

#[test]
fn a_networks_subnets_are_routed_to_each_other_across_hosts_too() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let subnets = ["10.40.0.0/24", "10.41.0.0/24", "fd40::/64", "fd41::/64"];
        let flags: Vec<&str> = subnets.iter().flat_map(|subnet| ["--subnet", subnet]).collect();
        cluster.overlay("RED", &flags)?;
        let a = cluster.attach(0, "RED", "a", &["--ip", "10.40.0.10", "--ip6", "fd40::10"])?;
        let near = cluster.attach(0, "RED", "near", &["--ip", "10.41.0.20", "--ip6", "fd41::20"])?;
        let far = cluster.attach(1, "RED", "far", &["--ip", "10.41.0.30", "--ip6", "fd41::30"])?;
        for other in [&near, &far] {
            for (from, to, at) in [
                (&a, other, other.address4()?),
                (&a, other, other.address6()?),
                (other, &a, a.address4()?),
                (other, &a, a.address6()?),
            ] {
                ping::all_answered(from, at, 3)?;
                tcp::transfer(from, to, at, 1_000_000)?;
                udp::echo(from, to, at, &[1, 1400, 8000])?;
            }
        }
        // By the gateway: one hop.
        let said = ping_says(&a, &["-t", "1"], far.address4()?)?;
        ensure!(said.contains("From 10.40.0.1") && said.contains("Time to live exceeded"), "{said}");
        // An address of the other subnet that nobody has.
        let said = ping_says(&a, &[], "10.41.0.99".parse()?)?;
        ensure!(said.contains("From 10.40.0.1") && said.contains("Host Unreachable"), "{said}");
        Ok(())
    });
}
