//! Attaching: a TAP opened in the host's namespace, its link moved into the sandbox and made ready there.
//! Not the frames, and not which address it gets. Invariant: all or nothing. As long as the TAP's descriptor has not
//! been handed out, dropping it removes the link, in whichever namespace it is by then; that is the whole roll-back.

use std::io;
use std::os::fd::AsFd;

use ipnet::IpNet;
use nix::libc;
use nix::net::if_::if_nametoindex;
use port::xdp::XdpOptions;
use port::{Port, Tap, TapOptions};

use rtnetlink::packet_route::address::AddressScope;

use super::lead_out::add_default;
use super::{Error, LinkSpec, Netns, link, thread};
use crate::netlink::{self, Hop, Netlink};

/// How often a name ethN is chosen again because somebody else took it in between.
const RETRIES: usize = 64;

/// An attached link.
#[derive(Debug)]
pub struct Attached {
    /// The switch's end; dropping it removes the link.
    pub port: Port,
    /// The name of the link in the sandbox.
    pub ifname: String,
}

/// Puts a TAP as `spec` says into `netns`, and sets it and the loopback link up. Takes some milliseconds, in a thread of its
/// own.
///
/// # Errors
/// Any [`Error`]; nothing is left behind then. [`Error::Taken`] when the name that was asked for exists already.
pub async fn attach(netns: &Netns, spec: &LinkSpec) -> Result<Attached, Error> {
    put(netns, spec, None).await
}

/// The same with one end of a veth pair, whose other end is had by AF_XDP.
///
/// # Errors
/// As [`attach`].
pub async fn attach_veth(netns: &Netns, spec: &LinkSpec, options: XdpOptions) -> Result<Attached, Error> {
    put(netns, spec, Some(options)).await
}

async fn put(netns: &Netns, spec: &LinkSpec, veth: Option<XdpOptions>) -> Result<Attached, Error> {
    let sandbox = netns.reference().path.display().to_string();
    if let Some(problem) = spec.problem() {
        let ifname = spec.ifname.clone().unwrap_or_else(|| "ethN".into());
        return Err(Error::Unusable { ifname, sandbox, problem });
    }
    let (netns, spec) = (netns.clone(), spec.clone());
    thread::run(&sandbox.clone(), move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|source| Error::Thread { sandbox: sandbox.clone(), source })?;
        let attachment = Attachment { netns: &netns, spec: &spec, sandbox: &sandbox };
        runtime.block_on(async {
            match veth {
                Some(options) => attachment.run_veth(&options).await,
                None => attachment.run().await,
            }
        })
    })
    .await
}

pub(super) struct Attachment<'a> {
    pub(super) netns: &'a Netns,
    pub(super) spec: &'a LinkSpec,
    pub(super) sandbox: &'a str,
}

