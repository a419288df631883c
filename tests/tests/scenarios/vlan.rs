//! Access and trunk ports on a real daemon. This kernel may lack 802.1Q devices: tags are seen and made by packet sockets [B4].

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use tests::traffic::frames::{Ear, broadcast, send_all};
use tests::traffic::{ping, tcp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Lab, Place, Station, scenario, wait};
use wire::Mac;

fn lone_host(lab: &Lab) -> Result<Vswitchd> {
    let daemon = Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })?;
    daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/24", "GREEN"])?;
    Ok(daemon)
}

/// Waits until a frame with that source was heard, and checks how it was told.
fn hears(ear: &Ear, src: Mac, how: &str) -> Result<()> {
    wait::until(Duration::from_secs(5), "a frame", || {
        let lines = ear.heard_from(src);
        ensure!(!lines.is_empty(), "nothing from {src}");
        ensure!(lines.iter().all(|line| line.contains(how)), "{how} expected: {lines:?}");
        Ok(())
    })
    .map(drop)
}

fn is_deaf(ear: &Ear, src: Mac) -> Result<()> {
    let lines = ear.heard_from(src);
    ensure!(lines.is_empty(), "{lines:?}");
    Ok(())
}

/// Twenty datagrams in one send, to an address that is taken to be at `mac`.
fn super_frame(from: &Station, to: &str, mac: Mac) -> Result<()> {
    from.exec(&["ip", "neigh", "replace", to, "lladdr", &mac.to_string(), "dev", "eth0"])?;
    from.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        setsockopt(&socket, sockopt::UdpGsoSegment, &1_000)?;
        socket.send_to(&[7; 20_000], (to, 9))?;
        Ok(())
    })
}

