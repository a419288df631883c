//! The Linux kernel's vxlan device and bridge as the other VTEP [V1]: the independent judge of the
//! wire format, of segmentation and of checksums.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use tests::kernel_vtep::Segment;
use tests::pcap::Capture;
use tests::traffic::{ping, tcp, udp};
use tests::underlay::{LINK, wire_like};
use tests::vswitchd::{Options, Vswitchd};
use tests::{KernelVtep, Lab, Place, Station, scenario};

const VNI: u32 = 5000;

struct Pair {
    daemon: Vswitchd,
    ours: Station,
    kernel: KernelVtep,
}

/// The switch on h1 and the kernel on h2, one cable between them.
fn pair(lab: &Lab, ipv6: bool) -> Result<Pair> {
    let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
    lab.cable(&h1, &h2, 1500)?;
    let daemon = Vswitchd::start_with(&h1, Options { ipv6, ..Options::default() })?;
    let vni = VNI.to_string();
    daemon.vsctl(&[
        "network",
        "create",
        "-d",
        "overlay",
        "--vni",
        &vni,
        "--subnet",
        "10.9.0.0/24",
        "--subnet",
        "fd09::/64",
        "RED",
    ])?;
    let (local, remote, mtu) = match ipv6 {
        true => (h2.address6(), h1.address6(), 1430),
        false => (h2.address4(), h1.address4(), 1450),
    };
    daemon.vsctl(&["peers", "add", "RED", &local.to_string()])?;
    let ours = Station::attach(&daemon, "RED", "ours", &["--ip", "10.9.0.1", "--ip6", "fd09::1"])
        .or_else(|_| Station::attach(&daemon, "RED", "ours", &[]))?;
    let addresses = ["10.9.0.200/24", "fd09::200/64"];
    let kernel = KernelVtep::create(&h2, &Segment { vni: VNI, remote, local, addresses: &addresses, mtu })?;
    Ok(Pair { daemon, ours, kernel })
}

fn both_families(pair: &Pair) -> Result<()> {
    for at in ["10.9.0.200", "fd09::200"] {
        let at: IpAddr = at.parse()?;
        let back = if at.is_ipv4() { pair.ours.address4()? } else { pair.ours.address6()? };
        ping::all_answered(&pair.ours, at, 5)?;
        ping::all_answered(&pair.kernel, back, 5)?;
        // Each transfer goes both ways; the two differ in who opens it.
        tcp::transfer(&pair.ours, &pair.kernel, at, 8_000_000)?;
        tcp::transfer(&pair.kernel, &pair.ours, back, 8_000_000)?;
        udp::echo(&pair.ours, &pair.kernel, at, udp::SIZES)?;
        udp::echo(&pair.kernel, &pair.ours, back, udp::SIZES)?;
    }
    Ok(())
}

fn interoperates(ipv6: bool) {
    scenario(|lab| {
        let pair = pair(lab, ipv6)?;
        pair.kernel.partial_checksums(false)?;
        both_families(&pair)?;
        // A Linux VTEP behind a NIC: whole, checked segments on the wire, and tshark reads every one.
        wire_like(pair.daemon.host())?;
        wire_like(pair.kernel.host())?;
        let capture = Capture::start(pair.daemon.host(), LINK, "udp port 4789")?;
        both_families(&pair)?;
        let pcap = capture.stop()?;
        let frames = pcap.ensure_clean_vxlan()?;
        ensure!(frames > 10_000, "only {frames} frames captured");
        ensure!(pcap.count(&format!("vxlan.vni != {VNI}"))? == 0);
        // The kernel learnt our MAC from our frames, we learnt its MAC from its frames.
        let mac = pair.kernel.mac()?;
        let fdb = pair.daemon.rows(&["fdb"])?;
        ensure!(fdb.iter().any(|row| row["mac"] == mac.as_str() && row["kind"] == "learned"), "{fdb:?}");
        Ok(())
    });
}

#[test]
fn the_kernel_is_a_peer_over_ipv4() {
    interoperates(false);
}

#[test]
fn the_kernel_is_a_peer_over_ipv6() {
    interoperates(true);
}

#[test]
fn unfinished_inner_checksums_are_handled_or_counted_but_never_delivered_wrong() {
    scenario(|lab| {
        let pair = pair(lab, false)?;
        // As a veth underlay has it: the kernel's end hands over whole super-frames whose inner checksum
        // nobody has completed.
        pair.kernel.partial_checksums(true)?;
        ping::all_answered(&pair.kernel, pair.ours.address4()?, 3)?;
        let dropped = || -> Result<u64> {
            let rows = pair.daemon.rows(&["drops", "--all"])?;
            Ok(rows.iter().filter_map(|row| row["count"].as_u64()).sum())
        };
        let before = dropped()?;
        let back = pair.ours.address4()?;
        let outcomes = [
            tcp::transfer(&pair.kernel, &pair.ours, back, 4_000_000).map(drop),
            udp::echo(&pair.kernel, &pair.ours, back, &[1, 100, 1000, 1400]).map(drop),
        ];
        for error in outcomes.into_iter().filter_map(Result::err) {
            let said = format!("{error:#}");
            if said.contains("differs") || said.contains("altered") {
                bail!("delivered wrong: {said}");
            }
            ensure!(dropped()? > before, "neither delivered nor counted: {said}");
        }
        Ok(())
    });
}

#[test]
fn vx_14_a_static_station_takes_frames_to_its_vtep_without_flooding() {
    scenario(|lab| {
        let pair = pair(lab, false)?;
        pair.kernel.partial_checksums(false)?;
        let (mac, vtep) = (pair.kernel.mac()?, pair.kernel.host().address4().to_string());
        pair.daemon.vsctl(&["fdb", "add", "RED", &mac, "--vtep", &vtep])?;
        let fdb = pair.daemon.rows(&["fdb"])?;
        ensure!(fdb.iter().any(|row| row["mac"] == mac.as_str() && row["kind"] == "static"), "{fdb:?}");
        ping::all_answered(&pair.ours, "10.9.0.200".parse()?, 3)?;
        pair.daemon.vsctl(&["fdb", "rm", "RED", &mac])?;
        // Without the peer nothing comes in any more, and that is counted [VX-22].
        pair.daemon.vsctl(&["peers", "rm", "RED", &vtep])?;
        let before = pair.daemon.drops("unknown_vtep")?;
        ping::unanswered(&pair.kernel, pair.ours.address4()?)?;
        ensure!(pair.daemon.drops("unknown_vtep")? > before);
        pair.ours.exec(&["ip", "link", "show", "eth0"]).map(drop)
    });
}
