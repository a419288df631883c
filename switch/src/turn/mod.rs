//! The turn: wait for work, take a batch from each port that has some, let the engine decide, send. The only place that
//! touches descriptors and reads the clock, once per round.
//!
//! mio is edge-triggered: a port stays on the ready list until a read found it empty.

mod closer;
mod contest;
mod flush;
mod glance;
mod handle;
mod journal;
mod kick;
mod pace;
mod perch;
mod shape;
mod share;
mod steer;
mod transmit;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, TrySendError};
use hashbrown::{HashMap, HashSet};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use port::{Datagrams, Port, Received, Steering, Underlay, UnderlayStats};
use wire::{Frame, Time};

use crate::out::FULL;
use crate::{Datagram, DropReason, Limits, Out, PortId, Question, Switch, Update};
use closer::Closer;
use flush::Flushes;
use glance::Glances;
use handle::Command;
pub use handle::Handle;
use journal::Journal;
use kick::Kicks;
use pace::Pace;
use perch::Perch;
use shape::Shapers;
use share::Shares;
use steer::Helm;

/// Frames taken from one port before the next port's turn.
const BATCH: usize = 64;
/// Bytes taken from one port before the next port's turn: so one super-frame is passed on before the next is read, and the
/// two ends of a stream work at the same time.
const BATCH_BYTES: usize = 16 * 1024;
/// Frames kept for use: enough for a flood to a thousand ports at once. A small frame takes one page of its memory.
const FRAMES: usize = 1024;
const _: () = assert!(FRAMES > FULL + BATCH + PART, "what waits and what comes does not have to be made");
/// GRO runs taken from the underlay at once.
const RUNS: usize = 8;
/// Datagrams of a run between two looks at whether the output is full: each may be a flood.
const PART: usize = 8;
/// Changes of the control plane taken between two rounds of traffic.
const COMMANDS: usize = 64;

/// A frame is as much work as so many bytes, by and large.
const FRAME_WORK: u64 = 4096;

const WAKE: Token = Token(0);
const UNDERLAY: Token = Token(1);
const FIRST_PORT: usize = 2;

/// What the data thread needs to start.
#[derive(Default)]
pub struct Config {
    /// The VXLAN underlay, if this host has one.
    pub underlay: Option<Underlay>,
    /// Bounds of the tables.
    pub limits: Limits,
    /// How connections are tracked.
    pub nat: nat::Settings,
    /// The data thread's end of the uplink, if this host has one.
    pub steering: Option<Steering>,
}

/// What the data thread has to say.
#[derive(Debug)]
pub enum Notice {
    /// The link of a port vanished, with its namespace or by somebody's hand. Its descriptor is closed already.
    Gone(PortId),
    /// A container asks for a name that is not of its networks; [`Handle::answer`] answers. To drop it is to say nothing.
    Ask(Question),
}

/// What [`Handle::inspect`] shows.
pub struct View<'a> {
    /// The engine's tables.
    pub switch: &'a Switch,
    /// The engine's time, for the ages in them.
    pub now: Time,
    /// What the underlay can do and did.
    pub underlay: Option<UnderlayStats>,
}

struct Turn {
    poll: Poll,
    /// Kept, because a wake-up is lost when the last handle goes before it was heard.
    _waker: Arc<Waker>,
    switch: Switch,
    out: Out,
    batch: Vec<Frame>,
    ports: HashMap<PortId, Port>,
    kicks: Kicks,
    glances: Glances,
    ready: VecDeque<PortId>,
    queued: HashSet<PortId>,
    underlay: Option<Underlay>,
    underlay_ready: bool,
    closer: Closer,
    helm: Option<Helm>,
    flushes: Flushes,
    shares: Shares,
    shapers: Shapers,
    /// When the round began.
    round: Time,
    journal: Journal,
    commands: Receiver<Command>,
    notices: Sender<Notice>,
    backlog: VecDeque<Notice>,
    notify: Box<dyn Fn() + Send>,
    origin: Instant,
    pace: Pace,
    perch: Perch,
    /// What this round took in: bytes, and [`FRAME_WORK`] for every frame.
    work: u64,
    stopped: bool,
}

