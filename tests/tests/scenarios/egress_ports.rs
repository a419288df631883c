//! Ports of the host's address belong to the host first: no mapping of the switch takes one that a process has [X2].

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::exec::Process;
use tests::traffic::service::{Asker, Service, Talk};
use tests::{Edge, Outside, Place, Station, programs, scenario, wait};

/// The first of the ports from which kernels choose for their own connections (net.ipv4.ip_local_port_range).
const FIRST: u16 = 32_768;
/// Sockets of each of two processes for each protocol: a single process may not have so many files open everywhere.
const EACH: u16 = 14_000;
/// How many of the ports containers ask for.
const ASKED: usize = 150;

fn hold(edge: &Edge, protocol: &str, first: u16) -> Result<Process> {
    let program = programs::find("hold-ports")?.display().to_string();
    let (first, each) = (first.to_string(), EACH.to_string());
    let name = format!("hold-{protocol}-{first}");
    edge.host().spawn(&name, &[&program, protocol, &first, &each], &[])
}

/// The port of the host to which answers come, for a connection that leaves.
fn mapped_port(row: &Value) -> Option<u16> {
    let answers = &row["reply"];
    let port = answers["dst_port"].as_u64().filter(|_| answers["network"] == "outside")?;
    u16::try_from(port).ok()
}

/// Connects from each of the ports over both transports; returns the ports that the outside saw.
fn ask_from(station: &Station, at: SocketAddr, ports: &[u16]) -> Result<(BTreeSet<u16>, Vec<Talk>, Vec<Asker>)> {
    let (mut seen, mut talks, mut askers) = (BTreeSet::new(), Vec::new(), Vec::new());
    for port in ports {
        let talk = Talk::open_from(station, Some(*port), at)?;
        ensure!(seen.insert(talk.seen.port()), "one port for two connections: {}", talk.seen);
        talks.push(talk);
        askers.push(Asker::open(station, Some(*port), at)?);
    }
    Ok((seen, talks, askers))
}

#[test]
fn no_mapping_takes_a_port_that_a_host_socket_holds() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let a = edge.attach("GREEN", "a", &[])?;
        let mut holders = Vec::new();
        for protocol in ["tcp", "udp"] {
            for first in [FIRST, FIRST + EACH] {
                holders.push(hold(&edge, protocol, first)?);
            }
        }
        for holder in &mut holders {
            wait::until(Duration::from_secs(20), "the host's sockets", || {
                holder.check_alive()?;
                ensure!(holder.log().contains("sockets are open"), "not yet");
                Ok(())
            })?;
        }
        let held = FIRST..FIRST + 2 * EACH;
        let ports: Vec<u16> = held.clone().step_by(usize::from(2 * EACH) / ASKED).collect();
        for (far, own) in [(Outside::FAR4, edge.host().outer4()), (Outside::FAR6, edge.host().outer6())] {
            let at = SocketAddr::new(far, 8080);
            let _service = (Service::tcp(&edge.outside, at)?, Service::udp(&edge.outside, at)?);
            let (seen, mut talks, askers) = ask_from(&a, at, &ports)?;
            let taken: Vec<_> = seen.iter().filter(|port| held.contains(port)).collect();
            ensure!(taken.is_empty(), "{taken:?} are held by processes of the host");
            for asker in &askers {
                let seen = asker.ask()?;
                ensure!(seen.ip() == own && !held.contains(&seen.port()), "{seen} is held by a process of the host");
            }
            talks.iter_mut().try_for_each(|talk| talk.exchange(100))?;
            // What it says of itself.
            let rows = edge.daemon.rows(&["conn", "show"])?;
            let mapped: Vec<u16> = rows.iter().filter_map(mapped_port).collect();
            ensure!(mapped.len() >= 2 * ports.len(), "{} mappings are shown: {:?}", mapped.len(), rows.first());
            ensure!(mapped.iter().all(|port| !held.contains(port)));
            // The host's listeners are reached as before.
            for port in ports.iter().step_by(10) {
                edge.outside.enter(|| {
                    let to = SocketAddr::new(own, *port);
                    TcpStream::connect_timeout(&to, Duration::from_secs(1)).with_context(|| to.to_string()).map(drop)
                })?;
            }
        }
        Ok(())
    });
}

#[test]
fn connections_of_the_host_keep_their_ports_while_containers_ask_for_the_same() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        for far in [Outside::FAR4, Outside::FAR6] {
            let at = SocketAddr::new(far, 8080);
            let _service = (Service::tcp(&edge.outside, at)?, Service::udp(&edge.outside, at)?);
            // The host was first.
            let mut own: Vec<Talk> = (0..100).map(|_| Talk::open(edge.host(), at)).collect::<Result<_>>()?;
            let asked: Vec<Asker> = (0..100).map(|_| Asker::open(edge.host(), None, at)).collect::<Result<_>>()?;
            for talk in &own {
                let port = talk.local()?.port();
                ensure!(talk.seen.port() == port);
                let mut other = Talk::open_from(&a, Some(port), at)?;
                ensure!(other.seen.port() != port, "{port} is the host's");
                other.exchange(100)?;
            }
            for asker in &asked {
                let port = asker.local()?.port();
                ensure!(asker.ask()?.port() == port);
                ensure!(Asker::open(&a, Some(port), at)?.ask()?.port() != port, "{port} is the host's");
                ensure!(asker.ask()?.port() == port);
            }
            own.iter_mut().try_for_each(|talk| talk.exchange(1000))?;
            // The switch was first: the host has the port as well if it insists, and both keep their packets.
            let mut mapped = Talk::open_from(&b, Some(45_000), at)?;
            ensure!(mapped.seen.port() == 45_000);
            let to = SocketAddr::new(far, 8081);
            let _second = Service::tcp(&edge.outside, to)?;
            let mut insists = Talk::open_from(edge.host(), Some(45_000), to)?;
            ensure!(insists.seen.port() == 45_000);
            for _ in 0..3 {
                mapped.exchange(10_000)?;
                insists.exchange(10_000)?;
            }
        }
        Ok(())
    });
}
