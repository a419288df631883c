//! Many rules are loaded beside traffic: no datagram of a paced stream is lost, and the data thread stands still for less
//! than a millisecond, by its own account. How fast they are read is the machine's business [F2].

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use tests::vswitchd::Vswitchd;
use tests::{Edge, Place, Station, scenario};

/// Rules of a text. Reading them is slow in a program that is not optimised.
const RULES: u32 = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
/// Between two datagrams. What comes while the receiver has no CPU has room for seconds.
const PACE: Duration = Duration::from_micros(500);
/// Bytes that may wait for the receiver.
const ROOM: usize = 16 << 20;

/// What came of a stream.
#[derive(Debug)]
struct Came {
    sent: u64,
    received: u64,
    longest_gap: Duration,
}

/// Runs `work` while datagrams go from `a` to `b`.
fn beside_stream(a: &Station, b: &Station, work: impl FnOnce() -> Result<()>) -> Result<Came> {
    let at = SocketAddr::new(b.address4()?, 9_000);
    let receiver = b.enter(|| {
        let socket = UdpSocket::bind(at)?;
        setsockopt(&socket, sockopt::RcvBufForce, &ROOM)?;
        // Longer than anything waits on its way.
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    })?;
    let sender = a.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(at)?;
        Ok(socket)
    })?;
    let done = AtomicBool::new(false);
    thread::scope(|s| {
        let receiving = s.spawn(|| {
            let (mut received, mut longest_gap, mut last) = (0, Duration::ZERO, None::<Instant>);
            while receiver.recv(&mut [0; 64]).is_ok() {
                let now = Instant::now();
                longest_gap = longest_gap.max(last.map_or(Duration::ZERO, |last| now - last));
                (received, last) = (received + 1, Some(now));
            }
            (received, longest_gap)
        });
        let sending = s.spawn(|| -> Result<u64> {
            let mut sent = 0u64;
            while !done.load(Ordering::Relaxed) {
                sender.send(&sent.to_be_bytes())?;
                sent += 1;
                thread::sleep(PACE);
            }
            Ok(sent)
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let sent = sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        let (received, longest_gap) = receiving.join().map_err(|_| anyhow!("the receiver panicked"))?;
        worked.map(|()| Came { sent, received, longest_gap })
    })
}

/// For how long frames have waited while rules took their places, in microseconds, load by load.
fn waits(daemon: &Vswitchd) -> Result<Vec<u64>> {
    let events = daemon.rows(&["events"])?;
    let loaded = events.iter().filter(|event| event["kind"] == "filter_loaded");
    let wait = |event: &serde_json::Value| {
        let text = event["text"].as_str().unwrap_or_default();
        let (_, wait) = text.split_once("frames waited ").with_context(|| format!("{event}"))?;
        Ok(wait.trim_end_matches(" us").parse()?)
    };
    loaded.map(wait).collect()
}

#[test]
fn many_rules_are_loaded_beside_traffic() {
    scenario(|lab| {
        let edge = Edge::start(lab)?;
        let (a, b) = (edge.attach("GREEN", "a", &[])?, edge.attach("GREEN", "b", &[])?);
        let mut text = String::from("*filter\n:FORWARD ACCEPT [0:0]\n");
        for number in 0..RULES {
            let [_, x, y, z] = number.to_be_bytes();
            writeln!(text, "-A FORWARD -s 20.{x}.{y}.{z}/32 -p tcp -m tcp --dport {} -j DROP", 1 + number % 60_000)?;
        }
        text += "COMMIT\n";
        let file = edge.host().dir().join("rules").display().to_string();
        fs::write(&file, text)?;
        let alone = beside_stream(&a, &b, || {
            thread::sleep(Duration::from_secs(1));
            Ok(())
        })?;
        let loading = beside_stream(&a, &b, || {
            for _ in 0..3 {
                edge.daemon.vsctl(&["filter", "load", &file])?;
            }
            Ok(())
        })?;
        let waits = waits(&edge.daemon)?;
        println!(
            "{RULES} rules: {} datagrams, longest gap {:?}, without loading {:?}; frames waited {waits:?} us",
            loading.sent, loading.longest_gap, alone.longest_gap
        );
        for came in [&alone, &loading] {
            ensure!(came.sent > 100 && came.received == came.sent, "{came:?}");
        }
        // The thread may lose its CPU in the middle of it, but not each time.
        ensure!(waits.len() == 3 && waits.iter().any(|wait| *wait < 1_000), "{waits:?}");
        Ok(())
    });
}
