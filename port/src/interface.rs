//! The machine's interfaces as the calling thread's network namespace has them: owners of addresses, MTUs.
//! Only questions: interfaces are made and changed elsewhere, by netlink.

use std::ffi::c_int;
use std::net::IpAddr;
use std::os::fd::AsFd;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use crate::{Error, ifreq};

/// Name and MTU, in bytes, of the interface that has `address`.
///
/// # Errors
/// No interface has it.
pub fn mtu_of(address: IpAddr) -> Result<(String, u32), Error> {
    let name = owner_of(address)?;
    let mtu = mtu(&name)?;
    Ok((name, mtu))
}

/// Name of the interface that has `address`; the first one if there are several.
///
/// # Errors
/// No interface has it.
pub fn owner_of(address: IpAddr) -> Result<String, Error> {
    let owner = list()?.find(|(_, owned)| *owned == Some(address));
    owner.map(|(name, _)| name).ok_or(Error::NoOwner { address })
}

/// The addresses of interface `ifname` in the kernel's order, IPv4 first, link-local ones included. May be empty.
///
/// # Errors
/// There is no such interface.
pub fn addresses(ifname: &str) -> Result<Vec<IpAddr>, Error> {
    let mut known = false;
    let mut found = Vec::new();
    for (name, address) in list()? {
        if name == ifname {
            known = true;
            found.extend(address);
        }
    }
    if known { Ok(found) } else { Err(Error::NoInterface { name: ifname.to_owned() }) }
}

/// The MAC address of an interface; `None` where it has none.
///
/// # Errors
/// There is no such interface.
pub fn mac(ifname: &str) -> Result<Option<[u8; 6]>, Error> {
    let entries = getifaddrs().map_err(|errno| Error::List { source: errno.into() })?;
    let mut own = entries.filter(|entry| entry.interface_name == ifname).peekable();
    if own.peek().is_none() {
        return Err(Error::NoInterface { name: ifname.to_owned() });
    }
    let link = |address: SockaddrStorage| address.as_link_addr().and_then(|link| link.addr());
    Ok(own.find_map(|entry| entry.address.and_then(link)))
}

/// Every interface at least once (with its link-layer address, or none), then once for every IP address.
fn list() -> Result<impl Iterator<Item = (String, Option<IpAddr>)>, Error> {
    let entries = getifaddrs().map_err(|errno| Error::List { source: errno.into() })?;
    Ok(entries.map(|entry| (entry.interface_name, entry.address.as_ref().and_then(ip))))
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// MTU of an interface, in bytes.
///
/// # Errors
/// There is no such interface.
pub fn mtu(name: &str) -> Result<u32, Error> {
    let failed = |source| Error::Mtu { name: name.to_owned(), source };
    let socket = ifreq::any_socket().map_err(failed)?;
    let mtu: c_int = ifreq::ask(socket.as_fd(), libc::SIOCGIFMTU, name, 0).map_err(failed)?;
    Ok(u32::try_from(mtu).unwrap_or(0))
}
