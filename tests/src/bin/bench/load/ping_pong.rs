//! Request and response: one byte each, one at a time, over one TCP connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::topology::{B, Side};

/// Exchanges before the clock starts: the connection's set-up and the flow's first frames are not the question.
const WARM_UP: u32 = 200;
/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Transactions per second, and the median round trip in microseconds.
pub(super) fn run(side: &Side, length: Duration) -> Result<(f64, f64)> {
    let (ready, port) = channel();
    thread::scope(|s| {
        let server = s.spawn(|| {
            side.receiver.enter(|| {
                let listener = TcpListener::bind((B, 0)).context("cannot listen for requests")?;
                let _ = ready.send(listener.local_addr()?);
                serve(listener.accept()?.0)
            })
        });
        let to = port.recv_timeout(PATIENCE).map_err(|_| anyhow!("the server did not start"))?;
        let outcome = side.sender.enter(|| {
            let connection = TcpStream::connect(to).with_context(|| format!("cannot connect to {to}"));
            if connection.is_err() {
                // The server still waits for somebody.
                let _ = side.receiver.enter(|| Ok(TcpStream::connect(to)?));
            }
            ask(connection?, length)
        });
        server.join().map_err(|_| anyhow!("the server panicked"))??;
        outcome
    })
}

fn serve(mut connection: TcpStream) -> Result<()> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0];
    loop {
        match connection.read_exact(&mut byte) {
            Ok(()) => connection.write_all(&byte)?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error).context("no request"),
        }
    }
}

fn ask(mut connection: TcpStream, length: Duration) -> Result<(f64, f64)> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut exchange = || -> Result<()> {
        let mut byte = [1];
        connection.write_all(&byte)?;
        connection.read_exact(&mut byte).context("no response")
    };
    (0..WARM_UP).try_for_each(|_| exchange())?;
    let mut times = Vec::with_capacity(1 << 18);
    let start = Instant::now();
    let mut last = start;
    while last - start < length {
        exchange()?;
        let now = Instant::now();
        times.push(now - last);
        last = now;
    }
    let middle = times.len() / 2;
    let (_, p50, _) = times.select_nth_unstable(middle);
    let p50 = p50.as_nanos() as f64 / 1e3;
    Ok((times.len() as f64 / (last - start).as_secs_f64(), p50))
}
