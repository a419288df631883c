//! A flood from outside, and everybody else [F1].

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::traffic::flood;
use tests::traffic::service::{Service, Talk};
use tests::{Edge, Outside, scenario, wait};

const SYNS: u32 = 200_000;

/// Memory of the daemon in KiB.
fn resident(edge: &Edge) -> Result<u64> {
    let pid = edge.daemon.pid().context("not running")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[test]
fn a_syn_flood_at_a_published_port_leaves_established_connections_alone() {
    scenario(|lab| {
        let mut edge = Edge::start(lab)?;
        let victim = edge.attach("GREEN", "victim", &["-p", "8080:80"])?;
        let other = edge.attach("GREEN", "other", &["-p", "8081:80"])?;
        let any = "[::]:80".parse()?;
        let at = SocketAddr::new(Outside::FAR4, 7070);
        let _services = (Service::tcp(&victim, any)?, Service::tcp(&other, any)?, Service::tcp(&edge.outside, at)?);
        let IpAddr::V4(own) = edge.host().outer4() else { bail!("not IPv4") };
        let mut of_victim = Talk::open(&edge.outside, SocketAddrV4::new(own, 8080).into())?;
        let mut into = Talk::open(&edge.outside, SocketAddrV4::new(own, 8081).into())?;
        let mut out = Talk::open(&other, at)?;
        let before = resident(&edge)?;

        let flooding = AtomicBool::new(true);
        let (sent, exchanged) = thread::scope(|s| -> Result<(u32, u32)> {
            let flood = s.spawn(|| {
                let sent = flood::syn(&edge.outside, SocketAddrV4::new(own, 8080), SYNS);
                flooding.store(false, Ordering::Relaxed);
                sent
            });
            let mut exchanged = 0;
            while flooding.load(Ordering::Relaxed) {
                into.exchange(10_000).context("a connection into another container")?;
                out.exchange(10_000).context("a connection out of another container")?;
                exchanged += 1;
            }
            Ok((flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??, exchanged))
        })?;
        ensure!(sent > SYNS / 2 && exchanged > 0, "{sent} SYNs, {exchanged} exchanges");
        edge.daemon.check_alive()?;
        into.exchange(64 * 1024)?;
        out.exchange(64 * 1024)?;
        of_victim.exchange(1000)?;
        let after = resident(&edge)?;
        ensure!(after < before + 200_000, "{before} KiB before the flood, {after} KiB after");
        // All of it is accounted for, and the table has its bounds.
        let counters = &edge.daemon.json(&["uplink"])?["counters"];
        let count = |name: &str| counters[name].as_u64().with_context(|| counters.to_string());
        ensure!(count("steered")? + count("limited")? > u64::from(sent) / 2, "{sent} SYNs, and {counters}");
        let connections = edge.daemon.rows(&["conn", "show", "--port", "8080"])?.len();
        ensure!((1..=262_144).contains(&connections), "{connections} connections");
        // New connections of others come about at once, and the victim is served again.
        Talk::open(&edge.outside, SocketAddrV4::new(own, 8081).into())?.exchange(1000)?;
        Talk::open(&other, at)?.exchange(1000)?;
        wait::until(Duration::from_secs(8), "the victim to be served again", || {
            Talk::open(&edge.outside, SocketAddrV4::new(own, 8080).into())?.exchange(1000)
        })?;
        Ok(())
    });
}
