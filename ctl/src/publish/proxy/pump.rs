//! One way of a connection: what one end sends, the other gets, in order and no faster than it takes it; its end is
//! passed on as an end. What could not be written yet is the only thing that is kept.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

/// Bytes read at once, and so the most that a way keeps.
pub(super) const CHUNK: usize = 16 * 1024;
/// Reads of one way before others have their turn.
const ROUNDS: usize = 8;

/// What is left to do for one way.
#[derive(Debug, Default)]
pub(super) struct Way {
    rest: Vec<u8>,
    written: usize,
    ended: bool,
    /// The end was passed on: nothing comes any more.
    pub(super) done: bool,
}

impl Way {
    /// Moves what can be moved. True: there may be more at once.
    ///
    /// # Errors
    /// One of the ends is broken.
    pub(super) fn pump(&mut self, mut from: &TcpStream, mut to: &TcpStream, chunk: &mut [u8]) -> io::Result<bool> {
        for _ in 0..ROUNDS {
            if self.done || !self.drain(to)? {
                return Ok(false);
            }
            if self.ended {
                to.shutdown(Shutdown::Write)?;
                self.done = true;
                return Ok(false);
            }
            match from.read(chunk) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    let written = match to.write(&chunk[..read]) {
                        Ok(written) => written,
                        Err(error) if is_later(&error) => 0,
                        Err(error) => return Err(error),
                    };
                    if written < read {
                        self.rest.extend_from_slice(&chunk[written..read]);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Writes what is kept. True: nothing is kept any more.
    fn drain(&mut self, mut to: &TcpStream) -> io::Result<bool> {
        while self.written < self.rest.len() {
            match to.write(&self.rest[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written > 0 {
            // A connection that is idle keeps no memory.
            (self.rest, self.written) = (Vec::new(), 0);
        }
        Ok(true)
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