impl Turn {
    fn new(
        config: Config,
        commands: Receiver<Command>,
        notices: Sender<Notice>,
        notify: Box<dyn Fn() + Send>,
    ) -> io::Result<(Turn, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        if let Some(underlay) = &config.underlay {
            let descriptor = underlay.receiver().as_raw_fd();
            poll.registry().register(&mut SourceFd(&descriptor), UNDERLAY, Interest::READABLE)?;
        }
        let nat = nat::Settings { report_gone: config.steering.is_some(), ..config.nat };
        let (random, is_free) = (Box::new(rand::random), Box::new(port::is_port_free));
        let turn = Turn {
            poll,
            _waker: waker.clone(),
            switch: Switch::with_translation(config.limits, rand::random(), nat, random, is_free),
            out: Out::new(FRAMES),
            batch: Vec::with_capacity(BATCH),
            ports: HashMap::new(),
            kicks: Kicks::default(),
            glances: Glances::default(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            underlay: config.underlay,
            underlay_ready: false,
            closer: Closer::start()?,
            helm: config.steering.map(Helm::new),
            flushes: Flushes::default(),
            shares: Shares::default(),
            shapers: Shapers::default(),
            round: Time::ZERO,
            journal: Journal::default(),
            commands,
            notices,
            backlog: VecDeque::new(),
            notify,
            origin: Instant::now(),
            pace: Pace::default(),
            perch: Perch::default(),
            work: 0,
            stopped: false,
        };
        Ok((turn, waker))
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut datagrams = Datagrams::new(RUNS);
        while !self.stopped {
            let wait = self.timeout();
            let wait = self.watch_all(wait);
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the poll loop cannot wait for events; the data thread ends");
                return;
            }
            let mut commanded = !self.commands.is_empty();
            for event in &events {
                match event.token() {
                    WAKE => commanded = true,
                    UNDERLAY => self.underlay_ready = true,
                    Token(number) => self.wake(PortId((number - FIRST_PORT) as u32)),
                }
            }
            self.glance();
            let now = self.now();
            self.round = now;
            if commanded {
                self.obey(now);
            }
            if self.traffic(now, &mut datagrams) {
                self.pace.worked(now);
                self.perch.worked(now, self.pace.expects_work(now), self.work);
                self.work = 0;
            } else {
                self.pace.idle(now);
                self.perch.rested(now, self.pace.last_work());
            }
            self.release_shaped();
            self.flushes.work(&mut self.switch);
            self.journal.write(now, &mut self.switch);
            self.switch.maintain(now);
            self.switch.tend_streams(now, &mut self.out);
            self.transmit();
            self.kick();
            self.look_after(now);
            if let Some(helm) = &mut self.helm {
                helm.steer(&mut self.switch);
                helm.beat(now);
            }
            self.backlog.extend(self.switch.take_questions().map(Notice::Ask));
            self.deliver_notices();
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// How long to wait for events: not at all while there is work or reason to expect some at once.
    fn timeout(&self) -> Option<Duration> {
        let waits = self.shares.any_flood() && self.shares.all_wait(self.now(), self.ready.iter());
        if !self.ready.is_empty() && !waits
            || self.underlay_ready
            || !self.commands.is_empty()
            || !self.flushes.is_empty()
        {
            return Some(Duration::ZERO);
        }
        if !self.backlog.is_empty() {
            return Some(Duration::from_millis(10));
        }
        let now = self.now();
        if self.pace.expects_work(now) {
            return Some(Duration::ZERO);
        }
        if !self.ready.is_empty() || self.kicks.any() {
            return Some(Duration::from_millis(1));
        }
        // A millisecond more, because the kernel's waits are whole milliseconds and must not end early.
        let beat = self.helm.as_ref().map(Helm::next_beat);
        let waiting = self.shapers.next_deadline();
        let look = self.kicks.next_look();
        let deadline = self.switch.next_deadline().into_iter().chain(beat).chain(waiting).chain(look).min();
        let sleep = deadline.map(|deadline| deadline.since(now) + Duration::from_millis(1));
        sleep.into_iter().chain(self.perch.patience()).min()
    }

    fn wake(&mut self, id: PortId) {
        if self.ports.contains_key(&id) && self.queued.insert(id) {
            self.ready.push_back(id);
        }
    }

    /// One round over everything that is ready. Returns whether there was anything.
    fn traffic(&mut self, now: Time, datagrams: &mut Datagrams) -> bool {
        let mut worked = false;
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            let from = id.known_as();
            let share = self.shares.frames(now, from, BATCH);
            if share == 0 {
                self.ready.push_back(id);
                continue;
            }
            let more = self.fill_batch(id, share);
            self.work += self.batch.iter().map(|frame| FRAME_WORK + frame.len() as u64).sum::<u64>();
            let (frames, misses) = (self.batch.len(), self.switch.counters().misses);
            worked |= frames > 0;
            while !self.batch.is_empty() {
                self.switch.process(now, from, &mut self.batch, &mut self.out);
                self.transmit();
            }
            if frames > 0 {
                self.shares.note(now, from, frames, self.switch.counters().misses - misses, more);
            }
            if frames > 0 {
                self.note_batch(id);
            }
            if more {
                self.ready.push_back(id);
            } else {
                self.queued.remove(&id);
            }
        }
        if self.underlay_ready {
            worked |= self.receive_underlay(now, datagrams);
        }
        worked
    }

    /// Reads up to `frames` frames from one port. Returns whether there may be more.
    fn fill_batch(&mut self, id: PortId, frames: usize) -> bool {
        let tap = match self.ports.get_mut(&id) {
            Some(Port::Tap(tap)) => tap,
            Some(Port::Xdp(xdp)) => return xdp.receive(&mut self.batch, frames, &mut self.out.pool),
            None => return false,
        };
        let mut bytes = 0;
        while self.batch.len() < frames && bytes < BATCH_BYTES {
            let mut frame = self.out.pool.get();
            match tap.receive(&mut frame) {
                Ok(Received::Frame) => {
                    bytes += frame.len();
                    self.batch.push(frame);
                }
                Ok(Received::Empty) => {
                    self.out.pool.put(frame);
                    return false;
                }
                Ok(Received::Gone) => {
                    self.out.pool.put(frame);
                    self.gone(id);
                    return false;
                }
                Err(error) => {
                    self.out.pool.put(frame);
                    // The kernel took frames off the queue that it could not hand over; there may be others behind.
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof) {
                        return true;
                    }
                    tracing::warn!(port = id.0, %error, "a read failed");
                    return false;
                }
            }
        }
        true
    }

