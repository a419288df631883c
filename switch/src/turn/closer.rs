//! A thread that closes descriptors. Closing a TAP removes its link, and the kernel takes tens of milliseconds for that
//! (RCU grace periods under the rtnl lock): traffic must not wait for it.

use std::io;
use std::thread;

use crossbeam::channel::{Sender, unbounded};
use port::Tap;

use super::handle::Closed;

/// Descriptors on their way out. Never more than there were ports; the thread ends when this is dropped and all are closed.
pub(super) struct Closer {
    taps: Sender<(Option<Tap>, Option<Closed>)>,
}

impl Closer {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Closer> {
        let (taps, inbox) = unbounded::<(Option<Tap>, Option<Closed>)>();
        thread::Builder::new().name("closer".into()).spawn(move || {
            for (tap, closed) in inbox {
                drop(tap);
                if let Some(closed) = closed {
                    closed();
                }
            }
        })?;
        Ok(Closer { taps })
    }

    /// Closes a descriptor, then calls `closed`.
    pub(super) fn close(&self, tap: Option<Tap>, closed: Option<Closed>) {
        // The thread lives as long as this sender does.
        let _ = self.taps.send((tap, closed));
    }
}
