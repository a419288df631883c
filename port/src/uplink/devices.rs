//! The interfaces of the namespace: index by name, kind of link layer. Only questions.

use std::io;

use crate::Error;
use crate::netlink::{ACK, DUMP, Netlink, Request, u16_at, u32_at};

const RTM_GETLINK: u16 = 18;
const INFO: usize = 16;
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
    Some(Device { kind: u16_at(body, 2)?, ifindex: u32_at(body, 4)? })
}

/// The index of the interface with this name, in the calling thread's namespace.
pub(super) fn index_of(name: &str) -> Result<u32, Error> {
    nix::net::if_::if_nametoindex(name).map_err(|_| Error::NoInterface { name: name.to_owned() })
}
