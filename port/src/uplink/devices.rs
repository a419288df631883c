//! The interfaces of the namespace: index by name, kind of link layer, what they are made of. Only questions.

use std::io;

use crate::Error;
use crate::netlink::{ACK, DUMP, Netlink, Request, attributes, u16_at, u32_at};

const RTM_GETLINK: u16 = 18;
const INFO: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// Mobile modems; libc does not have it.
const ARPHRD_RAWIP: u16 = 519;

/// What a packet starts with at the ingress of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Ip,
}

pub(super) struct Device {
    pub(super) ifindex: u32,
    /// ARPHRD_...
    pub(super) kind: u16,
    pub(super) name: String,
    pub(super) mac: Option<[u8; 6]>,
    /// What it is made of, such as `vlan`; empty for a card.
    pub(super) made_of: String,
    /// The interface below it.
    pub(super) below: Option<u32>,
}

impl Device {
    /// None: some link layer that is unknown here.
    pub(super) fn layer(&self) -> Option<Layer> {
        match self.kind {
            libc::ARPHRD_ETHER => Some(Layer::Ethernet),
            libc::ARPHRD_NONE
            | ARPHRD_RAWIP
            | libc::ARPHRD_PPP
            | libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT => Some(Layer::Ip),
            _ => None,
        }
    }
}

/// All interfaces of the socket's namespace.
pub(super) fn list(netlink: &Netlink) -> io::Result<Vec<Device>> {
    let answers = netlink.ask(Request::new(RTM_GETLINK, DUMP, &[0; INFO]))?;
    Ok(answers.iter().filter_map(|answer| device(&answer.body)).collect())
}

/// One interface.
pub(super) fn get(netlink: &Netlink, ifindex: u32) -> io::Result<Device> {
    let mut info = [0; INFO];
    info[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    let answers = netlink.ask(Request::new(RTM_GETLINK, ACK, &info))?;
    answers.first().and_then(|answer| device(&answer.body)).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn device(body: &[u8]) -> Option<Device> {
    let (kind, ifindex) = (u16_at(body, 2)?, u32_at(body, 4)?);
    let mut device = Device { ifindex, kind, name: String::new(), mac: None, made_of: String::new(), below: None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    for (attribute, value) in attributes(body.get(INFO..).unwrap_or_default()) {
        match attribute {
            IFLA_IFNAME => device.name = text(value),
            IFLA_ADDRESS => device.mac = value.try_into().ok(),
            IFLA_LINK => device.below = u32_at(value, 0),
            IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                device.made_of = kind.map(|(_, kind)| text(kind)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(device)
}

/// The index of the interface with this name, in the calling thread's namespace.
pub(super) fn index_of(name: &str) -> Result<u32, Error> {
    nix::net::if_::if_nametoindex(name).map_err(|_| Error::NoInterface { name: name.to_owned() })
}
