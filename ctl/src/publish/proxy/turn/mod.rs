//! The proxy's loop: take events, give everything that is ready a bounded turn, end what is silent or too much.
//!
//! mio is edge-triggered: what could go on stays on the ready list until it would block. What cannot go on because a
//! bound is reached, or descriptors have run out, is looked at again a moment later, so that nothing spins.

mod tcp;
mod udp;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, TryRecvError};
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Waker};
use nix::errno::Errno;

pub(in crate::publish) use tcp::CONNECTIONS;

use super::pump::CHUNK;
use super::session::{Asked, DATAGRAM, Datagrams, IDLE, Session};
use super::slots::{Id, Key, Slots};
use super::stream::Stream;
use super::upstream::Upstream;
use super::{Command, Service, Target};
use crate::publish::Protocol;

/// Connections or datagrams taken from one socket before the next one's turn.
const BATCH: usize = 16;
/// Connections or datagrams that can have come before they were served: what queues of sockets hold, and no more.
const EARLY: usize = 4096;
/// How long what cannot go on is left alone.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is told that clients wait.
const TOLD: Duration = Duration::from_secs(60);
/// How often silence is looked for.
const TICK: Duration = Duration::from_secs(1);

struct Listener {
    service: u32,
    offset: u16,
    socket: TcpListener,
}

#[derive(Default)]
struct Open {
    target: Target,
    sockets: Vec<Key>,
    streams: usize,
    sessions: usize,
    /// Sessions as they came, for eviction; those that ended are skipped.
    order: VecDeque<Id>,
}

pub(super) struct Turn {
    poll: Poll,
    /// Kept, because a wake-up is lost when the other end drops its own before it was heard.
    _waker: Arc<Waker>,
    commands: Receiver<Command>,
    upstream: Upstream,
    services: HashMap<u32, Open>,
    listeners: Slots<Listener>,
    datagrams: Slots<Datagrams>,
    streams: Slots<Stream>,
    sessions: Slots<Session>,
    by_client: HashMap<Asked, Id>,
    ready: VecDeque<Key>,
    queued: HashSet<Key>,
    paused: HashSet<Key>,
    resume: Instant,
    /// When it was last told that clients wait.
    told: Option<Instant>,
    tick: Instant,
    now: Instant,
    buffer: Vec<u8>,
}

