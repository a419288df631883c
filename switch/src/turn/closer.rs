//! A thread that lets go of things. Closing a TAP removes its link, and the kernel takes tens of milliseconds for that (RCU
//! grace periods under the rtnl lock); freeing a hundred thousand rules takes some as well: traffic must not wait for either.

use std::any::Any;
use std::io;
use std::thread;

use crossbeam::channel::{Sender, unbounded};

use super::handle::Closed;

/// What is let go of.
type Gone = Box<dyn Any + Send>;

/// Things on their way out. Few at a time; the thread ends when this is dropped and all are gone.
pub(super) struct Closer {
    things: Sender<(Gone, Option<Closed>)>,
}

impl Closer {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Closer> {
        let (things, inbox) = unbounded::<(Gone, Option<Closed>)>();
        thread::Builder::new().name("closer".into()).spawn(move || {
            for (thing, closed) in inbox {
                drop(thing);
                if let Some(closed) = closed {
                    closed();
                }
            }
        })?;
        Ok(Closer { things })
    }

    /// Lets go of something, then calls `closed`.
    pub(super) fn close(&self, thing: impl Any + Send, closed: Option<Closed>) {
        // The thread lives as long as this sender does.
        let _ = self.things.send((Box::new(thing), closed));
    }
}
