//! How the control plane talks to the data thread: messages over bounded rings, with a wake-up. Nothing is shared.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use mio::Waker;
use nat::Filter;
use nat::rules::{Family, Program};
use port::Port;

use super::{Config, Notice, Turn, View};
use crate::{BridgeId, PortId, Return, Update};

/// Messages that wait at the most; a sender then waits for the data thread, which takes some in every round.
const RING: usize = 1_024;

/// A look at the tables, from the data thread.
type Look = Box<dyn FnOnce(&View<'_>) + Send>;

/// Called once a link is gone.
pub(super) type Closed = Box<dyn FnOnce() + Send>;

/// Called with the number of connections that were ended.
pub(super) type Flushed = Box<dyn FnOnce(usize) + Send>;

/// Called with the time that frames have waited.
pub(super) type Swapped = Box<dyn FnOnce(Duration) + Send>;

pub(super) enum Command {
    Apply(Vec<Update>),
    Attach(PortId, Port),
    Detach(PortId, Closed),
    Inspect(Look),
    Flush(Filter, Flushed),
    Answer(Return, Vec<u8>),
    Rules(Option<BridgeId>, Family, Option<Box<Program>>, Swapped),
    Stop,
}

/// The control plane's end. Cheap to clone. After the data thread has ended, messages are dropped.
#[derive(Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Starts the data thread. `notify` is called (on that thread) after a notice was queued; it must not block.
    ///
    /// # Errors
    /// The kernel has no descriptor or thread left.
    pub fn start(
        config: Config,
        notify: Box<dyn Fn() + Send>,
    ) -> io::Result<(Handle, Receiver<Notice>, JoinHandle<()>)> {
        let (commands, inbox) = bounded(RING);
        let (outbox, notices) = bounded(RING);
        let (turn, waker) = Turn::new(config, inbox, outbox, notify)?;
        let thread = thread::Builder::new().name("data".into()).spawn(move || turn.run())?;
        Ok((Handle { commands, waker }, notices, thread))
    }

    /// Applies updates, in order.
    pub fn apply(&self, updates: Vec<Update>) {
        self.send(Command::Apply(updates));
    }

    /// Hands over a link; its [`Update::Port`] comes first.
    pub fn attach(&self, id: PortId, port: impl Into<Port>) {
        self.send(Command::Attach(id, port.into()));
    }

    /// Closes the descriptor of a port, and with it removes the link; `closed` is called when it is gone, or if there was
    /// none. [`Update::RemovePort`] closes it as well, if this did not.
    pub fn detach(&self, id: PortId, closed: impl FnOnce() + Send + 'static) {
        self.send(Command::Detach(id, Box::new(closed)));
    }

    /// Looks at the tables between two rounds. Keep it short: traffic waits. Send what was seen through a channel.
    pub fn inspect(&self, look: impl FnOnce(&View<'_>) + Send + 'static) {
        self.send(Command::Inspect(Box::new(look)));
    }

    /// Answers a question with a DNS message; one that is too long for who asked is made short.
    pub fn answer(&self, via: Return, answer: Vec<u8>) {
        self.send(Command::Answer(via, answer));
    }

    /// Ends the connections that `filter` matches; `done` is called with their number.
    pub fn flush(&self, filter: Filter, done: impl FnOnce(usize) + Send + 'static) {
        self.send(Command::Flush(filter, Box::new(done)));
    }

    /// Loads rules for one network, or for all, in place of those of that family that were there; `None` takes them out. It
    /// is one step, whatever their number: established connections are judged anew from the next packet on. `swapped` is
    /// called with how long that step took, for which frames have waited.
    pub fn load_rules(
        &self,
        scope: Option<BridgeId>,
        family: Family,
        program: Option<Box<Program>>,
        swapped: impl FnOnce(Duration) + Send + 'static,
    ) {
        self.send(Command::Rules(scope, family, program, Box::new(swapped)));
    }

    /// Ends the data thread after what was said before. Links vanish with it.
    pub fn stop(&self) {
        self.send(Command::Stop);
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok()
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "cannot wake the data thread");
        }
    }
}
