//! A sandbox's link as one end of a veth pair, whose other end is the switch's by AF_XDP; and an interface of the host.
//! The pair is made in the switch's own namespace, and the sandbox's end is moved from there. What a sender in the sandbox
//! leaves unfinished could not be told here, so its kernel finishes all.

use nix::net::if_::if_nametoindex;
use port::xdp::XdpOptions;
use port::{Xdp, ethtool};
use rtnetlink::{LinkUnspec, LinkVeth};

use super::attach::{Attached, Attachment};
use super::{Error, den, link, thread};
use crate::netlink::{Netlink, errno};

impl Attachment<'_> {
    pub(super) async fn run_veth(self, options: &XdpOptions) -> Result<Attached, Error> {
        den::enter()?;
        let den = Netlink::open().map_err(|source| self.thread_error(source))?;
        let (ours, theirs) = (link::temporary(), link::temporary());
        let pair = LinkVeth::new(&ours, &theirs).build();
        let made = den.handle().link().add(pair).execute().await;
        made.map_err(|error| self.link_error(&ours, "make a veth link", errno(error)))?;
        let index =
            |name: &str| if_nametoindex(name).map_err(|errno| self.link_error(name, "find the new link", errno.into()));
        let (our_index, their_index) = (index(&ours)?, index(&theirs)?);
        let attached = self.finish_veth(&den, (&ours, our_index), (&theirs, their_index), options).await;
        if attached.is_err() {
            // Both ends go. An error means that they are gone.
            let _ = den.delete(our_index).await;
        }
        attached
    }

    async fn finish_veth(
        &self,
        den: &Netlink,
        (ours, our_index): (&str, u32),
        (theirs, their_index): (&str, u32),
        options: &XdpOptions,
    ) -> Result<Attached, Error> {
        let up = LinkUnspec::new_with_index(our_index).mtu(self.spec.mtu).up();
        den.set(up).await.map_err(|source| self.link_error(ours, "set MTU and up", source))?;
        thread::enter(self.netns)?;
        let inside = Netlink::open().map_err(|source| self.thread_error(source))?;
        let (ifname, index) = self.hand_over(den, &inside, theirs, their_index).await?;
        ethtool::finish_frames(&ifname)
            .map_err(|source| self.link_error(&ifname, "have its checksums completed", source))?;
        self.dress(&inside, &ifname, index).await?;
        den::enter()?;
        let failed = |source| Error::Port { sandbox: self.sandbox.to_owned(), source };
        let mut port = Xdp::open(ours, options).map_err(failed)?;
        port.own_link().map_err(failed)?;
        Ok(Attached { port: port.into(), ifname })
    }
}

/// Takes an interface of the host.
///
/// # Errors
/// [`Error::Port`] says why not.
pub async fn take(ifname: &str, options: XdpOptions) -> Result<Xdp, Error> {
    let ifname = ifname.to_owned();
    thread::run(thread::OWN, move || {
        thread::enter_own()?;
        Xdp::open(&ifname, &options).map_err(|source| Error::Interface { ifname, source })
    })
    .await
}