    /// Reads from the underlay. Returns whether there was anything.
    fn receive_underlay(&mut self, now: Time, datagrams: &mut Datagrams) -> bool {
        let Some(underlay) = &mut self.underlay else { return false };
        match underlay.receive(datagrams) {
            Ok(0) => {
                self.underlay_ready = false;
                return false;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the underlay's socket failed to read");
                self.underlay_ready = false;
                return false;
            }
        }
        self.work += datagrams.iter().map(|run| FRAME_WORK + run.bytes.len() as u64).sum::<u64>();
        let parts = datagrams.iter().flat_map(|run| {
            let datagram =
                move |bytes| Datagram { from: run.from.ip(), ecn: run.tos & 0b11, bytes, segment: run.segment };
            // An empty datagram is one, though it has no part.
            let empty = run.bytes.is_empty().then_some(run.bytes);
            empty.into_iter().chain(run.bytes.chunks(PART.saturating_mul(run.segment))).map(datagram)
        });
        let mut parts = parts.peekable();
        while parts.peek().is_some() {
            self.switch.decapsulate(now, &mut parts, &mut self.out);
            self.transmit();
        }
        true
    }

    fn obey(&mut self, now: Time) {
        for _ in 0..COMMANDS {
            let Ok(command) = self.commands.try_recv() else { return };
            match command {
                Command::Apply(updates) => updates.into_iter().for_each(|update| self.apply(now, update)),
                Command::Attach(id, port) => self.attach(id, port),
                Command::Detach(id, closed) => {
                    let port = self.release(id);
                    self.closer.close(port, Some(closed));
                }
                Command::Inspect(look) => {
                    self.count_lost();
                    let underlay = self.underlay.as_ref().map(Underlay::stats);
                    look(&View { switch: &self.switch, now, underlay });
                }
                Command::Rules(scope, family, program, swapped) => {
                    let begun = Instant::now();
                    let old = self.switch.set_rules(scope, family, program);
                    self.closer.close(old, None);
                    swapped(begun.elapsed());
                }
                Command::Answer(via, answer) => {
                    self.switch.answer(now, via, answer, &mut self.out);
                    self.transmit();
                }
                Command::Flush(filter, done) => self.flushes.push(filter, done),
                Command::Stop => self.stopped = true,
            }
        }
    }

