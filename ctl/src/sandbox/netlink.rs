//! The few questions and orders to the kernel's links, over one netlink socket of one namespace.
//! A socket belongs to the namespace in which it was opened, wherever the thread goes afterwards. Every order runs in
//! the kernel while it is being sent, and so blocks the thread: only for the threads of `thread`.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::StreamExt;
use ipnet::IpNet;
use nix::net::if_::if_nameindex;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, new_connection};
use wire::Mac;

/// One netlink socket.
pub(super) struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace; its messages are driven by the thread's runtime.
    pub(super) fn open() -> io::Result<Netlink> {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Netlink { handle })
    }

    /// Moves link `index` into the namespace `to` and gives it the name `name` there, in one message. When the name
    /// is taken (EEXIST) the link may have been moved all the same, and keeps its old name.
    pub(super) async fn hand_over(&self, index: u32, to: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).setns_by_fd(to.as_raw_fd()).name(name)).await
    }

    /// Renames link `index`.
    pub(super) async fn rename(&self, index: u32, name: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).name(name)).await
    }

    /// Sets MAC, MTU and alias of link `index`.
    pub(super) async fn dress(&self, index: u32, mac: Mac, mtu: u32, alias: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).address(mac.0.to_vec()).mtu(mtu).alias(alias)).await
    }

    /// Sets the size of the largest super-frame, in bytes. Up to 65,536 this holds for IPv4 and IPv6; kernels from 6.3
    /// on follow with their separate limit for IPv4.
    pub(super) async fn limit_super_frames(&self, index: u32, size: u32) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).append_extra_attribute(LinkAttribute::GsoMaxSize(size))).await
    }

    /// Adds an address. IPv6 goes without duplicate address detection: the address is the endpoint's by agreement of
    /// all hosts, and has to work at once.
    pub(super) async fn add_address(&self, index: u32, address: IpNet) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        if address.addr().is_ipv6() {
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.map_err(errno)
    }

    /// Sets link `index` up.
    pub(super) async fn up(&self, index: u32) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).up()).await
    }

    /// The number of the link `name`, and whether it is a TUN or TAP device; `None` when there is no such link.
    pub(super) async fn find(&self, name: &str) -> io::Result<Option<(u32, bool)>> {
        let mut answers = std::pin::pin!(self.handle.link().get().match_name(name.to_owned()).execute());
        match answers.next().await {
            Some(Ok(link)) => Ok(Some((link.header.index, is_tun(&link)))),
            Some(Err(error)) => match errno(error) {
                error if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
                error => Err(error),
            },
            None => Ok(None),
        }
    }

    /// Deletes link `index`.
    pub(super) async fn delete(&self, index: u32) -> io::Result<()> {
        self.handle.link().del(index).execute().await.map_err(errno)
    }

    async fn set(&self, link: LinkMessageBuilder<LinkUnspec>) -> io::Result<()> {
        self.handle.link().set(link.build()).execute().await.map_err(errno)
    }
}

/// The names of all links in the calling thread's namespace.
pub(super) fn names() -> io::Result<HashSet<String>> {
    Ok(if_nameindex()?.iter().map(|link| link.name().to_string_lossy().into_owned()).collect())
}

fn is_tun(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Tun))),
        _ => false,
    })
}

/// The kernel's answer as an I/O error; what is none becomes text.
fn errno(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
