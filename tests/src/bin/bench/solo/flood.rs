//! What a flood of first packets from a million sources costs others: one TCP stream between two containers while the flood
//! goes to a third, next to the same stream while the same flood goes to a link that nobody reads.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket};
use port::{Tap, TapOptions};
use tests::exec::Process;
use tests::{Lab, Netns, Place, Station};

use crate::load::{Metric, bulk};
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;
use crate::topology::ours;

const SOURCES: u32 = 1_000_000;
const BATCH: usize = 64;
const PUBLISHED: u16 = 8_080;
const STREAM: u16 = 5_201;
const NOBODY: &str = "nobody0";

/// Gbit/s of the stream: flood from outside to a published port, flood from a container to its neighbour.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let host = lab.host("flood1")?;
    let outside = lab.outside(&[&host], 1500)?;
    let daemon = ours::alone(&host)?;
    let attach = |name: &str, flags: &[&str]| Station::attach(&daemon, "RED", name, flags);
    let (a, b) = (attach("a", &[])?, attach("b", &[])?);
    let victim = attach("victim", &["--publish", &format!("{PUBLISHED}:80")])?;
    let flooder = attach("flooder", &["--allow-spoof"])?;

    let far = outside.netns()?;
    let _tap =
        far.enter(|| Tap::create(NOBODY, &TapOptions::default()).context("cannot make the link that nobody reads"))?;
    far.exec(&["ip", "link", "set", NOBODY, "up"])?;
    let argv = ["iperf3", "-s", "-p", &STREAM.to_string()];
    let _server = Process::start(Some(&b.netns()?), &argv, &[], &host.dir().join("iperf3-b.log"))?;

    let to_host = link(&host.netns()?, "out0")?;
    let to_victim = link(&victim.netns()?, "eth0")?;
    let outer = format!("to-{}", host.name());
    let published = frames(&link(&far, &outer)?, &to_host, (v4(host.outer4())?, PUBLISHED))?;
    let direct = frames(&link(&flooder.netns()?, "eth0")?, &to_victim, (v4(victim.address4()?)?, 80))?;

    let places = [("outside", &far, outer.as_str(), &published), ("neighbour", &flooder.netns()?, "eth0", &direct)];
    let mut rows = Vec::new();
    for (peer, from, through, frames) in places {
        let (mut ours, mut theirs, mut busy) = (Vec::new(), Vec::new(), false);
        for run in 1..=bench.args.runs {
            let sides = [(from, through, &mut ours, "at a container"), (&far, NOBODY, &mut theirs, "at nobody")];
            for (from, through, figures, name) in sides {
                let work = || under_flood(from, through, frames, || stream(&a, &b, bench.args.length()));
                let ((rate, sent), disturbed) = bench.guard.run(work)?;
                busy |= disturbed;
                println!(
                    "  run {run} of {}  flood from {peer} {name}: {} Gbit/s, {sent} SYNs",
                    bench.args.runs,
                    show(rate)
                );
                figures.push(rate);
            }
        }
        rows.extend(Row::compared(case, peer, Metric::higher("Gbit/s"), &ours, &theirs, busy));
    }
    Ok(rows)
}

fn stream(a: &Station, b: &Station, length: Duration) -> Result<f64> {
    bulk::run(&a.netns()?, (b.address4()?, STREAM), &[], length)
}

/// Does `work` while the frames are sent again and again, as fast as the link takes them.
fn under_flood(from: &Netns, through: &str, frames: &[Vec<u8>], work: impl Fn() -> Result<f64>) -> Result<(f64, u64)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| from.enter(|| send(through, frames, &stop)));
        let rate = work();
        stop.store(true, Ordering::Relaxed);
        let sent = flood.join().map_err(|_| anyhow::anyhow!("the flood broke"))??;
        Ok((rate?, sent))
    })
}

fn send(through: &str, frames: &[Vec<u8>], stop: &AtomicBool) -> Result<u64> {
    let own = own_link(through)?;
    let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a packet socket")?;
    bind(packet.as_raw_fd(), &own).with_context(|| format!("cannot bind to {through}"))?;
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut sent = 0;
    for batch in frames.chunks_exact(BATCH).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|frame| [IoSlice::new(frame)]).collect();
        match sendmmsg(packet.as_raw_fd(), &mut headers, &slices, [None; BATCH], [], MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS) => sent += BATCH as u64,
            Err(error) => return Err(error).context("cannot send the flood"),
        }
    }
    Ok(sent)
}

/// A SYN from each source.
fn frames(own: &LinkAddr, to: &LinkAddr, (address, port): (Ipv4Addr, u16)) -> Result<Vec<Vec<u8>>> {
    let mac = |link: &LinkAddr| link.addr().context("a link without MAC address");
    let (own, to) = (mac(own)?, mac(to)?);
    (0..SOURCES)
        .map(|number| {
            // 20.0.0.0/8: routed to the outside, nobody's here.
            let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(20, 0, 0, 0)) + number);
            let mut frame = Vec::with_capacity(60);
            PacketBuilder::ethernet2(own, to)
                .ipv4(source.octets(), address.octets(), 64)
                .tcp(1_024 + (number % 60_000) as u16, port, number, 65_000)
                .syn()
                .write(&mut frame, &[])?;
            Ok(frame)
        })
        .collect()
}

fn v4(address: IpAddr) -> Result<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => anyhow::bail!("an IPv4 address is wanted"),
    }
}

fn link(place: &Netns, name: &str) -> Result<LinkAddr> {
    place.enter(|| own_link(name))
}

fn own_link(name: &str) -> Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == name)
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .with_context(|| format!("no {name}"))
}
