//! Frames never pass between networks [N3], and no endpoint passes for another [B3].

use anyhow::{Result, ensure};
use tests::traffic::{ping, tcp};
use tests::{Cluster, Place, Station, scenario};

fn attach_both(cluster: &Cluster) -> Result<[Station; 4]> {
    cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
    cluster.overlay("BLUE", &["--subnet", "10.20.20.0/24"])?;
    Ok([
        cluster.attach(0, "RED", "red1", &["--allow-spoof"])?,
        cluster.attach(1, "RED", "red2", &[])?,
        cluster.attach(0, "BLUE", "blue1", &[])?,
        cluster.attach(1, "BLUE", "blue2", &[])?,
    ])
}

#[test]
fn networks_are_apart_whatever_the_addresses() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let [red1, red2, blue1, blue2] = attach_both(&cluster)?;
        ping::all_answered(&red1, red2.address4()?, 3)?;
        ping::all_answered(&blue1, blue2.address4()?, 3)?;
        // A RED container takes a BLUE address and even BLUE neighbours' MACs: still nothing crosses.
        red1.exec(&["ip", "address", "add", "10.20.20.200/24", "dev", "eth0"])?;
        for blue in [&blue1, &blue2] {
            ping::unanswered(&red1, blue.address4()?)?;
            let (at, mac) = (blue.address4()?.to_string(), blue.row["mac"].as_str().unwrap_or_default());
            red1.exec(&["ip", "neigh", "replace", &at, "lladdr", mac, "dev", "eth0", "nud", "permanent"])?;
            ping::unanswered(&red1, blue.address4()?)?;
        }
        // All ports are open inside a network.
        tcp::transfer(&red1, &red2, red2.address4()?, 100_000)?;
        tcp::transfer(&blue2, &blue1, blue1.address4()?, 100_000)?;
        Ok(())
    });
}

#[test]
fn a_wrong_source_is_dropped_and_counted_by_what_was_wrong() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        let daemon = &cluster.daemons[0];
        let [_red1, red2, blue1, blue2] = attach_both(&cluster)?;

        // Another IPv4 source; the neighbour is known, so no ARP is in the way.
        ping::all_answered(&blue1, blue2.address4()?, 2)?;
        let before = daemon.drops("guard_ip")?;
        blue1.exec(&["ip", "address", "add", "10.20.20.77/24", "dev", "eth0"])?;
        let to = blue2.address4()?.to_string();
        let _ = blue1.exec(&["ping", "-c", "2", "-i", "0.05", "-W", "1", "-I", "10.20.20.77", &to]);
        ensure!(daemon.drops("guard_ip")? >= before + 2, "IP spoofing was not counted");

        // A stolen ARP identity.
        let before = daemon.drops("guard_arp")?;
        let _ = blue1.exec(&["busybox", "arping", "-q", "-U", "-c", "2", "-I", "eth0", "-s", "10.20.20.77", &to]);
        ensure!(daemon.drops("guard_arp")? > before, "ARP spoofing was not counted");

        // Another MAC.
        let before = daemon.drops("guard_mac")?;
        blue1.exec(&["ip", "link", "set", "eth0", "address", "02:42:0a:0a:0a:99"])?;
        ping::unanswered(&blue1, blue2.address4()?)?;
        ensure!(daemon.drops("guard_mac")? > before, "MAC spoofing was not counted");

        // The others never noticed.
        ping::all_answered(&red2, "10.10.10.2".parse()?, 3).map(drop)
    });
}
