//! The four set-ups that are measured: two containers on one host or on two, joined by the switch or by
//! the kernel. A rig keeps alive what it needs, and names its two ends.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use tests::cluster::PREFIX;
use tests::kernel_vtep::Segment;
use tests::traffic::iperf::{self, Load};
use tests::traffic::ping;
use tests::underlay::{LINK, veth};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Consul, Host, KernelVtep, Lab, Netns, Place, Station};

/// What the veth between two hosts stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Model {
    /// A veth as it is: the kernel's super-frames cross it whole.
    AsIs,
    /// A NIC that segments neither tunnelled TCP nor UDP; frames of the MTU, joined at receipt.
    NoSegmentation,
    /// A NIC that segments UDP, but not tunnelled TCP.
    UdpSegmentation,
}

/// Two ends and the address of the second; the rest is only kept alive.
pub(crate) struct Rig {
    a: Netns,
    b: Netns,
    at: IpAddr,
    logs: PathBuf,
    _stations: Vec<Station>,
    _kernels: Vec<KernelVtep>,
    _daemons: Vec<Vswitchd>,
    _consul: Option<Consul>,
}

impl Rig {
    fn new(lab: &Lab, a: Netns, b: Netns, at: IpAddr) -> Rig {
        Rig {
            a,
            b,
            at,
            logs: lab.dir().to_owned(),
            _stations: Vec::new(),
            _kernels: Vec::new(),
            _daemons: Vec::new(),
            _consul: None,
        }
    }

    /// One turn: Gbit/s from the first end to the second.
    pub(crate) fn run(&self, load: Load) -> Result<f64> {
        ping::all_answered(&self.a, self.at, 3)?;
        iperf::tcp(&self.a, &self.b, self.at, load, &self.logs)
    }

    /// Two sandboxes in a bridge network of one daemon.
    pub(crate) fn local_switch(lab: &Lab) -> Result<Rig> {
        let daemon = Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })?;
        daemon.vsctl(&["network", "create", "--subnet", "10.10.10.0/24", "RED"])?;
        let a = Station::attach(&daemon, "RED", "a", &[])?;
        let b = Station::attach(&daemon, "RED", "b", &[])?;
        let mut rig = Rig::new(lab, a.netns()?, b.netns()?, b.address4()?);
        rig._stations = vec![a, b];
        rig._daemons = vec![daemon];
        Ok(rig)
    }

    /// Two namespaces on a kernel bridge, by veth.
    pub(crate) fn local_kernel(lab: &Lab) -> Result<Rig> {
        let host = lab.host("h11")?;
        host.exec(&["ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"])?;
        host.exec(&["ip", "link", "set", "br0", "up"])?;
        let ends = [Netns::create()?, Netns::create()?];
        for (n, end) in ends.iter().enumerate() {
            let port = format!("c{n}");
            veth(&host, &port, end, "eth0", "1500")?;
            host.exec(&["ip", "link", "set", &port, "master", "br0"])?;
            end.exec(&["ip", "address", "add", &format!("10.10.10.{}/24", n + 2), "dev", "eth0"])?;
        }
        let [a, b] = ends;
        Ok(Rig::new(lab, a, b, "10.10.10.3".parse()?))
    }

    /// Two daemons with a Consul, one cable, an overlay network.
    pub(crate) fn vxlan_switch(lab: &Lab, model: Model) -> Result<Rig> {
        let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
        cable(lab, &h1, &h2, model)?;
        let consul = Consul::start(&h1)?;
        let url = consul.url(PREFIX);
        let daemons = vec![Vswitchd::start(&h1, &url)?, Vswitchd::start(&h2, &url)?];
        let id = daemons[0].vsctl(&["network", "create", "-d", "overlay", "--subnet", "10.10.10.0/24", "RED"])?;
        let a = Station::attach(&daemons[0], &id, "a", &[])?;
        let b = Station::attach(&daemons[1], &id, "b", &[])?;
        let mut rig = Rig::new(lab, a.netns()?, b.netns()?, b.address4()?);
        rig._stations = vec![a, b];
        rig._daemons = daemons;
        rig._consul = Some(consul);
        Ok(rig)
    }

    /// Two kernel VTEPs, one cable.
    pub(crate) fn vxlan_kernel(lab: &Lab, model: Model) -> Result<Rig> {
        let (h1, h2) = (lab.host("h11")?, lab.host("h12")?);
        cable(lab, &h1, &h2, model)?;
        let side = |host: &Host, other: &Host, address: &str| {
            let (local, remote) = (host.address4(), other.address4());
            KernelVtep::create(host, &Segment { vni: 4096, remote, local, addresses: &[address], mtu: 1450 })
        };
        let a = side(&h1, &h2, "10.10.10.2/24")?;
        let b = side(&h2, &h1, "10.10.10.3/24")?;
        let mut rig = Rig::new(lab, a.netns()?, b.netns()?, "10.10.10.3".parse()?);
        rig._kernels = vec![a, b];
        Ok(rig)
    }
}

fn cable(lab: &Lab, a: &Host, b: &Host, model: Model) -> Result<()> {
    lab.cable(a, b, 1500)?;
    let off: &[&str] = match model {
        Model::AsIs => return Ok(()),
        Model::NoSegmentation => &[
            "tx-udp_tnl-segmentation",
            "off",
            "tx-udp_tnl-csum-segmentation",
            "off",
            "tx-udp-segmentation",
            "off",
            "tso",
            "off",
            "gro",
            "on",
        ],
        Model::UdpSegmentation => {
            &["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off", "gro", "on"]
        }
    };
    for host in [a, b] {
        host.exec(&[&["ethtool", "-K", LINK], off].concat())?;
    }
    Ok(())
}
