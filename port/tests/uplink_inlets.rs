//! The XDP form's ports: how they come and go, what they leave to the link, and which interfaces cannot have one. Needs root.

mod hosts;
mod namespace;

use port::xdp::{Xdp, XdpMode, XdpOptions, set_memory};
use port::{Form, Inlet, Published, Sent, Uplink};
use wire::protocol::UDP;
use wire::{Frame, Offload, checksum};

use hosts::{HOST, Host, PEER, Way, best, flow, index, link, mac_of, receive_until};
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

#[test]
fn frames_longer_than_a_port_takes_go_by_the_link() {
    within(|| {
        let mut host = host();
        ip("link set nic0 mtu 9000");
        host.uplink.publish(UDP, Published::AnyV4, 53..=53, true).unwrap();
        for (len, by_port) in [(100, true), (4000, false), (100, true)] {
            let mut frame = Vec::new();
            host.ether().ipv4(PEER.octets(), HOST.octets(), 60).udp(9, 53).write(&mut frame, &vec![7; len]).unwrap();
            host.steering.beat();
            host.arrive(&frame);
            let way = if by_port { host.inlet.as_mut() } else { None };
            receive_until(&mut host.link, way, "frame", |read| read.bytes() == &frame[..]);
        }
        let stats = host.uplink.stats();
        assert_eq!((stats.steered, stats.by_xdp), (3, 2));
    });
}

/// What the host is to keep of a NIC that it shares: see `OPTIONS` of the code.
#[test]
fn a_port_is_native_or_none() {
    within(|| {
        set_memory(8 << 20);
        let _link = link();
        ip("link add br0 type bridge");
        ip("link set br0 up");
        let (uplink, _steering) = Uplink::open("vsw0", Form::Xdp).unwrap();
        let said = uplink.inlets().unwrap().open(index("br0")).unwrap_err().to_string();
        assert_eq!(said, "interface br0: cannot have the XDP form of the uplink: its driver has no native XDP");
        assert_eq!(Xdp::open("br0", &XdpOptions::default()).unwrap().info().mode, XdpMode::Generic, "nothing is left");
    });
}

/// A TAP runs the program before it looks at what its writer says of the frame.
#[test]
fn partial_checksums_of_a_tap_are_known() {
    within(|| {
        let mut host = host();
        host.steering.insert(&[flow(UDP, 4000, 53)]);
        let complete = host.udp(53, 4000);
        let l4 = 14 + 20;
        // The pseudo-header's sum alone (RFC 768).
        let mut pseudo = [PEER.octets(), HOST.octets(), [0, UDP, 0, 0]].concat();
        pseudo[10..].copy_from_slice(&complete[l4 + 4..l4 + 6]);
        let sum = pseudo.chunks(2).fold(0, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let mut frame = Frame::from_bytes(&complete);
        frame.bytes_mut()[l4 + 6..l4 + 8].copy_from_slice(&((sum & 0xffff) as u16 + (sum >> 16) as u16).to_be_bytes());
        frame.offload = Offload::partial(l4 as u16, 6);
        host.steering.beat();
        assert_eq!(host.nic.send(&mut frame).unwrap(), Sent::Done);
        let mut came =
            receive_until(&mut host.link, host.inlet.as_mut(), "frame", |frame| frame.len() == complete.len());
        assert_eq!(came.offload.partial_checksum(), Some((34, 6)));
        checksum::complete(&mut came).unwrap();
        assert_eq!(came.bytes(), complete);
    });
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
