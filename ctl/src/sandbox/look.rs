//! Looking at a link of a sandbox, for those who made it and want to know whether it still is as they made it.
//! Changes nothing.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkFlags;

use super::{Error, Netns, thread};
use crate::netlink::errno;

/// A link as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Whether it is set up.
    pub up: bool,
    /// Its addresses, link-local ones among them.
    pub addresses: Vec<IpNet>,
    /// The gateways of its default routes, IPv4 first.
    pub gateways: Vec<IpAddr>,
}

/// The link `ifname` in `netns`; `None` when there is none.
///
/// # Errors
/// [`Error::Link`] when the kernel does not answer.
pub async fn look(netns: &Netns, ifname: &str) -> Result<Option<Seen>, Error> {
    let sandbox = netns.reference().path.display().to_string();
    let ifname = ifname.to_owned();
    thread::inside(netns, async move |inside| {
        let failed =
            |source| Error::Link { ifname: ifname.clone(), sandbox: sandbox.clone(), step: "look at it", source };
        let Some((index, _)) = inside.find(&ifname).await.map_err(failed)? else { return Ok(None) };
        let link = inside.handle().link().get().match_index(index).execute().try_next().await;
        let up =
            link.map_err(|error| failed(errno(error)))?.is_some_and(|link| link.header.flags.contains(LinkFlags::Up));
        let answers = inside.handle().address().get().set_link_index_filter(index).execute();
        let found: Vec<_> = answers.try_collect().await.map_err(|error| failed(errno(error)))?;
        let addresses = found.iter().filter_map(|message| {
            let address = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            IpNet::new(address?, message.header.prefix_len).ok()
        });
        let gateways = inside.ways_out(index).await.map_err(failed)?;
        Ok(Some(Seen { up, addresses: addresses.collect(), gateways }))
    })
    .await
}
