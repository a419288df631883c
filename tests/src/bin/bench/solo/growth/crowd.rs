//! A daemon with many containers, ten of which talk: five senders, each with a receiver of its own. Containers are namespaces
//! without a process: a thousand processes more would cost whoever looks at processes.

use std::net::Ipv4Addr;
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
        let (mut members, start) = (Vec::new(), Instant::now());
        for number in 0..count {
            crate::interrupt::check()?;
            let container = Netns::bare()?;
            let wish = json!({ "network": NETWORK, "name": format!("c{number}"), "netns": container.path() });
            let (status, row) = api::request(daemon.socket(), "POST", "/v1/ports", wish.to_string().as_bytes())?;
            ensure!(status == 201, "container {number} was not attached: {row}");
            let address = addresses(&row)?.into_iter().find_map(|address| match address {
                std::net::IpAddr::V4(address) => Some(address),
                std::net::IpAddr::V6(_) => None,
            });
            members.push((container, address.context("a container without address")?));
        }
        println!("  {count} containers attached in {:.1} s", start.elapsed().as_secs_f64());
        let busy = members.iter().take(BUSY).collect::<Vec<_>>();
        let pairs = busy.chunks_exact(2).map(|two| Pair::new(two[0], two[1])).collect::<Result<Vec<_>>>()?;
        let containers = members.into_iter().map(|(container, _)| container).collect();
        // What is set up once is not the question; and sinks hold their first datagrams without counting them.
        blast(&pairs, |_| 1, WARM_UP)?;
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

impl Pair {
    fn new(from: &(Netns, Ipv4Addr), to: &(Netns, Ipv4Addr)) -> Result<Pair> {
        let spray = Spray::between((&from.0, from.1), (&to.0, to.1), Vary::Ports, 1)?;
        let sink = Sink::open(&to.0, to.1, spray.ports())?;
        Ok(Pair { from: from.0.netns()?, to: to.0.netns()?, sink, spray })
    }
}

/// All pairs at once, the sender of number N with so many threads; what each sent and how many arrived.
pub(crate) fn blast(pairs: &[Pair], threads: impl Fn(usize) -> usize, length: Duration) -> Result<Vec<(Sent, u64)>> {
    let before = pairs.iter().map(|pair| pair.sink.count()).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let sent = thread::scope(|scope| {
        let senders: Vec<Vec<_>> = (0..pairs.len())
            .map(|number| {
                let pair = &pairs[number];
                let send = || pair.from.enter(|| pair.spray.send(|| start.elapsed() < length));
                (0..threads(number)).map(|_| scope.spawn(send)).collect()
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
        let sent = blast(&self.pairs, |_| 1, length)?;
        Ok(sent.iter().map(|(sent, received)| *received as f64 / sent.took.as_secs_f64()).sum())
    }
}
