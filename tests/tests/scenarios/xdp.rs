//! AF_XDP ports: sandboxes by veth links, and interfaces of the host.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::traffic::{ping, tcp, udp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Lab, Place, Sandbox, Station, scenario, wait};

fn lone_host(lab: &Lab) -> Result<Vswitchd> {
    let daemon = Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })?;
    daemon.vsctl(&["network", "create", "--subnet", "10.30.0.0/24", "--subnet", "fd30::/64", "LAN"])?;
    Ok(daemon)
}

/// Everything that two stations of a network may want of each other.
fn talk(a: &Station, b: &Station) -> Result<()> {
    for (from, to) in [(a, b), (b, a)] {
        for at in [to.address4()?, to.address6()?] {
            ping::all_answered(from, at, 3)?;
            // Super-frames of a TAP are cut, those of a veth link's kernel never come.
            tcp::transfer(from, to, at, 4_000_000)?;
            udp::echo(from, to, at, udp::SIZES)?;
        }
    }
    Ok(())
}

#[test]
fn sandboxes_by_veth_links_are_like_all_others() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let tap = Station::attach(&daemon, "LAN", "tap", &[])?;
        let native = Station::attach(&daemon, "LAN", "native", &["--type", "veth"])?;
        let generic = Station::attach(&daemon, "LAN", "generic", &["--type", "veth", "--xdp-mode", "generic"])?;
        for (station, mode) in [(&native, "native"), (&generic, "generic")] {
            ensure!(station.row["kind"] == "veth" && station.row["xdp"]["mode"] == mode, "{}", station.row);
            ensure!(station.row["xdp"]["zero_copy"] == false, "{}", station.row);
        }
        talk(&tap, &native)?;
        talk(&native, &generic)?;
        // The gateway completes what it says, too.
        ping::all_answered(&native, "10.30.0.1".parse()?, 3)?;
        for reason in ["port_too_long", "port_unclaimed", "port_refused", "bad_offload"] {
            ensure!(daemon.drops(reason)? == 0, "{reason}: {:?}", daemon.rows(&["drops"])?);
        }
        // The host sees nothing of it.
        let links = daemon.host().exec(&["ip", "-br", "link"])?;
        ensure!(links.lines().all(|line| line.starts_with("lo") || line.starts_with("vsw0")), "{links}");

        daemon.kill9()?;
        daemon.resume()?;
        ping::all_answered(&tap, native.address4()?, 3)?;
        talk(&native, &generic)?;
        daemon.vsctl(&["del-port", "native"])?;
        ensure!(!native.exec(&["ip", "-br", "link"])?.contains("eth0"));
        // A sandbox that dies is noticed.
        generic.sandbox.kill9()?;
        wait::until(Duration::from_secs(10), "the endpoint to be gone", || {
            ensure!(daemon.rows(&["ports"])?.len() == 1);
            Ok(())
        })
        .map(drop)
    });
}

#[test]
fn jumbo_frames_pass_between_sandboxes_of_all_kinds() {
    scenario(|lab| {
        let daemon = lone_host(lab)?;
        daemon.vsctl(&[
            "network",
            "create",
            "--subnet",
            "10.31.0.0/24",
            "--subnet",
            "fd31::/64",
            "--mtu",
            "9000",
            "JUMBO",
        ])?;
        let feature = || -> Result<String> {
            let shown = daemon.json(&["show"])?;
            let rows = shown["features"].as_array().context("no features")?;
            let row = rows.iter().find(|row| row["name"] == "af_xdp_multi_buffer").context("not tried")?;
            Ok(row["state"].as_str().unwrap_or_default().to_owned())
        };
        let tap = Station::attach(&daemon, "JUMBO", "tap", &[])?;
        if feature()? == "missing" {
            let sandbox = Sandbox::start(daemon.host())?;
            let pid = sandbox.pid().to_string();
            let said = daemon.vsctl_refused(&["add-port", "JUMBO", "veth", "--pid", &pid, "--type", "veth"])?;
            ensure!(said.contains("takes 3818 at the most before Linux 6.6"), "{said}");
            return Ok(());
        }
        let native = Station::attach(&daemon, "JUMBO", "native", &["--type", "veth"])?;
        let generic = Station::attach(&daemon, "JUMBO", "generic", &["--type", "veth", "--xdp-mode", "generic"])?;
        for (station, mode) in [(&native, "native"), (&generic, "generic")] {
            let xdp = &station.row["xdp"];
            ensure!(xdp["mode"] == mode && xdp["multi_buffer"] == true, "{}", station.row);
        }
        ensure!(feature()? == "used", "{}", feature()?);
        for (a, b) in [(&tap, &native), (&native, &generic)] {
            talk(a, b)?;
            for to in [b.address4()?, b.address6()?] {
                ping::sized(a, to, 8_952)?;
            }
        }
        for reason in ["port_too_long", "port_too_big", "port_refused", "bad_offload"] {
            ensure!(daemon.drops(reason)? == 0, "{reason}: {:?}", daemon.rows(&["drops"])?);
        }
        Ok(())
    });
}

