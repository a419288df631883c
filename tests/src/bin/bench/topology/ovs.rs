//! The peer Open vSwitch: its userspace datapath, one bridge, a database of its own. Its data path may spin: it is stopped
//! (SIGSTOP) while it is not measured.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::exec::Process;
use tests::{Host, Lab, Netns, Place, exec, underlay, wait};

use super::{A, B, Side};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const BRIDGE: &str = "br0";
const START: Duration = Duration::from_secs(10);

/// Two containers on veth links, as `ovs-docker` attaches them.
pub(crate) fn on_veth(lab: &Lab) -> Result<Side> {
    let switch = Ovs::start(lab.host("ovs6")?, true)?;
    let a = switch.attach_veth("c0", A, &[])?;
    let b = switch.attach_veth("c1", B, &[])?;
    switch.side(a, b)
}

/// Two containers on ports of the type `internal`, which in this datapath are TAP links.
pub(crate) fn on_tap(lab: &Lab) -> Result<Side> {
    let switch = Ovs::start(lab.host("ovs7")?, true)?;
    let a = switch.attach_tap("c0", A)?;
    let b = switch.attach_tap("c1", B)?;
    switch.side(a, b)
}

/// Two containers on veth links whose other ends the datapath has by AF_XDP.
pub(crate) fn on_afxdp(lab: &Lab) -> Result<Side> {
    let switch = Ovs::start(lab.host("ovs13")?, false)?;
    let a = switch.attach_veth("c0", A, &["type=afxdp"])?;
    let b = switch.attach_veth("c1", B, &["type=afxdp"])?;
    switch.side(a, b)
}

/// Both daemons on a host; the database ends last.
struct Ovs {
    host: Host,
    daemon: Process,
    _database: Process,
}

impl Ovs {
    fn start(host: Host, tso: bool) -> Result<Ovs> {
        for program in ["ovsdb-server", "ovs-vswitchd", "ovs-vsctl"] {
            exec::run_in(None, &["sh", "-c", &format!("command -v {program}")])
                .with_context(|| format!("{program} is not installed (Debian: openvswitch-switch)"))?;
        }
        let dir = host.dir().display().to_string();
        let at = |name: &str| format!("{dir}/{name}");
        let env = [("OVS_RUNDIR", dir.as_str()), ("OVS_LOGDIR", &dir), ("OVS_DBDIR", &dir)];
        exec::run_in(None, &["ovsdb-tool", "create", &at("conf.db"), SCHEMA])?;
        let remote = format!("--remote=punix:{}", at("db.sock"));
        let database = host.spawn("ovsdb-server", &["ovsdb-server", &at("conf.db"), &remote], &env)?;
        wait::until(START, "Open vSwitch's database", || {
            vsctl(&host, &["--no-wait", "init"])?;
            let setting = format!("other_config:userspace-tso-enable={tso}");
            vsctl(&host, &["--no-wait", "set", "Open_vSwitch", ".", &setting])
        })?;
        let connect = format!("unix:{}", at("db.sock"));
        let daemon = host.spawn("ovs-vswitchd", &["ovs-vswitchd", &connect, "--disable-system"], &env)?;
        let switch = Ovs { host, daemon, _database: database };
        switch.ask(&["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"])?;
        Ok(switch)
    }

    /// Runs `ovs-vsctl`, which waits until the daemon has done it.
    fn ask(&self, words: &[&str]) -> Result<()> {
        vsctl(&self.host, words)
    }

    /// Adds a port with these words about its interface, and checks that the daemon could open it.
    fn add_port(&self, name: &str, interface: &[&str]) -> Result<()> {
        let set = [&["--", "set", "interface", name][..], interface].concat();
        let more: &[&str] = if interface.is_empty() { &[] } else { &set };
        self.ask(&[&["add-port", BRIDGE, name], more].concat())?;
        let socket = format!("--db=unix:{}/db.sock", self.host.dir().display());
        let error = self.host.exec(&["ovs-vsctl", &socket, "get", "interface", name, "error"])?;
        ensure!(matches!(error.trim(), "[]" | "\"\""), "Open vSwitch's port {name}: {}", error.trim());
        Ok(())
    }

    fn attach_veth(&self, name: &str, address: Ipv4Addr, interface: &[&str]) -> Result<Netns> {
        let inner = Netns::create()?;
        underlay::veth(&self.host, name, &inner, "eth0", "1500")?;
        self.add_port(name, interface)?;
        configure(&inner, address)?;
        Ok(inner)
    }

    fn attach_tap(&self, name: &str, address: Ipv4Addr) -> Result<Netns> {
        let inner = Netns::create()?;
        self.add_port(name, &["type=internal"])?;
        let target = inner.path().display().to_string();
        self.host.exec(&["ip", "link", "set", name, "netns", &target, "name", "eth0"])?;
        configure(&inner, address)?;
        Ok(inner)
    }

    fn side(self, a: Netns, b: Netns) -> Result<Side> {
        let (host, pid) = (self.host.clone(), self.daemon.pid());
        let side = Side::new(a, b, Vec::new(), &host, Box::new(self))?;
        Ok(side.spinning(pid))
    }
}

fn configure(inner: &Netns, address: Ipv4Addr) -> Result<()> {
    inner.exec(&["ip", "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
    inner.exec(&["ip", "link", "set", "eth0", "mtu", "1500", "up"])?;
    Ok(())
}

fn vsctl(host: &Host, words: &[&str]) -> Result<()> {
    let socket = format!("--db=unix:{}/db.sock", host.dir().display());
    host.exec(&[&["ovs-vsctl", "--timeout=10", &socket], words].concat()).map(drop)
}

/// Stops a process, or lets it go on. One that is gone is noticed by the load that needs it.
pub(super) fn freeze(pid: u32, still: bool) {
    let signal = if still { Signal::SIGSTOP } else { Signal::SIGCONT };
    let _ = kill(Pid::from_raw(pid as i32), signal);
}