#[test]
fn vlans_of_one_network_are_apart_and_a_trunk_sees_both_with_tags() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let a = Station::attach(&daemon, "GREEN", "a", &["--vlan", "10"])?;
        let b = Station::attach(&daemon, "GREEN", "b", &["--vlan", "10"])?;
        let c = Station::attach(&daemon, "GREEN", "c", &["--vlan", "20"])?;
        let plain = Station::attach(&daemon, "GREEN", "plain", &[])?;
        let trunk = Station::attach(&daemon, "GREEN", "trunk", &["--trunk", "10,20-29"])?;
        ensure!(trunk.row["guard"] == false && a.row["guard"] == true, "{}", trunk.row);
        for round in ["new", "after a restart"] {
            let rows = daemon.rows(&["ports"])?;
            let vlan = |name: &str| rows.iter().find(|row| row["name"] == name).map(|row| row["vlan"].clone());
            ensure!(vlan("a") == Some(serde_json::json!({"access": 10})), "{round}: {rows:?}");
            ensure!(vlan("trunk") == Some(serde_json::json!({"trunk": "10,20-29"})), "{round}: {rows:?}");
            ping::all_answered(&a, b.address4()?, 3)?;
            tcp::transfer(&a, &b, b.address4()?, 1_000_000)?;
            for (from, to) in [(&a, &c), (&c, &b), (&plain, &a), (&a, &plain)] {
                ping::unanswered(from, to.address4()?)?;
            }
            // The gateway is everybody's, and leads from no VLAN into another.
            for station in [&a, &c, &plain] {
                ping::all_answered(station, "10.30.0.1".parse()?, 2)?;
            }

            let ears = ["a", "b", "c", "plain", "trunk"]
                .iter()
                .zip([&a, &b, &c, &plain, &trunk])
                .map(|(name, station)| Ear::open(station, &format!("{name}-{round}").replace(' ', "-"), lab.dir()))
                .collect::<Result<Vec<_>>>()?;
            let [ear_a, ear_b, ear_c, ear_plain, ear_trunk] = &ears[..] else { unreachable!("five") };
            // Strangers behind the trunk, one in each VLAN; one in none of its VLANs, one without a tag.
            let stranger = |last| Mac([0x02, 0xaa, 0, 0, 0, last]);
            send_all(
                &trunk,
                &[
                    broadcast(stranger(1), Some(10)),
                    broadcast(stranger(2), Some(20)),
                    broadcast(stranger(3), Some(30)),
                    broadcast(stranger(4), None),
                ],
            )?;
            hears(ear_a, stranger(1), "ethertype ARP")?;
            hears(ear_b, stranger(1), "ethertype ARP")?;
            hears(ear_c, stranger(2), "ethertype ARP")?;
            // And from VLAN 10 to the trunk, where it has the tag: a question for somebody whom nobody knows.
            let own: Mac = a.row["mac"].as_str().unwrap_or_default().parse()?;
            ping::unanswered(&a, "10.30.0.250".parse()?)?;
            hears(ear_trunk, own, "vlan 10, p 0")?;
            // A super-frame gets its tag and stays whole.
            super_frame(&a, "10.30.0.251", stranger(1))?;
            wait::until(Duration::from_secs(5), "a super-frame", || {
                let whole = |line: &String| line.contains("vlan 10") && line.contains("UDP, length 20000");
                ensure!(ear_trunk.heard_from(own).iter().any(whole), "{:?}", ear_trunk.heard_from(own));
                Ok(())
            })?;
            ensure!(daemon.drops("port_refused")? == 0);
            for ear in [ear_c, ear_plain] {
                is_deaf(ear, stranger(1))?;
                is_deaf(ear, own)?;
            }
            for ear in [ear_a, ear_b, ear_plain] {
                is_deaf(ear, stranger(2))?;
            }
            for ear in &ears {
                is_deaf(ear, stranger(3))?;
                is_deaf(ear, stranger(4))?;
            }
            ensure!(daemon.drops("not_member")? >= 2);
            let fdb = daemon.rows(&["fdb"])?;
            let learned =
                |mac: Mac, vlan: u16| fdb.iter().any(|row| row["mac"] == mac.to_string() && row["vlan"] == vlan);
            ensure!(learned(stranger(1), 10) && learned(stranger(2), 20), "{fdb:?}");
            drop(ears);
            if round == "new" {
                daemon.stop()?;
                daemon.resume()?;
                wait::until(Duration::from_secs(10), "the links to be back", || {
                    ping::all_answered(&a, b.address4()?, 1).map(drop)
                })?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_port_moves_to_another_vlan_while_it_is_attached() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        let a = Station::attach(&daemon, "GREEN", "a", &["--vlan", "10"])?;
        let b = Station::attach(&daemon, "GREEN", "b", &[])?;
        ping::unanswered(&a, b.address4()?)?;
        let said = daemon.vsctl(&["set-port", "GREEN", "b", "--vlan", "10"])?;
        ensure!(said.contains("VLAN 10"), "{said}");
        ping::all_answered(&a, b.address4()?, 2)?;
        // Nobody knows who is behind a trunk: now it may speak as somebody else.
        let ear = Ear::open(&a, "moved", lab.dir())?;
        let stranger = |last| Mac([0x02, 0xaa, 0, 0, 0, last]);
        send_all(&b, &[broadcast(stranger(1), None)])?;
        daemon.vsctl(&["set-port", "GREEN", "b", "--trunk", "20", "--native", "10"])?;
        ping::all_answered(&a, b.address4()?, 2)?;
        send_all(&b, &[broadcast(stranger(2), None)])?;
        hears(&ear, stranger(2), "ethertype ARP")?;
        is_deaf(&ear, stranger(1))?;
        let said = daemon.vsctl(&["set-port", "GREEN", "b", "--vlan", "none"])?;
        ensure!(!said.contains("VLAN"), "{said}");
        ping::unanswered(&a, b.address4()?)?;
        let row = daemon.rows(&["ports"])?.into_iter().find(|row| row["name"] == "b");
        ensure!(row.is_some_and(|row| row["guard"] == true && row.get("vlan").is_none_or(|vlan| vlan.is_null())));
        Ok(())
    });
}

#[test]
fn mistakes_with_vlans_are_refused() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        for (flags, word) in [
            (&["--vlan", "4095"][..], "4094"),
            (&["--vlan", "0"], "4094"),
            (&["--trunk", "10-5"], "ends before it begins"),
            (&["--vlan", "10", "--trunk", "20"], "cannot be used with"),
            (&["--native", "10"], "--trunk"),
        ] {
            let refused = Station::attach(&daemon, "GREEN", "x", flags);
            let said = format!("{:#}", refused.err().unwrap_or_else(|| anyhow::anyhow!("accepted")));
            ensure!(said.contains(word), "{flags:?}: {said}");
        }
        Ok(())
    });
}
