//! Frames of any kind in and out of a place's `eth0`, as whoever has a packet socket there sends and sees them.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, bind, send, socket};
use wire::Mac;

use crate::exec::Process;
use crate::netns::Place;
use crate::wait;

/// Sends frames out of `eth0`, as they are.
pub fn send_all(from: &impl Place, frames: &[Vec<u8>]) -> Result<()> {
    from.enter(|| {
        // Protocol 0: it sends, and hears nothing.
        let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .context("cannot open a packet socket")?;
        bind(packet.as_raw_fd(), &own_link()?).context("cannot bind to eth0")?;
        for frame in frames {
            send(packet.as_raw_fd(), frame, MsgFlags::empty()).context("cannot send a frame")?;
        }
        Ok(())
    })
}

/// The link address of `eth0` in the thread's namespace.
fn own_link() -> Result<LinkAddr> {
    let links = nix::ifaddrs::getifaddrs()?.filter(|link| link.interface_name == "eth0");
    let mut addresses = links.filter_map(|link| link.address);
    let own = addresses.find_map(|address| {
        (address.family() == Some(AddressFamily::Packet)).then(|| address.as_link_addr().copied()).flatten()
    });
    own.context("there is no eth0")
}

/// A broadcast ARP request with that source, 60 bytes long, with a tag (PCP, DEI, VID) or without.
pub fn broadcast(src: Mac, tag: Option<u16>) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(src.0);
    if let Some(tag) = tag {
        frame.extend([0x81, 0]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(src.0);
    frame.extend(Ipv4Addr::new(192, 0, 2, 7).octets());
    frame.extend([0; 6]);
    frame.extend(Ipv4Addr::new(192, 0, 2, 8).octets());
    frame.resize(60, 0);
    frame
}

/// Everything that comes in on a place's `eth0`, a line of tcpdump's for each frame: link addresses, tag, the rest.
#[derive(Debug)]
pub struct Ear {
    process: Process,
}

impl Ear {
    /// Listens from now on.
    pub fn open(at: &impl Place, name: &str, dir: &Path) -> Result<Ear> {
        let netns = at.netns()?;
        let argv = ["tcpdump", "-Z", "root", "-i", "eth0", "-Q", "in", "-l", "-e", "-n", "--immediate-mode"];
        let process = Process::start(Some(&netns), &argv, &[], &dir.join(format!("ear-{name}.log")))?;
        let mut ear = Ear { process };
        wait::until(Duration::from_secs(5), "tcpdump to listen", || {
            ear.process.check_alive()?;
            ensure!(ear.process.log().contains("listening on"), "not yet");
            Ok(())
        })?;
        Ok(ear)
    }

    /// The lines about frames with that source.
    pub fn heard_from(&self, src: Mac) -> Vec<String> {
        let src = format!(" {src} > ");
        self.process.log().lines().filter(|line| line.contains(&src)).map(str::to_owned).collect()
    }
}
