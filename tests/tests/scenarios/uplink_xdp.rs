//! The uplink's XDP form on a real daemon: in and out, the host's own traffic beside it, a crash, and the other form [X2].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::outside::OUTER;
use tests::traffic::service::{self, Asker, Service, Talk};
use tests::traffic::{ping, tcp, udp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Edge, Outside, Place, Station, scenario, wait};

const FORM: [&str; 2] = ["--uplink-form", "xdp"];
const PUBLISHED: u16 = 8080;

fn counter(edge: &Edge, name: &str) -> Result<u64> {
    let uplink = edge.daemon.json(&["uplink"])?;
    uplink["counters"][name].as_u64().with_context(|| format!("no counter {name}: {uplink}"))
}

/// Waits until the NIC has its port.
fn has_port(edge: &Edge) -> Result<Value> {
    let mut found = Value::Null;
    wait::until(Duration::from_secs(10), "the NIC to have a port", || {
        let uplink = edge.daemon.json(&["uplink"])?;
        found = uplink["nics"][0]["xdp"].clone();
        ensure!(found["mode"] == "native", "{uplink}");
        Ok(())
    })?;
    Ok(found)
}

fn has_program(edge: &Edge) -> Result<bool> {
    Ok(edge.host().exec(&["ip", "-d", "link", "show", OUTER])?.contains("prog/xdp"))
}

/// In by a published port, both transports, with the client's own address.
fn reached(edge: &Edge) -> Result<()> {
    let (host, outside) = (edge.host(), &edge.outside);
    for (own, client) in [(host.outer4(), outside.near4(host)), (host.outer6(), outside.near6(host))] {
        let at = SocketAddr::new(own, PUBLISHED);
        let mut talk = Talk::open(outside, at)?;
        ensure!(talk.seen.ip() == client, "seen as {}", talk.seen);
        talk.exchange(64 * 1024)?;
        ensure!(service::who(outside, at)?.ip() == client);
    }
    Ok(())
}

/// Out, and the answers back, errors and fragments among them.
fn reaches_out(edge: &Edge, from: &Station) -> Result<()> {
    for far in [Outside::FAR4, Outside::FAR6] {
        ping::all_answered(from, far, 3)?;
        tcp::transfer(from, &edge.outside, far, 2_000_000)?;
        wait::until(Duration::from_secs(3), "a long ping to be answered", || ping::sized(from, far, 4000))?;
        udp::echo(from, &edge.outside, far, &[1, 1472, 8000])?;
        let error = Asker::open(from, None, SocketAddr::new(far, 9))?.ask().err().context("somebody answers")?;
        ensure!(format!("{error:#}").contains("Connection refused"), "{error:#}");
    }
    Ok(())
}

/// The host's own address of a family.
fn reachable(edge: &Edge, like: IpAddr) -> IpAddr {
    if like.is_ipv4() { edge.host().outer4() } else { edge.host().outer6() }
}

/// What the host does for itself.
fn host_goes_on(edge: &Edge) -> Result<()> {
    for far in [Outside::FAR4, Outside::FAR6] {
        tcp::transfer(edge.host(), &edge.outside, far, 64 * 1024)?;
        tcp::transfer(&edge.outside, edge.host(), reachable(edge, far), 64 * 1024)?;
        udp::echo(&edge.outside, edge.host(), reachable(edge, far), &[1, 1472])?;
    }
    Ok(())
}

#[test]
fn packets_come_by_af_xdp_and_all_else_is_as_with_the_other_form() {
    scenario(|lab| {
        let mut edge = Edge::start_with(lab, &FORM)?;
        let web = edge.attach("GREEN", "web", &["-p", "8080:80", "-p", "8080:80/udp"])?;
        let at = "[::]:80".parse()?;
        let _services = (Service::tcp(&web, at)?, Service::udp(&web, at)?);
        let port = has_port(&edge)?;
        ensure!(port["interface"] == OUTER && port["zero_copy"] == false, "{port}");
        let shown = edge.daemon.vsctl(&["uplink"])?;
        ensure!(shown.contains("MTU 1500, xdp (native, copy)"), "{shown}");

        reached(&edge)?;
        reaches_out(&edge, &web)?;
        host_goes_on(&edge)?;
        ensure!(counter(&edge, "by_xdp")? > 100);
        for reason in ["port_too_long", "port_overrun", "port_unclaimed", "bad_offload"] {
            ensure!(edge.daemon.drops(reason)? == 0, "{reason}: {:?}", edge.daemon.rows(&["drops"])?);
        }

        let published = SocketAddr::new(edge.host().outer4(), PUBLISHED);
        let mut quiet = Talk::open(&edge.outside, published)?;
        edge.daemon.kill9()?;
        ensure!(!has_program(&edge)?, "a crash leaves an XDP program");
        // Held, neither refused nor let through to the host.
        let error = Talk::open(&edge.outside, published).err().context("a dead switch accepts connections")?;
        ensure!(format!("{error:#}").contains("EINPROGRESS"), "{error:#}");
        host_goes_on(&edge)?;
        edge.daemon.resume()?;
        has_port(&edge)?;
        wait::until(Duration::from_secs(5), "the published port to work again", || reached(&edge))?;
        quiet.exchange(10_000).context("a connection into a container, over the crash")?;
        ensure!(counter(&edge, "by_xdp")? > 0);

        // The other form takes over what this one left.
        edge.daemon.kill9()?;
        let options = Options { local_only: true, ..Options::default() };
        edge.daemon = Vswitchd::start_with(&edge.host().clone(), options)?;
        ensure!(!has_program(&edge)?);
        wait::until(Duration::from_secs(5), "the published port to work again", || reached(&edge))?;
        reaches_out(&edge, &web)?;
        quiet.exchange(10_000).context("a connection into a container, over the change of form")?;
        ensure!(counter(&edge, "by_xdp")? == 0 && counter(&edge, "steered")? > 0);
        edge.daemon.stop()?;
        host_goes_on(&edge)
    });
}
