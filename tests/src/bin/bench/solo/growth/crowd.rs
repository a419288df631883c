//! A daemon with many containers, ten of which talk: five senders, each with a receiver of its own. Containers are namespaces
//! without a process: a thousand processes more would cost whoever looks at processes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use tests::cluster::addresses;
use tests::vswitchd::Options;
use tests::{Lab, Netns, Place, Vswitchd, api};

use super::World;
use crate::load::sink::Sink;
use crate::load::spray::{Sent, Spray, Vary};

const NETWORK: &str = "RED";
const SUBNET: &str = "10.20.0.0/16";
/// Containers that talk.
const BUSY: usize = 10;
/// Containers that are attached at the same time: an attachment mostly waits for the kernel.
const AT_ONCE: usize = 8;
const WARM_UP: Duration = Duration::from_millis(100);

/// The daemon and its containers. These go first: the kernel takes all links of namespaces that go together in one step.
pub(crate) struct Crowd {
    pairs: Vec<Pair>,
    _containers: Vec<Netns>,
    daemon: Vswitchd,
}

/// One sender, one receiver.
pub(crate) struct Pair {
    pub(crate) from: Netns,
    pub(crate) to: Netns,
    pub(crate) sink: Sink,
    pub(crate) spray: Spray,
}

impl Crowd {
    /// A daemon without containers on the host of that number, and a network.
    pub(crate) fn daemon(lab: &Lab, number: u32) -> Result<Vswitchd> {
        let host = lab.host(&format!("crowd{number}"))?;
        let daemon = Vswitchd::start_with(&host, Options { local_only: true, ..Options::default() })?;
        daemon.vsctl(&["network", "create", "--subnet", SUBNET, NETWORK])?;
        Ok(daemon)
    }

    /// Attaches so many containers to a daemon, at least ten.
    pub(crate) fn gather(daemon: Vswitchd, count: u32) -> Result<Crowd> {
        let (next, start) = (AtomicU32::new(0), Instant::now());
        let work = || {
            let mut attached = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(attached);
                }
                crate::interrupt::check()?;
                attached.push(attach(&daemon, number)?);
            }
        };
        let members: Vec<(Netns, Ipv4Addr)> = thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, Result<Vec<_>>>| {
                worker.join().map_err(|_| anyhow!("who attaches containers panicked"))?
            };
            Ok::<_, anyhow::Error>(workers.into_iter().map(join).collect::<Result<Vec<_>>>()?.concat())
        })?;
        println!("  {count} containers attached in {:.1} s", start.elapsed().as_secs_f64());
        let busy = members.iter().take(BUSY).collect::<Vec<_>>();
        let pairs = busy.chunks_exact(2).map(|two| Pair::new(two[0], two[1])).collect::<Result<Vec<_>>>()?;
        let containers = members.into_iter().map(|(container, _)| container).collect();
        // What is set up once is not the question; and sinks hold their first datagrams without counting them.
        blast(&pairs, |_| Force::FULL, WARM_UP)?;
        Ok(Crowd { pairs, _containers: containers, daemon })
    }

    /// Its daemon.
    pub(crate) fn switch(&self) -> &Vswitchd {
        &self.daemon
    }

    /// Who talks.
    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }
}

/// A container and its address.
fn attach(daemon: &Vswitchd, number: u32) -> Result<(Netns, Ipv4Addr)> {
    let container = Netns::bare()?;
    // What the kernel says of its own accord is in nobody's count.
    container.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    let wish = json!({ "network": NETWORK, "name": format!("c{number}"), "netns": container.path() });
    let (status, row) = api::request(daemon.socket(), "POST", "/v1/ports", wish.to_string().as_bytes())?;
    ensure!(status == 201, "container {number} was not attached: {row}");
    let address = addresses(&row)?.into_iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    });
    Ok((container, address.context("a container without address")?))
}

impl Pair {
    fn new(from: &(Netns, Ipv4Addr), to: &(Netns, Ipv4Addr)) -> Result<Pair> {
        let spray = Spray::between((&from.0, from.1), (&to.0, to.1), Vary::Ports, 1)?;
        let sink = Sink::open(&to.0, to.1, spray.ports())?;
        Ok(Pair { from: from.0.netns()?, to: to.0.netns()?, sink, spray })
    }
}

/// How a port sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Force {
    pub(crate) threads: usize,
    /// Between two calls of a thread, each of which sends 64 frames.
    pub(crate) pause: Duration,
}

impl Force {
    /// As fast as one thread can.
    pub(crate) const FULL: Force = Force { threads: 1, pause: Duration::ZERO };
}

/// All pairs at once, the sender of number N with that force; what each sent and how many arrived.
pub(crate) fn blast(pairs: &[Pair], force: impl Fn(usize) -> Force, length: Duration) -> Result<Vec<(Sent, u64)>> {
    let before = pairs.iter().map(|pair| pair.sink.count()).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let sent = thread::scope(|scope| {
        let senders: Vec<Vec<_>> = (0..pairs.len())
            .map(|number| {
                let (pair, Force { threads, pause }) = (&pairs[number], force(number));
                let on = move || {
                    if !pause.is_zero() {
                        thread::sleep(pause);
                    }
                    start.elapsed() < length
                };
                let send = move || pair.from.enter(|| pair.spray.send(on));
                (0..threads).map(|_| scope.spawn(send)).collect()
            })
            .collect();
        let join = |all: Vec<thread::ScopedJoinHandle<'_, Result<Sent>>>| {
            all.into_iter().try_fold(Sent::default(), |sum, sender| {
                let sent = sender.join().map_err(|_| anyhow!("a sender panicked"))??;
                Ok(Sent { frames: sum.frames + sent.frames, took: sum.took.max(sent.took) })
            })
        };
        senders.into_iter().map(join).collect::<Result<Vec<Sent>>>()
    })?;
    // What is still on its way.
    thread::sleep(Duration::from_millis(200));
    let after = pairs.iter().map(|pair| pair.sink.count()).collect::<Result<Vec<_>>>()?;
    Ok(sent.into_iter().zip(before.iter().zip(after).map(|(before, after)| after - before)).collect())
}

impl World for Crowd {
    fn rate(&self, length: Duration) -> Result<f64> {
        let sent = blast(&self.pairs, |_| Force::FULL, length)?;
        Ok(sent.iter().map(|(sent, received)| *received as f64 / sent.took.as_secs_f64()).sum())
    }
}
