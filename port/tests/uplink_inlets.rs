//! The XDP form's ports: how they come and go, what they leave to the link, and which interfaces cannot have one. Needs root.

mod hosts;
mod namespace;

use port::xdp::{Xdp, XdpMode, XdpOptions, set_memory};
use port::{Form, Inlet, Published, Uplink, UplinkStats};
use wire::protocol::{TCP, UDP};

use hosts::{Host, PEER_MAC, Way, addresses, best, flow, index, link, mac_of, receive_until, tap};
use namespace::{ip, within};

fn host() -> Host {
    Host::new(Way { form: Form::Xdp, ..best() })
}

#[test]
fn a_port_comes_and_goes_and_nothing_is_lost() {
    within(|| {
        let mut host = host();
        host.steering.insert(&[flow(UDP, 4000, 53)]);
        let (nic, frame) = (index("nic0"), host.udp(53, 4000));
        let inlets = host.uplink.inlets().unwrap().clone();
        host.steered(&frame);
        assert_eq!(host.inlet.as_ref().unwrap().info().mode, XdpMode::Native);
        let said = inlets.open(nic).unwrap_err().to_string();
        assert_eq!(said, "interface nic0: cannot have the XDP form of the uplink: it has it already");

        inlets.close(nic);
        let old = host.inlet.take();
        host.steered(&frame);
        drop(old);
        host.steered(&frame);
        let Inlet { port, number } = inlets.open(nic).unwrap();
        assert_eq!(number, 0);
        host.inlet = Some(port);
        host.steered(&frame);
        inlets.pause(nic);
        let port = host.inlet.take();
        host.steered(&frame);
        host.inlet = port;
        inlets.check(nic).unwrap();
        host.steered(&frame);
        // Without a word, as at a crash.
        host.inlet = None;
        host.steered(&frame);
        let stats = host.uplink.stats();
        assert_eq!((stats.steered, stats.by_xdp), (7, 3));
    });
}

#[test]
fn another_program_is_not_put_out() {
    within(|| {
        set_memory(8 << 20);
        let _link = link();
        ip("link add a0 type veth peer name a1");
        ip("link set a0 up");
        let (uplink, _steering) = Uplink::open("vsw0", Form::Xdp).unwrap();
        let other = Xdp::open("a0", &XdpOptions::default()).unwrap();
        let inlets = uplink.inlets().unwrap();
        let said = inlets.open(index("a0")).unwrap_err().to_string();
        assert!(said.ends_with("(another XDP program is attached: see `ip link`)"), "{said}");
        drop(other);
        inlets.open(index("a0")).unwrap();
    });
}

#[test]
fn the_interfaces_mac_address_is_followed() {
    within(|| {
        let mut host = host();
        host.steering.insert(&[flow(UDP, 4000, 53)]);
        host.steered(&host.udp(53, 4000));
        ip("link set nic0 address 02:00:00:00:00:77");
        ip("neigh replace 10.1.0.2 lladdr 02:00:00:00:00:02 dev nic0");
        host.nic_mac = mac_of("nic0");
        let inlet = host.inlet.take();
        host.steered(&host.udp(53, 4000));
        host.inlet = inlet;
        host.uplink.inlets().unwrap().check(index("nic0")).unwrap();
        host.steered(&host.udp(53, 4000));
    });
}

/// In generic mode TCP keeps its super-frames, and its order with them; what is longer than a port takes goes by the link.
#[test]
fn what_a_port_does_not_take_goes_by_the_link() {
    within(|| {
        set_memory(8 << 20);
        let mut nic = tap("nic0");
        for words in ["add br0 type bridge", "set nic0 mtu 9000", "set nic0 master br0", "set nic0 up", "set br0 up"] {
            ip(&format!("link {words}"));
        }
        ip("addr add 10.1.0.1/24 dev br0");
        let mut link = link();
        let (mut uplink, mut steering) = Uplink::open("vsw0", Form::Xdp).unwrap();
        uplink.attach(index("br0")).unwrap();
        uplink.set_locals(&addresses()).unwrap();
        uplink.publish(UDP, Published::AnyV4, 53..=53, true).unwrap();
        uplink.publish(TCP, Published::AnyV4, 80..=80, true).unwrap();
        let mut port = uplink.inlets().unwrap().open(index("br0")).unwrap().port;
        let info = port.info();
        assert_eq!(info.mode, XdpMode::Generic);
        let why = info.why_generic.as_deref().unwrap();
        assert!(why.starts_with("interface br0: cannot attach an XDP program in native mode"), "{why}");

        let mut host = ArrivesAt(mac_of("br0"));
        let (short, long, syn) = (host.udp(100), host.udp(4000), host.syn());
        for (frame, by_port) in [(&short, true), (&long, false), (&syn, false), (&short, true)] {
            steering.beat();
            namespace::eventually("a bridge that forwards", || {
                (nic.send(&mut wire::Frame::from_bytes(frame)).unwrap() == port::Sent::Done).then_some(())
            });
            let way = by_port.then_some(&mut port);
            receive_until(&mut link, way, "frame", |read| read.bytes() == &frame[..]);
        }
        let stats = uplink.stats();
        assert_eq!(stats, UplinkStats { steered: 4, by_xdp: 2, ..UplinkStats::default() });
    });
}

/// Frames to an interface.
struct ArrivesAt([u8; 6]);

impl ArrivesAt {
    fn ip(&mut self) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
        etherparse::PacketBuilder::ethernet2(PEER_MAC, self.0).ipv4(hosts::PEER.octets(), hosts::HOST.octets(), 60)
    }

    fn udp(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.ip().udp(9, 53).write(&mut bytes, &vec![7; len]).unwrap();
        bytes
    }

    fn syn(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.ip().tcp(9, 80, 1, 1000).syn().write(&mut bytes, &[]).unwrap();
        bytes
    }
}

#[test]
fn interfaces_that_are_not_there_are_refused() {
    within(|| {
        let _link = link();
        let (uplink, _steering) = Uplink::open("vsw0", Form::Xdp).unwrap();
        assert!(uplink.without_xdp().is_none());
        let inlets = uplink.inlets().unwrap();
        let said = inlets.open(999).unwrap_err().to_string();
        assert!(said.contains("interface 999") && said.contains("it is gone"), "{said}");
        assert!(Uplink::open("vsw0", Form::Tc).unwrap().0.inlets().is_none());
    });
}