impl Attachment<'_> {
    async fn run(self) -> Result<Attached, Error> {
        // The descriptor must be opened in the host's namespace: it holds the one it is opened in.
        thread::enter_own()?;
        let temporary = link::temporary();
        let tap = Tap::create(&temporary, &TapOptions::default())
            .map_err(|source| Error::Port { sandbox: self.sandbox.to_owned(), source })?;
        let index = if_nametoindex(temporary.as_str())
            .map_err(|errno| self.link_error(&temporary, "find the new link", errno.into()))?;
        let host = Netlink::open().map_err(|source| self.thread_error(source))?;
        thread::enter(self.netns)?;
        let inside = Netlink::open().map_err(|source| self.thread_error(source))?;

        let (ifname, index) = self.hand_over(&host, &inside, &temporary, index).await?;
        self.dress(&inside, &ifname, index).await?;
        Ok(Attached { port: tap.into(), ifname })
    }

    /// Moves the link to the sandbox under its final name.
    pub(super) async fn hand_over(
        &self,
        host: &Netlink,
        inside: &Netlink,
        temporary: &str,
        index: u32,
    ) -> Result<(String, u32), Error> {
        for _ in 0..RETRIES {
            let names = netlink::names().map_err(|source| self.link_error(temporary, "list the links", source))?;
            let ifname = match &self.spec.ifname {
                Some(wanted) if names.contains(wanted) => return Err(self.taken(wanted)),
                Some(wanted) => wanted.clone(),
                None => link::lowest_free(&names),
            };
            // An earlier round can have moved the link although its name was refused.
            let moved = match if_nametoindex(temporary) {
                Ok(index) => inside.rename(index, &ifname).await,
                Err(_) => host.hand_over(index, self.netns.file().as_fd(), &ifname).await,
            };
            match moved {
                Ok(()) => {
                    // The kernel gives the link another number where its own is in use.
                    let index = if_nametoindex(ifname.as_str())
                        .map_err(|errno| self.link_error(&ifname, "find the moved link", errno.into()))?;
                    return Ok((ifname, index));
                }
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => continue,
                Err(error) => return Err(self.link_error(&ifname, "move the link into the sandbox", error)),
            }
        }
        Err(self.taken(self.spec.ifname.as_deref().unwrap_or("ethN")))
    }

    /// Gives the moved link its properties and sets it up.
    pub(super) async fn dress(&self, inside: &Netlink, ifname: &str, index: u32) -> Result<(), Error> {
        let spec = self.spec;
        let failed = |step| move |source| self.link_error(ifname, step, source);
        inside.dress(index, spec.mac, spec.mtu, spec.alias()).await.map_err(failed("set MAC address and MTU"))?;
        if let Err(error) = inside.limit_super_frames(index, spec.gso_max_size).await {
            // Only speed is lost: a super-frame then takes two sends.
            tracing::debug!(%ifname, sandbox = self.sandbox, %error, "gso_max_size refused");
        }
        if spec.addresses.iter().any(|net| net.addr().is_ipv6()) {
            allow_ipv6(ifname);
        }
        refuse_advertisements(ifname);
        for &address in &spec.addresses {
            let added = inside.add_address(index, address, AddressScope::Universe).await;
            added.map_err(|source| self.address_error(ifname, address, source))?;
        }
        inside.up(index).await.map_err(failed("set the link up"))?;
        let lo = if_nametoindex("lo").map_err(|errno| self.link_error("lo", "find it", errno.into()))?;
        inside.up(lo).await.map_err(|source| self.link_error("lo", "set it up", source))?;
        for &(to, via) in &spec.routes {
            let added = inside.add_route(Hop { to, via: Some(via), link: index, mtu: None }).await;
            added.map_err(failed("add a route to another subnet of its network"))?;
        }
        for &gateway in &spec.gateways {
            add_default(inside, index, gateway).await.map_err(failed("add the default route"))?;
        }
        Ok(())
    }

    fn taken(&self, ifname: &str) -> Error {
        Error::Taken { ifname: ifname.to_owned(), sandbox: self.sandbox.to_owned() }
    }

    pub(super) fn link_error(&self, ifname: &str, step: &'static str, source: io::Error) -> Error {
        Error::Link { ifname: ifname.to_owned(), sandbox: self.sandbox.to_owned(), step, source }
    }

    fn address_error(&self, ifname: &str, address: IpNet, source: io::Error) -> Error {
        Error::Address { ifname: ifname.to_owned(), sandbox: self.sandbox.to_owned(), address, source }
    }

    pub(super) fn thread_error(&self, source: io::Error) -> Error {
        Error::Thread { sandbox: self.sandbox.to_owned(), source }
    }
}

/// A sandbox's addresses and routes are the switch's business: a router advertisement that another container of the
/// network sends must not change them (RFC 6104). Without IPv6 there is nothing to switch off.
pub(super) fn refuse_advertisements(ifname: &str) {
    let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{ifname}/accept_ra"), "0");
}

/// Switches IPv6 on for one link of the calling thread's namespace: some runtimes switch it off for all links of a
/// sandbox, and an endpoint that was given an IPv6 address is meant to have it. A failure shows when the address is
/// added.
fn allow_ipv6(ifname: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6");
    if std::fs::read(&path).is_ok_and(|value| value.starts_with(b"1")) {
        let _ = std::fs::write(&path, "0");
    }
}
