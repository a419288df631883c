//! The host and its own containers [X1, X3].

use std::net::SocketAddr;

use anyhow::ensure;
use tests::traffic::service::{self, Service, Talk};
use tests::traffic::{ping, tcp, udp};
use tests::{Cluster, Edge, Host, Place, scenario};

#[test]
fn the_host_reaches_containers_of_its_bridge_networks() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        let any = "[::]:80".parse()?;
        let _service = (Service::tcp(&a, any)?, Service::udp(&a, any)?);
        for (at, gateway) in [(a.address4()?, "10.30.0.1"), (a.address6()?, "fd30::1")] {
            ping::all_answered(edge.host(), at, 5)?;
            ping::sized(edge.host(), at, 8000)?;
            // As Docker's containers see their host: as the gateway.
            let at = SocketAddr::new(at, 80);
            ensure!(Talk::open(edge.host(), at)?.seen.ip().to_string() == gateway);
            ensure!(service::who(edge.host(), at)?.ip().to_string() == gateway);
            service::refused(edge.host(), SocketAddr::new(at.ip(), 81))?;
            tcp::transfer(edge.host(), &a, at.ip(), 8_000_000)?;
            udp::echo(edge.host(), &a, at.ip(), &[1, 1472, 1473, 8000])?;
        }
        // The route to the network stands while there is somebody in it.
        let routes = edge.host().exec(&["ip", "route"])?;
        ensure!(routes.contains("10.30.0.0/24 dev vsw0"), "{routes}");
        Ok(())
    });
}

#[test]
fn a_container_reaches_services_of_its_host() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        for (host, own) in [(edge.host().outer4(), a.address4()?), (edge.host().outer6(), a.address6()?)] {
            let at = SocketAddr::new(host, 9000);
            let _service = (Service::tcp(edge.host(), at)?, Service::udp(edge.host(), at)?);
            ping::all_answered(&a, host, 3)?;
            // Nothing is translated between a bridge network and its host.
            let mut talk = Talk::open(&a, at)?;
            ensure!(talk.seen == SocketAddr::new(own, talk.local()?.port()), "seen as {}", talk.seen);
            talk.exchange(100_000)?;
            ensure!(service::who(&a, at)?.ip() == own);
            service::refused(&a, SocketAddr::new(host, 9001))?;
            tcp::transfer(&a, edge.host(), host, 4_000_000)?;
        }
        Ok(())
    });
}

#[test]
fn a_container_of_an_overlay_network_reaches_its_host_under_an_address_of_the_link() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let hosts: Vec<&Host> = cluster.daemons.iter().map(|daemon| daemon.host()).collect();
        let _outside = lab.outside(&hosts, 1500)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        let (a, b) = (cluster.attach(0, "RED", "a", &[])?, cluster.attach(1, "RED", "b", &[])?);
        for (station, host) in [(&a, hosts[0]), (&b, hosts[1])] {
            let _service = Service::tcp(host, "[::]:9000".parse()?)?;
            for (at, mask) in [(host.outer4(), "169.254.86.2"), (host.outer6(), "fd76:7377:3000::2")] {
                let mut talk = Talk::open(station, SocketAddr::new(at, 9000))?;
                ensure!(talk.seen.ip().to_string() == mask, "seen as {}", talk.seen);
                talk.exchange(100_000)?;
            }
            // The network is on many hosts: none of them has a route into it.
            let routes = host.exec(&["ip", "route"])?;
            ensure!(!routes.contains("10.10.10."), "{routes}");
            ping::unanswered(host, station.address4()?)?;
        }
        Ok(())
    });
}