/// A NIC of the host, as far as a veth link is one, and a machine on its segment.
fn segment(daemon: &Vswitchd) -> Result<(Sandbox, IpAddr)> {
    let machine = Sandbox::start(daemon.host())?;
    daemon.host().exec(&["ip", "link", "add", "nic0", "type", "veth", "peer", "name", "far0"])?;
    daemon.host().exec(&["ip", "link", "set", "far0", "netns", &machine.pid().to_string()])?;
    daemon.host().exec(&["ip", "link", "set", "nic0", "up"])?;
    machine.exec(&["ip", "addr", "add", "10.30.0.200/24", "dev", "far0"])?;
    machine.exec(&["ip", "link", "set", "far0", "up"])?;
    Ok((machine, "10.30.0.200".parse()?))
}

#[test]
fn an_interface_of_the_host_is_a_port_until_it_is_given_back() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let tap = Station::attach(&daemon, "LAN", "tap", &[])?;
        let (machine, at) = segment(&daemon)?;
        daemon.vsctl(&["add-port", "LAN", "nic", "--type", "xdp", "--iface", "nic0"])?;
        let row = &daemon.rows(&["ports", "nic"])?[0];
        ensure!(row["kind"] == "xdp" && row["ifname"] == "nic0" && row["guard"] == false, "{row}");
        let listed = daemon.vsctl(&["ports"])?;
        ensure!(listed.contains("xdp (native, copy)"), "{listed}");
        // Its sender finishes nothing: that is told by the checksums.
        ping::all_answered(&tap, at, 3)?;
        tcp::transfer(&tap, &machine, at, 4_000_000)?;
        tcp::transfer(&machine, &tap, tap.address4()?, 4_000_000)?;
        udp::echo(&tap, &machine, at, udp::SIZES)?;
        let known = daemon.rows(&["fdb"])?;
        ensure!(known.iter().any(|row| row["port"] == "nic" && row["kind"] == "learned"), "{known:?}");

        daemon.kill9()?;
        ensure!(!daemon.host().exec(&["ip", "link", "show", "nic0"])?.contains("xdp"), "a crash leaves nothing");
        daemon.resume()?;
        ping::all_answered(&tap, at, 3)?;
        // What the link does not carry any more is counted.
        daemon.host().exec(&["ip", "link", "set", "nic0", "mtu", "1000"])?;
        wait::until(Duration::from_secs(10), "a frame that is too long", || {
            ping::sized(&tap, at, 1200).err().context("it passes")?;
            ensure!(daemon.drops("port_too_big")? > 0);
            Ok(())
        })?;
        daemon.vsctl(&["del-port", "nic"])?;
        let link = daemon.host().exec(&["ip", "-d", "link", "show", "nic0"])?;
        ensure!(!link.contains("xdp") && link.contains("promiscuity 0"), "{link}");
        daemon.host().exec(&["ip", "addr", "add", "10.31.0.1/24", "dev", "nic0"])?;
        machine.exec(&["ip", "addr", "add", "10.31.0.2/24", "dev", "far0"])?;
        ping::all_answered(daemon.host(), "10.31.0.2".parse()?, 3).map(drop)
    });
}

#[test]
fn an_interface_that_is_not_there_is_waited_for_at_the_start_only() {
    scenario(|lab| {
        let mut daemon = lone_host(lab)?;
        let said = daemon.vsctl_refused(&["add-port", "LAN", "nic", "--type", "xdp", "--iface", "nic0"])?;
        ensure!(said.contains("interface nic0: no such interface"), "{said}");
        let (machine, _) = segment(&daemon)?;
        let tap = Station::attach(&daemon, "LAN", "tap", &[])?;
        let zero =
            daemon.vsctl_refused(&["add-port", "LAN", "nic", "--type", "xdp", "--iface", "nic0", "--xdp-zerocopy"])?;
        ensure!(zero.contains("the driver cannot do this"), "{zero}");
        daemon.vsctl(&["add-port", "LAN", "nic", "--type", "xdp", "--iface", "nic0"])?;
        let busy = daemon.vsctl_refused(&["add-port", "LAN", "nic2", "--type", "xdp", "--iface", "nic0"])?;
        ensure!(busy.contains("interface nic0 is port nic"), "{busy}");
        let wrong =
            daemon.vsctl_refused(&["add-port", "LAN", "x", "--type", "xdp", "--iface", "nic0", "--ip", "10.30.0.9"])?;
        ensure!(wrong.contains("no container"), "{wrong}");

        daemon.kill9()?;
        drop(machine);
        wait::until(Duration::from_secs(10), "the interface to go", || {
            ensure!(!daemon.host().exec(&["ip", "-br", "link"])?.contains("nic0"));
            Ok(())
        })?;
        daemon.resume()?;
        let (machine, at) = segment(&daemon)?;
        wait::until(Duration::from_secs(20), "the port to be taken", || {
            ensure!(daemon.rows(&["ports"])?.iter().any(|row| row["name"] == "nic"));
            Ok(())
        })?;
        ping::all_answered(&tap, at, 3)?;
        // While the daemon runs, it goes as a sandbox goes.
        drop(machine);
        wait::until(Duration::from_secs(10), "the port to be gone", || {
            ensure!(daemon.rows(&["ports"])?.len() == 1);
            Ok(())
        })
        .map(drop)
    });
}
