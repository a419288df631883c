//! Datagrams of chosen sizes, echoed and compared. Above the MTU the kernels cut and join fragments.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Pattern;
use crate::netns::Place;

/// An echo must come back within this time, of up to this many tries: UDP may lose, not alter.
const WAIT: Duration = Duration::from_millis(500);
const TRIES: u32 = 4;

/// Sizes that matter: tiny, around every boundary of a 1450 or 1500 byte link, many fragments, 64,000.
pub const SIZES: &[usize] = &[
    1, 2, 3, 17, 18, 19, 63, 64, 65, 511, 1000, 1371, 1372, 1373, 1391, 1392, 1393, 1421, 1422, 1423, 1451, 1452, 1471,
    1472, 1473, 2843, 2844, 2845, 2900, 4096, 8191, 8972, 9000, 16_384, 32_767, 40_000, 63_999, 64_000,
];

/// Sends a datagram of each size from `a`; `b`, whose address is `at`, echoes it. Each must come back
/// bit-exact. Returns how many had to be sent again.
pub fn echo(a: &impl Place, b: &impl Place, at: IpAddr, sizes: &[usize]) -> Result<u32> {
    echo_by(a, b, at, sizes, |end| end)
}

/// The same where `a` sees another end than the one that `b` is bound to; `seen` says which.
pub fn echo_by(
    a: &impl Place,
    b: &impl Place,
    at: IpAddr,
    sizes: &[usize],
    seen: impl Fn(SocketAddr) -> SocketAddr,
) -> Result<u32> {
    let done = AtomicBool::new(false);
    let (ready, port) = channel();
    thread::scope(|s| {
        let server = s.spawn(|| {
            b.enter(|| {
                let socket = UdpSocket::bind(SocketAddr::new(at, 0)).with_context(|| format!("cannot bind {at}"))?;
                socket.set_read_timeout(Some(Duration::from_millis(50)))?;
                let _ = ready.send(socket.local_addr()?);
                let mut buffer = vec![0; 65_536];
                while !done.load(Ordering::Relaxed) {
                    if let Ok((n, from)) = socket.recv_from(&mut buffer) {
                        socket.send_to(&buffer[..n], from)?;
                    }
                }
                Ok(())
            })
        });
        let sent = port
            .recv_timeout(Duration::from_secs(5))
            .map_err(|_| anyhow!("the echo server did not start"))
            .map(seen)
            .and_then(|to| a.enter(|| send_each(to, sizes)));
        done.store(true, Ordering::Relaxed);
        server.join().map_err(|_| anyhow!("the echo server panicked"))??;
        sent
    })
}

fn send_each(to: SocketAddr, sizes: &[usize]) -> Result<u32> {
    let socket = UdpSocket::bind(match to {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    })?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(WAIT))?;
    let mut buffer = vec![0; 65_536];
    let mut again = 0;
    for &size in sizes {
        let payload = Pattern::bytes(size as u64, size);
        let mut tries = 0;
        loop {
            ensure!(tries < TRIES, "a datagram of {size} bytes to {to} was never echoed");
            tries += 1;
            socket.send(&payload).with_context(|| format!("sending {size} bytes to {to}"))?;
            match socket.recv(&mut buffer) {
                Ok(n) if buffer[..n] == payload[..] => break,
                // A late echo of the size before is not an error; wrong bytes of the right size are.
                Ok(n) if n == size => bail!("a datagram of {size} bytes came back altered"),
                Ok(_) | Err(_) => again += 1,
            }
        }
    }
    Ok(again)
}
