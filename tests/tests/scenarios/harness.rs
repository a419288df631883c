//! The harness itself, without the switch: when these fail, no other scenario means anything.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tests::kernel_vtep::Segment;
use tests::pcap::Capture;
use tests::traffic::iperf::Load;
use tests::traffic::stream::Stream;
use tests::traffic::{iperf, ping, tcp, udp};
use tests::underlay::{LINK, wire_like};
use tests::{Consul, Container, Host, KernelVtep, Lab, Netns, Outside, Place, Runtime, Sandbox, scenario};

fn kernel_pair(lab: &Lab) -> Result<(KernelVtep, KernelVtep)> {
    let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
    lab.cable(&h1, &h2, 1500)?;
    wire_like(&h1)?;
    wire_like(&h2)?;
    let side = |host: &Host, other: &Host, addresses: &[&str]| {
        KernelVtep::create(
            host,
            &Segment { vni: 4096, remote: other.address4(), local: host.address4(), addresses, mtu: 1450 },
        )
    };
    Ok((side(&h1, &h2, &["10.9.0.1/24", "fd09::1/64"])?, side(&h2, &h1, &["10.9.0.2/24", "fd09::2/64"])?))
}

#[test]
fn two_kernel_vteps_reach_each_other_and_tshark_decodes_it() {
    scenario(|lab| {
        let (a, b) = kernel_pair(lab)?;
        let capture = Capture::start(a.host(), LINK, "udp port 4789")?;
        for at in ["10.9.0.2", "fd09::2"] {
            let at: IpAddr = at.parse()?;
            ping::all_answered(&a, at, 5)?;
            tcp::transfer(&a, &b, at, 1_000_000)?;
            udp::echo(&a, &b, at, udp::SIZES)?;
        }
        let frames = capture.stop()?.ensure_clean_vxlan()?;
        ensure!(frames > 1500, "only {frames} frames captured");
        ping::unanswered(&a, "10.9.0.77".parse()?)
    });
}

#[test]
fn a_cut_cable_shows_as_one_gap_in_a_numbered_stream() {
    scenario(|lab| {
        let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
        let underlay = lab.underlay(&[&h1, &h2], 1500)?;
        let whole = Stream::start(&h1, &h2, h2.address6(), 1000)?;
        std::thread::sleep(Duration::from_millis(300));
        whole.stop()?.ensure_complete()?;
        let stream = Stream::start(&h1, &h2, h2.address4(), 1000)?;
        std::thread::sleep(Duration::from_millis(200));
        underlay.connect(&h2, false)?;
        std::thread::sleep(Duration::from_millis(200));
        underlay.connect(&h2, true)?;
        // A bridge port may take a moment to forward again.
        std::thread::sleep(Duration::from_millis(600));
        let report = stream.stop()?;
        ensure!(report.longest_gap() >= 100, "{report:?}");
        ensure!(report.ensure_complete().is_err());
        Ok(())
    });
}

#[test]
fn the_outside_is_behind_the_default_routes_of_all_its_hosts() {
    scenario(|lab| {
        let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
        let outside = lab.outside(&[&h1, &h2], 1500)?;
        for host in [&h1, &h2] {
            for at in [Outside::FAR4, Outside::FAR6, outside.near4(host), outside.near6(host)] {
                ping::all_answered(host, at, 2)?;
            }
            tcp::transfer(&outside, host, host.outer4(), 100_000)?;
            tcp::transfer(&outside, host, host.outer6(), 100_000)?;
        }
        // It is no way from host to host, and has none to what is behind them.
        ping::unanswered(&h1, h2.outer4())?;
        ping::unanswered(&outside, "10.9.0.1".parse()?)
    });
}

#[test]
fn consul_keeps_its_keys_over_a_kill() {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let underlay = lab.underlay(&[&h1], 1500)?;
        let mut consul = Consul::start(underlay.middle())?;
        consul.kv(&["put", "vswitch/v1/test", "kept"])?;
        consul.kill9()?;
        ensure!(consul.kv(&["get", "vswitch/v1/test"]).is_err());
        consul.resume()?;
        ensure!(consul.kv(&["get", "vswitch/v1/test"])?.trim() == "kept");
        ensure!(consul.keys("vswitch/")? == ["vswitch/v1/test"]);
        Ok(())
    });
}

fn container_runs(runtime: Runtime) {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let container = Container::run_with(lab, runtime, &h1, "c", &[], None)?;
        ensure!(container.exec_inside(&["hostname"])?.trim() == "container");
        // Its namespace is neither the host's nor the harness's.
        ensure!(container.exec(&["ip", "-br", "link"])?.lines().count() == 1);
        let pid = container.pid();
        container.remove()?;
        // A zombie that nobody has fetched yet has no namespaces either.
        tests::wait::until(Duration::from_secs(2), "the container's process to end", || {
            ensure!(Netns::of_pid(pid).is_err(), "{pid} lives");
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn a_runc_container_runs() {
    container_runs(Runtime::Runc);
}

#[test]
fn a_crun_container_runs() {
    container_runs(Runtime::Crun);
}

#[test]
fn a_killed_sandbox_takes_its_namespace_along() {
    scenario(|lab| {
        let h1 = lab.host("h1")?;
        let sandbox = Sandbox::start(&h1)?;
        // A veth end dies with its namespace, and takes the other end along: that is how it shows.
        let pid = sandbox.pid().to_string();
        h1.exec(&["ip", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", &pid])?;
        h1.exec(&["ip", "link", "show", "v0"])?;
        sandbox.kill9()?;
        tests::wait::until(Duration::from_secs(5), "the namespace to go", || {
            ensure!(h1.exec(&["ip", "link", "show", "v0"]).is_err(), "v0 is still there");
            Ok(())
        })?;
        Ok(())
    });
}

#[test]
fn iperf3_reports_a_rate() {
    scenario(|lab| {
        let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
        lab.cable(&h1, &h2, 1500)?;
        let load = Load { streams: 1, seconds: 1 };
        let rate = iperf::tcp(&h1, &h2, h2.address4(), load, lab.dir())?;
        ensure!(rate > 0.1, "{rate} Gbit/s");
        Ok(())
    });
}

#[test]
fn a_dropped_lab_leaves_nothing() {
    let dir = {
        let lab = Lab::new().expect("a lab");
        let h1 = lab.host("h1").expect("a host");
        let _container = Container::run_with(&lab, Runtime::Runc, &h1, "left", &[], None).expect("a container");
        let _daemon = h1.spawn("sleeper", &["sleep", "4242"], &[]).expect("a process");
        lab.dir().to_owned()
    };
    assert!(!dir.exists());
    let tag = dir.file_name().unwrap().to_string_lossy().rsplit('-').next().unwrap().to_owned();
    let own = format!("left-{}-{tag}", std::process::id());
    let ps = Command::new("ps").args(["-eo", "args"]).output().expect("ps runs");
    assert!(!String::from_utf8_lossy(&ps.stdout).contains(&own));
}
