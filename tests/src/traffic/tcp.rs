//! A TCP transfer both ways at once over one connection, each byte compared at its end.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::Pattern;
use crate::netns::Place;

/// No read or write may block longer.
const STALL: Duration = Duration::from_secs(10);
const BLOCK: usize = 64 * 1024;

/// Sends `bytes` from `a` to `b` and as many other ones back, bit-exact, or fails. `at` is b's address.
/// Returns the rate of both directions together in Gbit/s.
pub fn transfer(a: &impl Place, b: &impl Place, at: IpAddr, bytes: u64) -> Result<f64> {
    transfer_by(a, b, at, bytes, |end| end)
}

/// The same where `a` sees another end than the one that `b` listens on; `seen` says which.
pub fn transfer_by(
    a: &impl Place,
    b: &impl Place,
    at: IpAddr,
    bytes: u64,
    seen: impl Fn(SocketAddr) -> SocketAddr,
) -> Result<f64> {
    let (ready, port) = channel();
    let start = Instant::now();
    thread::scope(|s| {
        let server = s.spawn(|| {
            b.enter(|| {
                let listener =
                    TcpListener::bind(SocketAddr::new(at, 0)).with_context(|| format!("cannot listen on {at}"))?;
                let _ = ready.send(listener.local_addr()?);
                let connection = accept(&listener)?;
                both_ways(connection, 2, 1, bytes).context("the accepting end")
            })
        });
        let client =
            port.recv_timeout(STALL).map_err(|_| anyhow!("the accepting end did not listen")).and_then(|end| {
                let to = seen(end);
                a.enter(|| {
                    let connection =
                        TcpStream::connect_timeout(&to, STALL).with_context(|| format!("cannot connect to {to}"))?;
                    both_ways(connection, 1, 2, bytes).context("the connecting end")
                })
            });
        let server = server.join().map_err(|_| anyhow!("the accepting end panicked"))?;
        client?;
        server
    })?;
    Ok(bytes as f64 * 16.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// Accepts within the time limit: a connection that never comes must not hang the test.
fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + STALL;
    loop {
        match listener.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(false)?;
                return Ok(connection);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(Instant::now() < deadline, "nobody connected within {STALL:?}");
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn both_ways(connection: TcpStream, send: u64, expect: u64, bytes: u64) -> Result<()> {
    connection.set_read_timeout(Some(STALL))?;
    connection.set_write_timeout(Some(STALL))?;
    thread::scope(|s| {
        let writer = s.spawn(|| write(&connection, Pattern::new(send), bytes));
        let read = read(&connection, Pattern::new(expect), bytes);
        let written = writer.join().map_err(|_| anyhow!("the writer panicked"))?;
        read?;
        written
    })
}

fn write(mut connection: &TcpStream, mut pattern: Pattern, bytes: u64) -> Result<()> {
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let part = &mut block[..left.min(BLOCK as u64) as usize];
        pattern.fill(part);
        connection.write_all(part).with_context(|| format!("writing, {left} bytes left"))?;
        left -= part.len() as u64;
    }
    connection.shutdown(Shutdown::Write)?;
    Ok(())
}

fn read(mut connection: &TcpStream, mut pattern: Pattern, bytes: u64) -> Result<()> {
    let (mut block, mut expected) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut got = 0;
    loop {
        let n = connection.read(&mut block).with_context(|| format!("reading after {got} bytes"))?;
        if n == 0 {
            break;
        }
        pattern.fill(&mut expected[..n]);
        if let Some(at) = block[..n].iter().zip(&expected[..n]).position(|(a, b)| a != b) {
            return Err(anyhow!("byte {} differs", got + at as u64));
        }
        got += n as u64;
    }
    ensure!(got == bytes, "{got} of {bytes} bytes arrived");
    Ok(())
}
