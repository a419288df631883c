//! Two networks on one host, side by side, and whose ports and addresses are whose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use switch::{BridgeId, BridgeSettings, Gateway, Place, PortId, Route, Update};
use wire::Mac;

use crate::world::{BLUE, Host, RED, ip, mac};

pub(crate) const UPLINK: Mac = Mac([2, 0, 0, 0, 0, 0x99]);
pub(crate) const OUT: Mac = port::OUT_MAC;
pub(crate) const HOST: [IpAddr; 2] = [v4([198, 51, 100, 1]), v6(0x77, 1)];
pub(crate) const FAR: [IpAddr; 2] = [v4([203, 0, 113, 9]), v6(0x99, 9)];
pub(crate) const VNI: u32 = 42;
/// Ports of each network: one guarded, one not.
pub(crate) const PORTS: [(BridgeId, [u32; 2]); 2] = [(RED, [1, 2]), (BLUE, [3, 4])];

pub(crate) const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

pub(crate) const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host))
}

/// RED has 10.10.10.0/24 and fd00::/64, BLUE 10.20.20.0/24 and fd00:20::/64; the last byte says who.
pub(crate) fn of_red(last: u8) -> [IpAddr; 2] {
    [ip(last).into(), v6(0, last.into())]
}

pub(crate) fn of_blue(last: u8) -> [IpAddr; 2] {
    [v4([10, 20, 20, last]), v6(0x20, last.into())]
}

pub(crate) fn blue_mac(last: u8) -> Mac {
    Mac::from_ipv4(Ipv4Addr::new(10, 20, 20, last))
}

/// RED reaches another host by VXLAN, BLUE is on this one alone. Both have a way outside, and to the host.
pub(crate) fn host() -> Host {
    let mut host = Host::new(1);
    for (id, vni, of, mac) in
        [(RED, Some(VNI), of_red as fn(u8) -> [IpAddr; 2], mac as fn(u8) -> Mac), (BLUE, None, of_blue, blue_mac)]
    {
        let addresses =
            of(1).map(|ip| format!("{ip}/{}", if ip.is_ipv4() { 24 } else { 64 }).parse().unwrap()).to_vec();
        let gateway = Some(Gateway { mac: mac(1), addresses, internal: false, host_access: true });
        let vni = vni.map(|vni| switch::Vni::new(vni).unwrap());
        host.apply(Update::Bridge {
            id,
            settings: BridgeSettings { gateway, ..BridgeSettings::new("net", vni, 1450) },
        });
        let ports = PORTS.iter().find(|(network, _)| *network == id).unwrap().1;
        for (port, last, guarded) in [(ports[0], 2, true), (ports[1], 3, false)] {
            let (id, bridge, mac, addresses) = (PortId(port), id, mac(last), of(last).to_vec());
            let guard = guarded.then(|| switch::Guard { mac, addresses: addresses.clone() });
            let name = format!("p{port}").as_str().into();
            host.apply(Update::Port { id, settings: switch::PortSettings { name, bridge, guard } });
            host.apply(Update::Endpoint { bridge, mac, addresses, place: Place::Port(id) });
        }
    }
    host.remote(RED, ip(4), v4([192, 0, 2, 2]));
    host.apply(Update::Uplink { mac: Some(UPLINK) });
    let route = |to: &str, source| Route { to: to.parse().unwrap(), source, mtu: 1500 };
    let routes = vec![route("0.0.0.0/0", HOST[0]), route("::/0", HOST[1])];
    host.apply(Update::Host { addresses: HOST.to_vec(), routes });
    host
}

/// The other one.
pub(crate) fn other(network: BridgeId) -> BridgeId {
    if network == RED { BLUE } else { RED }
}

pub(crate) fn ports_of(network: BridgeId) -> [u32; 2] {
    PORTS.iter().find(|(id, _)| *id == network).unwrap().1
}

/// Whether an address is of a network's subnets.
pub(crate) fn is_of(network: BridgeId, address: IpAddr) -> bool {
    let nets: [ipnet::IpNet; 2] = match network {
        RED => ["10.10.10.0/24".parse().unwrap(), "fd00::/64".parse().unwrap()],
        _ => ["10.20.20.0/24".parse().unwrap(), "fd00:20::/64".parse().unwrap()],
    };
    nets.iter().any(|net| net.contains(&address))
}
