//! Short connections: made, one byte each way, closed by the client. Several at a time, so that a round trip's length is
//! not what is measured.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::socket;
use tests::Place;

use crate::topology::{A, CONNECTIONS, Edge};

/// Connections at a time, and threads on each side.
const WIDTH: usize = 16;
/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections per second from the outside to `to`, behind which the container is.
pub(super) fn run(edge: &Edge, to: SocketAddr, length: Duration) -> Result<f64> {
    let listener =
        edge.container.enter(|| TcpListener::bind((A, CONNECTIONS)).context("cannot listen for connections"))?;
    let ended = AtomicBool::new(false);
    thread::scope(|s| {
        for _ in 0..WIDTH {
            s.spawn(|| serve(&listener, &ended));
        }
        let outcome = connect(edge, to, length);
        ended.store(true, Ordering::Relaxed);
        // Wakes everyone who waits in accept(2).
        socket::shutdown(listener.as_raw_fd(), socket::Shutdown::Both).context("cannot stop listening")?;
        outcome
    })
}

fn serve(listener: &TcpListener, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        // A connection that fails is the client's to report.
        let _ = listener.accept().and_then(|(mut connection, _)| {
            connection.set_read_timeout(Some(PATIENCE))?;
            let mut byte = [0];
            connection.read_exact(&mut byte)?;
            connection.write_all(&byte)?;
            // The client closes first, so that nobody but it has to remember the connection (TIME-WAIT).
            connection.read(&mut byte)
        });
    }
}

fn connect(edge: &Edge, to: SocketAddr, length: Duration) -> Result<f64> {
    // What is set up once is not the question.
    edge.outside.enter(|| exchange(to))?;
    let start = Instant::now();
    let counts = thread::scope(|s| {
        let clients: Vec<_> = (0..WIDTH)
            .map(|_| {
                s.spawn(|| {
                    edge.outside.enter(|| {
                        let mut count = 0u32;
                        while start.elapsed() < length {
                            exchange(to)?;
                            count += 1;
                        }
                        Ok(count)
                    })
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
            .collect::<Result<Vec<u32>>>()
    })?;
    Ok(f64::from(counts.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}

fn exchange(to: SocketAddr) -> Result<()> {
    let mut connection =
        TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("cannot connect to {to}"))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [1];
    connection.write_all(&byte)?;
    connection.read_exact(&mut byte).context("no answer")?;
    connection.shutdown(Shutdown::Write)?;
    ensure!(connection.read(&mut byte)? == 0, "more than was asked for");
    Ok(())
}
