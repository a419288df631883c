//! One host and no server: bridge networks on the embedded store [N1, N2, I2].

use anyhow::{Context, Result, ensure};
use tests::traffic::{ping, tcp, udp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Lab, Place, Station, scenario};

fn lone_host(lab: &Lab) -> Result<Vswitchd> {
    Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })
}

#[test]
fn a_bridge_network_works_without_store_or_underlay() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/24", "--subnet", "fd30::/64", "GREEN"])?;
        let a = Station::attach(&daemon, "GREEN", "a", &[])?;
        let b = Station::attach(&daemon, "GREEN", "b", &[])?;
        for at in [b.address4()?, b.address6()?] {
            ping::all_answered(&a, at, 5)?;
            tcp::transfer(&a, &b, at, 16_000_000)?;
            udp::echo(&a, &b, at, udp::SIZES)?;
        }
        let link = a.exec(&["ip", "-o", "link", "show", "eth0"])?;
        ensure!(link.contains("mtu 1500"), "{link}");
        // An overlay needs a VTEP address; the refusal says how to give one.
        let said = daemon.vsctl_refused(&["network", "create", "-d", "overlay", "RED"])?;
        ensure!(said.contains("--advertise"), "{said}");
        Ok(())
    });
}

#[test]
fn predefined_networks_exist_and_stay() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        let rows = daemon.rows(&["network", "ls"])?;
        for name in ["bridge", "host", "none"] {
            ensure!(rows.iter().any(|row| row["name"] == name), "{name} is missing: {rows:?}");
            daemon.vsctl_refused(&["network", "rm", name])?;
            daemon.vsctl_refused(&["network", "create", name])?;
        }
        let a = Station::attach(&daemon, "bridge", "a", &[])?;
        let b = Station::attach(&daemon, "bridge", "b", &[])?;
        ping::all_answered(&a, b.address4()?, 3).map(drop)
    });
}

#[test]
fn addresses_are_the_lowest_free_static_when_asked_and_rest_after_release() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/29", "SMALL"])?;
        let a = Station::attach(&daemon, "SMALL", "a", &[])?;
        let b = Station::attach(&daemon, "SMALL", "b", &["--ip", "10.30.0.4"])?;
        ensure!(a.address4()?.to_string() == "10.30.0.2" && b.address4()?.to_string() == "10.30.0.4");
        daemon.vsctl(&["del-port", "a"])?;
        // .2 rests, .4 is taken: .3 is the lowest free.
        let c = Station::attach(&daemon, "SMALL", "c", &[])?;
        ensure!(c.address4()?.to_string() == "10.30.0.3", "{}", c.row);
        let taken = Station::attach(&daemon, "SMALL", "d", &["--ip", "10.30.0.4"]);
        let said = format!("{:#}", taken.err().context("a taken address was given away")?);
        ensure!(said.contains("10.30.0.4"), "{said}");
        // Full is said with who holds what [I3].
        let _e = Station::attach(&daemon, "SMALL", "e", &[])?;
        let _f = Station::attach(&daemon, "SMALL", "f", &[])?;
        let full = Station::attach(&daemon, "SMALL", "g", &[]);
        let said = format!("{:#}", full.err().context("a seventh address in a /29")?);
        ensure!(said.contains("10.30.0.0/29"), "{said}");
        Ok(())
    });
}

#[test]
fn attaching_again_changes_nothing_and_a_name_is_one_sandbox() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        let a = Station::attach(&daemon, "bridge", "a", &[])?;
        let again = daemon.add_port("bridge", "a", a.sandbox.pid(), &[])?;
        ensure!(again["endpoint_id"] == a.row["endpoint_id"], "{again} after {}", a.row);
        ensure!(Station::attach(&daemon, "bridge", "a", &[]).is_err(), "two sandboxes under one name");
        ensure!(daemon.rows(&["ports"])?.len() == 1);
        daemon.vsctl(&["del-port", "a"])?;
        ensure!(!a.exec(&["ip", "-br", "link"])?.contains("eth0"));
        ensure!(daemon.rows(&["ports"])?.is_empty());
        daemon.vsctl_refused(&["del-port", "a"]).map(drop)
    });
}

#[test]
fn a_namespace_given_by_path_is_as_good_as_a_pid() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        let a = Station::attach(&daemon, "bridge", "a", &[])?;
        let b = tests::Sandbox::start(daemon.host())?;
        let path = format!("/proc/{}/ns/net", b.pid());
        daemon.vsctl(&["add-port", "bridge", "b", "--netns", &path, "--ifname", "net7"])?;
        ensure!(b.exec(&["ip", "-br", "link"])?.contains("net7"));
        ping::all_answered(&b, a.address4()?, 3).map(drop)
    });
}
