//! An engine with two networks that must never mix. RED has VNI 42 and BLUE has VNI 43; each has three plain ports and one
//! other host, and BLUE uses the addresses of RED's endpoints once more. RED has a VLAN besides, which is nobody else's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use switch::{
    BridgeId, BridgeSettings, Guard, Limits, Out, Place, PortId, PortSettings, Switch, Update, VlanMode, Vni,
};
use wire::{Mac, Offload, Time};

pub(crate) const RED: BridgeId = BridgeId(1);
pub(crate) const BLUE: BridgeId = BridgeId(2);
/// Longest packet of either network, in bytes.
pub(crate) const MTU: u16 = 1450;
/// The port whose frames are fuzzed, with its guard.
pub(crate) const SENDER: PortId = PortId(1);
pub(crate) const NOW: Time = Time::from_secs(1);
/// The other host of RED.
pub(crate) const RED_VTEP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
/// The other host of BLUE.
pub(crate) const BLUE_VTEP: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
/// An access port of RED's VLAN 10.
pub(crate) const ACCESS: PortId = PortId(7);
/// A trunk of RED for the VLANs 10 and 20; its untagged frames are of VLAN 10.
pub(crate) const TRUNK: PortId = PortId(8);
/// Plain ports of each network.
pub(crate) const PORTS: usize = 3;

/// What came out of ports.
pub(crate) type Frames = Vec<(PortId, Vec<u8>, Offload)>;

/// The network of a port.
pub(crate) fn bridge_of(port: PortId) -> BridgeId {
    if matches!(port.0, 4..=6) { BLUE } else { RED }
}

/// The network with that number.
pub(crate) fn bridge_with(vni: u32) -> Option<BridgeId> {
    [(42, RED), (43, BLUE)].into_iter().find(|(own, _)| *own == vni).map(|(_, bridge)| bridge)
}

/// The other host of a network.
pub(crate) fn vtep_of(bridge: BridgeId) -> IpAddr {
    if bridge == RED { RED_VTEP } else { BLUE_VTEP }
}

/// The endpoint number `last`: 10.10.10.x, fd00::x.
pub(crate) fn addresses(last: u8) -> [IpAddr; 2] {
    [Ipv4Addr::new(10, 10, 10, last).into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)).into()]
}

/// Its MAC address.
pub(crate) fn mac(last: u8) -> Mac {
    Mac([2, 0x42, 10, 10, 10, last])
}

/// Endpoints 2 and 3 here, 4 elsewhere; ports 1 to 3 are RED's and 4 to 6 BLUE's, the third of each without guard.
pub(crate) fn engine() -> Switch {
    let mut switch = Switch::new(Limits { flows: 64, join_udp: true }, 42);
    for (bridge, vni, first) in [(RED, 42, 1), (BLUE, 43, 4)] {
        let settings = BridgeSettings::new("net", Vni::new(vni).ok(), MTU);
        switch.apply(NOW, Update::Bridge { id: bridge, settings });
        for (number, last) in [(first, Some(2)), (first + 1, Some(3)), (first + 2, None)] {
            let id = PortId(number);
            let guard = last.map(|last| Guard { mac: mac(last), addresses: addresses(last).to_vec() });
            switch.apply(NOW, Update::Port { id, settings: PortSettings { name: "port".into(), bridge, guard } });
            if let Some(last) = last {
                switch.apply(NOW, endpoint(bridge, last, Place::Port(id)));
            }
        }
        let vtep = vtep_of(bridge);
        switch.apply(NOW, Update::Peer { bridge, vtep });
        switch.apply(NOW, endpoint(bridge, 4, Place::Tunnel(vtep)));
    }
    let trunk = VlanMode::Trunk { tagged: [10, 20].into_iter().collect(), native: Some(10) };
    for (id, mode) in [(ACCESS, VlanMode::Access(10)), (TRUNK, trunk)] {
        let settings = PortSettings { name: "port".into(), bridge: RED, guard: None };
        switch.apply(NOW, Update::Port { id, settings });
        switch.apply(NOW, Update::Vlan { id, mode });
    }
    switch
}

fn endpoint(bridge: BridgeId, last: u8, place: Place) -> Update {
    Update::Endpoint { bridge, mac: mac(last), addresses: addresses(last).to_vec(), place }
}

/// Takes the frames out of `out`.
pub(crate) fn frames(out: &mut Out) -> Frames {
    let found = out.frames.iter().map(|(port, frame)| (*port, frame.bytes().to_vec(), frame.offload)).collect();
    for (_, frame) in out.frames.drain(..) {
        out.pool.put(frame);
    }
    found
}