impl Turn {
    pub(super) fn new(commands: Receiver<Command>, upstream: Upstream) -> io::Result<(Turn, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Key::Wake.token())?);
        let now = Instant::now();
        let turn = Turn {
            poll,
            _waker: waker.clone(),
            commands,
            upstream,
            services: HashMap::new(),
            listeners: Slots::new(),
            datagrams: Slots::new(),
            streams: Slots::new(),
            sessions: Slots::new(),
            by_client: HashMap::new(),
            ready: VecDeque::new(),
            queued: HashSet::new(),
            paused: HashSet::new(),
            resume: now,
            told: None,
            tick: now,
            now,
            buffer: vec![0; DATAGRAM.max(CHUNK)],
        };
        Ok((turn, waker))
    }

    /// Until nobody can send a command any more.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(512);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the proxy ends: it cannot wait for events");
                return;
            }
            self.now = Instant::now();
            events.iter().for_each(|event| self.enqueue(Key::of(event.token())));
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            for _ in 0..self.ready.len() {
                let Some(key) = self.ready.pop_front() else { break };
                self.queued.remove(&key);
                self.serve(key);
            }
            if !self.paused.is_empty() && self.now >= self.resume {
                std::mem::take(&mut self.paused).into_iter().for_each(|key| self.enqueue(key));
            }
            if self.now >= self.tick {
                self.tick = self.now + TICK;
                self.expire();
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let watched = self.sessions.len() + self.streams.len() > 0;
        let tick = watched.then_some(self.tick);
        let resume = (!self.paused.is_empty()).then_some(self.resume);
        let next = [tick, resume].into_iter().flatten().min()?;
        // Rounded up: mio waits whole milliseconds.
        Some(next.saturating_duration_since(self.now) + Duration::from_millis(1))
    }

    fn enqueue(&mut self, key: Key) {
        if key != Key::Wake && self.queued.insert(key) {
            self.ready.push_back(key);
        }
    }

    /// Leaves what cannot go on alone for a while; `why` is for the log.
    fn pause(&mut self, key: Key, why: &str) {
        if self.told.is_none_or(|at| self.now >= at + TOLD) {
            self.told = Some(self.now);
            tracing::warn!("local clients of published ports wait: {why}");
        }
        if self.paused.is_empty() {
            self.resume = self.now + PAUSE;
        }
        self.paused.insert(key);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open(service) => self.open(service),
            Command::Aim(id, target) => {
                if let Some(open) = self.services.get_mut(&id).filter(|open| open.target != target) {
                    let was = std::mem::replace(&mut open.target, target);
                    let early = if was == Target::default() { open.sockets.clone() } else { Vec::new() };
                    early.into_iter().for_each(|key| self.discard(key));
                    self.end(id);
                }
            }
            // Nobody waits for it any more: that is fine.
            Command::Heard(heard) => {
                let _ = heard.send(());
            }
            Command::Close(id, closed) => {
                self.end(id);
                for key in self.services.remove(&id).into_iter().flat_map(|open| open.sockets) {
                    match key {
                        Key::Listener(id) => drop(self.listeners.remove(id)),
                        Key::Datagrams(id) => drop(self.datagrams.remove(id)),
                        _ => {}
                    }
                    self.queued.remove(&key);
                }
                let queued = &self.queued;
                self.ready.retain(|key| queued.contains(key));
                // Nobody waits for it any more: that is fine.
                let _ = closed.send(());
            }
        }
    }

    fn open(&mut self, service: Service) {
        let Service { id, protocol, sockets, target } = service;
        let mut keys = Vec::with_capacity(sockets.len());
        for (offset, socket) in sockets.into_iter().enumerate() {
            match self.listen(id, protocol, offset as u16, socket) {
                Ok(key) => keys.push(key),
                Err(error) => tracing::error!(%error, "a published port does not serve local clients"),
            }
        }
        // Clients may have come before.
        keys.iter().for_each(|key| self.enqueue(*key));
        self.services.insert(id, Open { target, sockets: keys, ..Open::default() });
    }

    fn listen(&mut self, service: u32, protocol: Protocol, offset: u16, socket: OwnedFd) -> io::Result<Key> {
        let registry = self.poll.registry();
        match protocol {
            Protocol::Tcp => {
                let mut socket = TcpListener::from_std(socket.into());
                let key = Key::Listener(self.listeners.next());
                registry.register(&mut socket, key.token(), Interest::READABLE)?;
                self.listeners.insert(Listener { service, offset, socket });
                Ok(key)
            }
            Protocol::Udp => {
                let mut socket = UdpSocket::from_std(socket.into());
                let key = Key::Datagrams(self.datagrams.next());
                registry.register(&mut socket, key.token(), Interest::READABLE)?;
                self.datagrams.insert(Datagrams { service, offset, socket });
                Ok(key)
            }
        }
    }

    fn serve(&mut self, key: Key) {
        match key {
            Key::Wake => {}
            Key::Listener(id) => self.accept(id),
            Key::Datagrams(id) => self.hear(id),
            Key::Stream(id) => self.pump(id),
            Key::Session(id) => self.answer(id),
        }
    }

    /// Refuses who came before there was a target: it may be a client from elsewhere that will be steered from now on.
    fn discard(&mut self, key: Key) {
        match key {
            Key::Listener(id) => self.turn_away(id),
            Key::Datagrams(id) => self.overhear(id),
            _ => {}
        }
        self.enqueue(key);
    }

    /// Ends what is silent, and connections that the container does not answer.
    fn expire(&mut self) {
        let now = self.now;
        let late = self.streams.drain(|stream| stream.connecting.is_some_and(|until| until <= now));
        let silent = self.sessions.drain(|session| session.used + IDLE <= now);
        self.settle(late, silent);
        for open in self.services.values_mut() {
            open.order.retain(|id| self.sessions.get(*id).is_some());
        }
    }

    /// Ends everything that is connected by a service.
    fn end(&mut self, service: u32) {
        let streams = self.streams.drain(|stream| stream.service == service);
        let sessions = self.sessions.drain(|session| session.service == service);
        self.settle(streams, sessions);
        if let Some(open) = self.services.get_mut(&service) {
            open.order.clear();
        }
    }

    fn settle(&mut self, streams: Vec<Stream>, sessions: Vec<Session>) {
        for stream in streams {
            if let Some(open) = self.services.get_mut(&stream.service) {
                open.streams -= 1;
            }
            stream.abort();
        }
        for session in sessions {
            if let Some(open) = self.services.get_mut(&session.service) {
                open.sessions -= 1;
            }
            self.by_client.remove(&session.asked);
        }
    }
}

/// What the kernel lacks then.
const SHORTAGE: &str = "open files or memory have run out (LimitNOFILE= in vswitchd's unit)";

/// Whether the kernel lacks something that it may have a moment later.
fn is_shortage(errno: Option<Errno>) -> bool {
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
}
