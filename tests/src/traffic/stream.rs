//! A numbered stream of small datagrams at a steady rate, and the report of what was missing.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::socket::{setsockopt, sockopt};

use crate::netns::{Netns, Place};

/// How far a late sender catches up. When the whole machine stood still for longer, the numbers of that time are not
/// sent all at once: such a burst would only ask how long queues are.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Receive buffer, in bytes: seconds of the stream, for a receiver that is kept waiting.
const BUFFER: usize = 4 << 20;

/// What became of a stream.
#[derive(Debug, Default)]
pub struct Report {
    /// Datagrams sent.
    pub sent: u64,
    /// Different numbers received.
    pub received: u64,
    /// The first number and the length of each hole, in order.
    pub gaps: Vec<(u64, u64)>,
    /// Numbers seen more than once.
    pub duplicates: u64,
    /// Numbers that came after a higher one.
    pub reordered: u64,
}

impl Report {
    /// Fails unless every datagram arrived exactly once.
    pub fn ensure_complete(&self) -> Result<()> {
        ensure!(self.sent > 0, "nothing was sent");
        ensure!(
            self.gaps.is_empty() && self.duplicates == 0,
            "{} of {} datagrams arrived, {} duplicates, gaps (first, length): {:?}",
            self.received,
            self.sent,
            self.duplicates,
            self.gaps
        );
        Ok(())
    }

    /// The longest hole, in datagrams.
    pub fn longest_gap(&self) -> u64 {
        self.gaps.iter().map(|(_, length)| *length).max().unwrap_or(0)
    }
}

/// A stream that runs until it is stopped.
#[derive(Debug)]
pub struct Stream {
    sending: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
    sender: JoinHandle<Result<u64>>,
    receiver: JoinHandle<Result<Vec<u64>>>,
}

impl Stream {
    /// Starts `rate` datagrams a second from `a` to `b`, whose address is `at`.
    pub fn start(a: &impl Place, b: &impl Place, at: IpAddr, rate: u32) -> Result<Stream> {
        let sink = b.enter(|| UdpSocket::bind(SocketAddr::new(at, 0)).with_context(|| format!("cannot bind {at}")))?;
        let to = sink.local_addr()?;
        sink.set_read_timeout(Some(Duration::from_millis(50)))?;
        setsockopt(&sink, sockopt::RcvBufForce, &BUFFER).context("cannot enlarge the receive buffer")?;
        let source = open_source(&a.netns()?, to)?;
        let sending = Arc::new(AtomicBool::new(true));
        let receiving = Arc::new(AtomicBool::new(true));
        let (s, r) = (sending.clone(), receiving.clone());
        Ok(Stream {
            sender: thread::spawn(move || send(&source, rate, &s)),
            receiver: thread::spawn(move || receive(&sink, &r)),
            sending,
            receiving,
        })
    }

    /// Stops sending, waits for what is still on its way, and reports.
    pub fn stop(self) -> Result<Report> {
        self.sending.store(false, Ordering::Relaxed);
        let sent = self.sender.join().map_err(|_| anyhow!("the sender panicked"))??;
        thread::sleep(Duration::from_millis(300));
        self.receiving.store(false, Ordering::Relaxed);
        let numbers = self.receiver.join().map_err(|_| anyhow!("the receiver panicked"))??;
        Ok(report(sent, numbers))
    }
}

fn open_source(netns: &Netns, to: SocketAddr) -> Result<UdpSocket> {
    netns.enter(|| {
        let socket = UdpSocket::bind(match to {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        })?;
        socket.connect(to)?;
        Ok(socket)
    })
}

fn send(socket: &UdpSocket, rate: u32, go_on: &AtomicBool) -> Result<u64> {
    let mut start = Instant::now();
    let mut number = 0u64;
    while go_on.load(Ordering::Relaxed) {
        // Due times come from the start, so a late thread catches up and the rate holds.
        let due = start + Duration::from_secs(1) * number as u32 / rate;
        let now = Instant::now();
        thread::sleep(due.saturating_duration_since(now));
        start += now.saturating_duration_since(due).saturating_sub(CATCH_UP);
        // A refusal (an ICMP error that came back) loses this number; the report shows it.
        let _ = socket.send(&number.to_be_bytes());
        number += 1;
    }
    Ok(number)
}

fn receive(socket: &UdpSocket, go_on: &AtomicBool) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut buffer = [0; 16];
    while go_on.load(Ordering::Relaxed) {
        if let Ok(8) = socket.recv(&mut buffer) {
            numbers.push(u64::from_be_bytes(buffer[..8].try_into()?));
        }
    }
    Ok(numbers)
}

fn report(sent: u64, mut numbers: Vec<u64>) -> Report {
    let mut report = Report {
        sent,
        reordered: numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64,
        ..Report::default()
    };
    let arrived = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    report.received = numbers.len() as u64;
    report.duplicates = arrived - report.received;
    let mut next = 0;
    for number in numbers.into_iter().chain([sent]) {
        if number > next {
            report.gaps.push((next, number - next));
        }
        next = number + 1;
    }
    report
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn a_report_names_holes_duplicates_and_disorder() {
        let r = report(10, vec![0, 1, 3, 2, 2, 6, 7]);
        assert_eq!(r.gaps, [(4, 2), (8, 2)]);
        assert_eq!((r.received, r.duplicates, r.reordered, r.longest_gap()), (6, 1, 1, 2));
        assert!(r.ensure_complete().is_err());
        assert!(report(3, vec![2, 0, 1]).ensure_complete().is_ok());
    }
}