    fn apply(&mut self, now: Time, update: Update) {
        match update {
            Update::RemovePort { id } => self.remove(id),
            Update::RemoveBridge { id } => self.switch.ports_of(id).into_iter().for_each(|port| self.remove(port)),
            Update::Policing { id, ref limits } => {
                let freed = self.shapers.set(now, id, limits.egress, &mut self.out.pool);
                match limits.egress {
                    Some(_) => self.lose(id, DropReason::ShaperFull, freed),
                    None => freed.into_iter().for_each(|frame| self.send(id, frame)),
                }
            }
            _ => {}
        }
        self.switch.apply(now, update);
    }

    fn attach(&mut self, id: PortId, port: Port) {
        if let Err(error) = self.register(id, &port) {
            tracing::error!(port = id.0, %error, "the poll loop does not take the port");
            return self.say(Notice::Gone(id));
        }
        self.detach(id);
        if matches!(port, Port::Xdp(_)) {
            self.kicks.watch(self.round);
        }
        self.ports.insert(id, port);
        self.wake(id);
    }

    fn register(&self, id: PortId, port: &Port) -> io::Result<()> {
        let token = Token(id.0 as usize + FIRST_PORT);
        let register = |descriptor: &RawFd| {
            match self.poll.registry().register(&mut SourceFd(descriptor), token, Interest::READABLE) {
                // The first of several were taken when another one was not.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                outcome => outcome,
            }
        };
        port.descriptors().iter().try_for_each(register)
    }

    fn remove(&mut self, id: PortId) {
        self.detach(id);
        let freed = self.shapers.set(self.round, id, None, &mut self.out.pool);
        self.lose(id, DropReason::PortGone, freed);
    }

    fn detach(&mut self, id: PortId) {
        if let Some(port) = self.release(id) {
            self.closer.close(Some(port), None);
        }
    }

    /// Takes a port's descriptors off the poll set, which the kernel itself does only with the last copy of them.
    fn release(&mut self, id: PortId) -> Option<Port> {
        let mut port = self.ports.remove(&id)?;
        self.shares.forget(id);
        let freed = self.shapers.clear(id, &mut self.out.pool);
        self.lose(id, DropReason::PortGone, freed);
        if let Port::Xdp(xdp) = &mut port {
            kick::count_lost(&mut self.switch, id.known_as(), xdp.newly_lost());
        }
        let watched = !self.glances.forget(id);
        for descriptor in port.descriptors().into_iter().filter(|_| watched) {
            if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&descriptor)) {
                tracing::warn!(port = id.0, %error, "the poll loop does not let go of the port");
            }
        }
        Some(port)
    }

    fn gone(&mut self, id: PortId) {
        self.detach(id);
        self.say(Notice::Gone(id));
    }

    fn say(&mut self, notice: Notice) {
        self.backlog.push_back(notice);
    }

    /// Hands notices over; what does not fit the ring stays here for the next round.
    fn deliver_notices(&mut self) {
        let mut said = false;
        while let Some(notice) = self.backlog.pop_front() {
            match self.notices.try_send(notice) {
                Ok(()) => said = true,
                Err(TrySendError::Full(notice)) => {
                    self.backlog.push_front(notice);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => self.stopped = true,
            }
        }
        if said {
            (self.notify)();
        }
    }
}
