//! The forwarder: names that are not of our networks are asked for elsewhere. A cache, equal questions asked once, and
//! several servers, of which a silent one costs a moment once.
//!
//! Sans-IO: what is to be sent comes out as [`Action`]s, what was received goes in with the token of its socket, and time
//! is an argument. Every message has a socket of its own with a random port, connected to the server; its identifier is
//! random too, and what comes counts only with both and the question (RFC 5452 section 9). Everything is bounded.

mod answer;
mod cache;
mod flight;
mod question;
mod upstream;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashMap;

use crate::query::Query;
use crate::reply::{Rcode, fail};
use answer::{Answer, Heard};
use cache::Cache;
use flight::{Asker, Flight};
use question::Question;
use upstream::{Due, HEDGE};

pub use upstream::Upstream;

/// Servers at the most; further ones are left out.
pub const MOST_UPSTREAMS: usize = 8;
/// Bytes of the cache.
const ROOM: usize = 8 << 20;
/// Questions under way at the most, each with a socket or a few. When there are more, the oldest of whoever has most gives
/// way.
const FLIGHTS: usize = 1_024;
/// How long an attempt over TCP may take.
const TCP: Duration = Duration::from_secs(1);
/// How long it is believed that there is nothing, where a server that goes before might know better, and for names that
/// containers may get.
const DOUBT: Duration = Duration::from_secs(5);
/// How long it is remembered that nobody knew (RFC 9520 section 3.2: at least a second).
const FAILURE: Duration = Duration::from_secs(1);
/// How long the token of a probe is kept.
const PROBE: Duration = Duration::from_millis(1_500);
/// Servers that are asked at once when none is known to be there.
const AT_ONCE: usize = 3;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<T> {
    /// A message is to be sent from a new socket, which then belongs to the token.
    Send {
        /// For [`Forwarder::heard`] and [`Forwarder::failed`].
        token: u64,
        /// The server.
        to: SocketAddr,
        /// Over TCP, else UDP.
        tcp: bool,
        /// The message, without the length that TCP wants before it.
        message: Vec<u8>,
    },
    /// Nothing more is wanted from the socket of this token.
    Close {
        /// The token.
        token: u64,
    },
    /// A client is to be answered.
    Answer {
        /// Who asked.
        client: T,
        /// The reply, of any length.
        message: Vec<u8>,
        /// Who knew.
        source: Source,
    },
    /// A server has come or gone.
    Changed {
        /// The server.
        upstream: SocketAddr,
        /// It says nothing any more, else it does again.
        down: bool,
    },
}

/// Who knew an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was known.
    Cache,
    /// This server.
    Upstream(SocketAddr),
    /// Nobody: it is a failure.
    Nobody,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions that came.
    pub asked: u64,
    /// Those that the cache answered.
    pub cached: u64,
    /// Those that waited for another's answer.
    pub joined: u64,
    /// Those that nobody answered.
    pub failed: u64,
    /// Those that were too many at once.
    pub busy: u64,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    upstream: SocketAddr,
    id: u16,
    sent: Duration,
}

/// Asks servers on behalf of clients, each known as a `T`.
pub struct Forwarder<T> {
    upstreams: Vec<Upstream>,
    cache: Cache,
    counters: Counters,
    flights: HashMap<u64, Flight<T>>,
    by_question: HashMap<Question, u64>,
    by_owner: HashMap<u64, BTreeSet<u64>>,
    tokens: HashMap<u64, u64>,
    probes: HashMap<u64, Probe>,
    timers: BTreeSet<(Duration, u64)>,
    actions: VecDeque<Action<T>>,
    ids: Box<dyn FnMut() -> u16 + Send>,
    last: u64,
}

impl<T> Forwarder<T> {
    /// One that has nobody to ask yet. `ids` gives identifiers that nobody can guess.
    pub fn new(ids: Box<dyn FnMut() -> u16 + Send>) -> Forwarder<T> {
        Forwarder {
            upstreams: Vec::new(),
            cache: Cache::new(ROOM),
            counters: Counters::default(),
            flights: HashMap::new(),
            by_question: HashMap::new(),
            by_owner: HashMap::new(),
            tokens: HashMap::new(),
            probes: HashMap::new(),
            timers: BTreeSet::new(),
            actions: VecDeque::new(),
            ids,
            last: 0,
        }
    }

    /// Whom to ask, the best one first. What is known of those that stay is kept; answers of others are forgotten.
    pub fn set_upstreams(&mut self, addresses: &[SocketAddr]) {
        let mut fresh: Vec<Upstream> = Vec::new();
        for address in addresses {
            if fresh.len() < MOST_UPSTREAMS && !fresh.iter().any(|known| known.address == *address) {
                let known = self.upstreams.iter().find(|known| known.address == *address);
                fresh.push(known.cloned().unwrap_or_else(|| Upstream::new(*address)));
            }
        }
        let same = fresh.iter().map(|one| one.address).eq(self.upstreams.iter().map(|one| one.address));
        if !same {
            self.cache.flush();
        }
        self.upstreams = fresh;
    }

    /// The servers, as they fare.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Answers in the cache, and their bytes.
    pub fn cached(&self) -> (usize, usize) {
        self.cache.usage()
    }

    /// Forgets all answers; how many.
    pub fn flush(&mut self) -> usize {
        self.cache.flush()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action<T>> {
        self.actions.pop_front()
    }

    /// When [`Forwarder::maintain`] is to be called.
    pub fn next_deadline(&self) -> Option<Duration> {
        let probes = self.probes.values().map(|probe| probe.sent + PROBE);
        let upstreams = self.upstreams.iter().filter_map(Upstream::next);
        self.timers.first().map(|(time, _)| *time).into_iter().chain(probes).chain(upstreams).min()
    }

    /// A client asks. `owner` is whose share of the cache and of the questions under way it uses.
    pub fn ask(&mut self, now: Duration, owner: u64, client: T, query: &[u8]) {
        self.counters.asked += 1;
        let Ok(parsed) = Query::parse(query) else {
            let mut message = Vec::new();
            if fail(query, Rcode::Malformed, &mut message) {
                self.actions.push_back(Action::Answer { client, message, source: Source::Nobody });
            }
            return;
        };
        let (question, asker) = (Question::of(&parsed), Asker::of(client, &parsed));
        if let Some((answer, age)) = self.cache.get(now, &question) {
            self.counters.cached += 1;
            let message = answer.to(asker.id, &asker.labels, age);
            self.actions.push_back(Action::Answer { client: asker.client, message, source: Source::Cache });
            return;
        }
        if let Some(flight) = self.by_question.get(&question).and_then(|id| self.flights.get_mut(id)) {
            match flight.join(asker) {
                Ok(()) => self.counters.joined += 1,
                Err(asker) => self.busy(&question, asker),
            }
            return;
        }
        if self.flights.len() == FLIGHTS
            && let Some(oldest) = self.by_owner.values().max_by_key(|flights| flights.len()).and_then(BTreeSet::first)
        {
            self.give_way(*oldest);
        }
        let mut flight = Flight::new(now, owner, question.clone());
        flight.askers.push(asker);
        self.last += 1;
        let id = self.last;
        self.timers.insert((flight.wake, id));
        self.flights.insert(id, flight);
        self.by_question.insert(question, id);
        self.by_owner.entry(owner).or_default().insert(id);
        self.go_on(now, id);
    }

    /// A question is given up for the sake of others.
    fn give_way(&mut self, id: u64) {
        let Some(flight) = self.take(id) else { return };
        for asker in flight.askers {
            self.busy(&flight.question, asker);
        }
    }

    fn busy(&mut self, question: &Question, asker: Asker<T>) {
        self.counters.busy += 1;
        let message = asker.failure(question);
        self.actions.push_back(Action::Answer { client: asker.client, message, source: Source::Nobody });
    }

    /// A message came on the socket of a token.
    pub fn heard(&mut self, now: Duration, token: u64, bytes: &[u8]) {
        if let Some(probe) = self.probes.get(&token).copied() {
            if Heard::read(&Question::probe(), probe.id, bytes) != Heard::Foreign {
                self.alive(now, probe.upstream, probe.sent);
            }
            return;
        }
        let Some(&id) = self.tokens.get(&token) else { return };
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let Some(attempt) = flight.attempts.iter_mut().find(|attempt| attempt.token == token) else { return };
        let heard = Heard::read(&flight.question, attempt.id, bytes);
        let (upstream, sent, tcp) = (attempt.upstream, attempt.sent, attempt.tcp);
        match heard {
            Heard::Foreign if !attempt.foreign() => return,
            Heard::Foreign => {}
            _ => self.alive(now, upstream, sent),
        }
        self.close(token);
        match heard {
            Heard::Settled(answer) if answer.negative => self.doubt(now, id, answer, upstream),
            Heard::Settled(answer) => self.end(now, id, Some((answer, upstream))),
            Heard::Cut if !tcp => {
                let has_tcp = self.upstreams.iter().any(|one| one.address == upstream && one.may_have_tcp(now));
                if let Some(flight) = self.flights.get_mut(&id) {
                    flight.cut = true;
                    flight.next = Some(now + TCP);
                }
                if !has_tcp {
                    return self.go_on(now, id);
                }
                self.send(now, id, upstream, true);
                self.set_timer(id);
            }
            Heard::Bad | Heard::Foreign | Heard::Cut => self.go_on(now, id),
        }
    }

    /// A server says that there is nothing. One that goes before it in the list may know better, as where the first knows
    /// names of the inside: that one is waited for a while.
    fn doubt(&mut self, now: Duration, id: u64, answer: Answer, upstream: SocketAddr) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let before: Vec<&Upstream> = self.upstreams.iter().take_while(|one| one.address != upstream).collect();
        let sure = before.is_empty() && !flight.question.may_become_ours(answer.is_no_name());
        let answer = if sure { answer } else { answer.at_most(DOUBT) };
        let able: Vec<&Upstream> = before.into_iter().filter(|one| !one.down).collect();
        let unasked = able.iter().find(|one| flight.tries(one.address) == 0).map(|one| one.address);
        let waits = able.iter().any(|one| flight.waits_for(one.address));
        if now >= flight.hold || (unasked.is_none() && !waits) {
            return self.end(now, id, Some((answer, upstream)));
        }
        flight.held = Some((answer, upstream));
        if let Some(first) = unasked {
            self.send(now, id, first, false);
        }
        self.set_timer(id);
    }

    /// The socket of a token does not work. `blameless`: this host lacks the means, which says nothing about the server;
    /// else nobody is there, or there is no way.
    pub fn failed(&mut self, now: Duration, token: u64, blameless: bool) {
        if let Some(probe) = self.probes.remove(&token) {
            match self.upstreams.iter_mut().find(|one| one.address == probe.upstream) {
                Some(one) if blameless => one.probe_unsent(now, token),
                Some(one) => one.probe_failed(now, token),
                None => {}
            }
            return;
        }
        let Some(&id) = self.tokens.get(&token) else { return };
        let flight = self.flights.get(&id);
        let attempt = flight.and_then(|flight| flight.attempts.iter().find(|attempt| attempt.token == token));
        if let Some((upstream, sent, tcp)) = attempt.map(|one| (one.upstream, one.sent, one.tcp)).filter(|_| !blameless)
        {
            self.missed(now, upstream, sent, tcp);
        }
        self.close(token);
        self.go_on(now, id);
    }

    /// Does what time has brought.
    pub fn maintain(&mut self, now: Duration) {
        while let Some((_, id)) = self.timers.first().copied().filter(|(time, _)| *time <= now) {
            let Some(flight) = self.flights.get_mut(&id) else { break };
            let patience = |tcp| if tcp { TCP } else { HEDGE };
            let late = flight.attempts.iter().filter(|one| !one.over && one.sent + patience(one.tcp) <= now);
            let late: Vec<(u64, SocketAddr, Duration, bool)> =
                late.map(|one| (one.token, one.upstream, one.sent, one.tcp)).collect();
            let is_over = flight.end <= now || flight.held.is_some() && flight.hold <= now;
            let is_next = flight.next.is_some_and(|next| next <= now);
            for (token, upstream, sent, tcp) in late {
                self.missed(now, upstream, sent, tcp);
                if tcp {
                    self.close(token);
                }
            }
            match (is_over, is_next) {
                (true, _) => self.end(now, id, None),
                (false, true) => self.go_on(now, id),
                (false, false) => self.set_timer(id),
            }
        }
        let old: Vec<u64> =
            self.probes.iter().filter(|(_, one)| one.sent + PROBE <= now).map(|(token, _)| *token).collect();
        old.into_iter().for_each(|token| self.close_probe(token));
        for at in 0..self.upstreams.len() {
            let upstream = self.upstreams[at].address;
            match self.upstreams[at].due(now) {
                Some(Due::Probe) => {
                    let (token, id) = self.token();
                    self.upstreams[at].probed(token);
                    self.upstreams[at].asked += 1;
                    self.probes.insert(token, Probe { upstream, id, sent: now });
                    let message = Question::probe().message(id);
                    self.actions.push_back(Action::Send { token, to: upstream, tcp: false, message });
                }
                Some(Due::Down) => self.actions.push_back(Action::Changed { upstream, down: true }),
                None => {}
            }
        }
    }

    /// Puts a question to the next server; ends it where there is none and nothing is waited for.
    fn go_on(&mut self, now: Duration, id: u64) {
        for _ in 0..AT_ONCE {
            let Some(flight) = self.flights.get_mut(&id) else { return };
            let Some(chosen) = flight.choose(&self.upstreams) else {
                flight.next = None;
                if !flight.is_waiting() {
                    return self.end(now, id, None);
                }
                break;
            };
            let (to, suspect, tries) = (chosen.address, chosen.is_suspect(), flight.tries(chosen.address));
            flight.next = Some(now + HEDGE * (tries + 1));
            self.send(now, id, to, false);
            if !suspect {
                break;
            }
        }
        self.set_timer(id);
    }

    fn send(&mut self, now: Duration, id: u64, to: SocketAddr, tcp: bool) {
        let (token, message_id) = self.token();
        let Some(flight) = self.flights.get_mut(&id) else { return };
        flight.attempt(now, token, message_id, to, tcp);
        let message = flight.question.message(message_id);
        self.tokens.insert(token, id);
        if let Some(one) = self.upstreams.iter_mut().find(|one| one.address == to) {
            one.asked += 1;
        }
        self.actions.push_back(Action::Send { token, to, tcp, message });
    }

    /// A new token, and an identifier.
    fn token(&mut self) -> (u64, u16) {
        self.last += 1;
        (self.last, (self.ids)())
    }

    fn set_timer(&mut self, id: u64) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let wake = flight.due();
        self.timers.remove(&(flight.wake, id));
        self.timers.insert((wake, id));
        flight.wake = wake;
    }

    fn missed(&mut self, now: Duration, upstream: SocketAddr, since: Duration, tcp: bool) {
        match self.upstreams.iter_mut().find(|one| one.address == upstream) {
            Some(one) if tcp => one.has_no_tcp(now),
            Some(one) => one.missed(now, since),
            None => {}
        }
    }

    fn alive(&mut self, now: Duration, upstream: SocketAddr, sent: Duration) {
        let probes = self.probes.iter().filter(|(_, probe)| probe.upstream == upstream).map(|(token, _)| *token);
        probes.collect::<Vec<u64>>().into_iter().for_each(|token| self.close_probe(token));
        let one = self.upstreams.iter_mut().find(|one| one.address == upstream);
        if one.is_some_and(|one| one.heard(now, sent)) {
            self.actions.push_back(Action::Changed { upstream, down: false });
        }
    }

    fn close(&mut self, token: u64) {
        let Some(id) = self.tokens.remove(&token) else { return };
        let flight = self.flights.get_mut(&id);
        if let Some(attempt) =
            flight.and_then(|flight| flight.attempts.iter_mut().find(|attempt| attempt.token == token))
        {
            attempt.over = true;
        }
        self.actions.push_back(Action::Close { token });
    }

    fn close_probe(&mut self, token: u64) {
        if self.probes.remove(&token).is_some() {
            self.actions.push_back(Action::Close { token });
        }
    }

    /// Takes a question out, with all that was sent for it.
    fn take(&mut self, id: u64) -> Option<Flight<T>> {
        let flight = self.flights.remove(&id)?;
        self.timers.remove(&(flight.wake, id));
        self.by_question.remove(&flight.question);
        if let Some(share) = self.by_owner.get_mut(&flight.owner) {
            share.remove(&id);
            if share.is_empty() {
                self.by_owner.remove(&flight.owner);
            }
        }
        for attempt in flight.attempts.iter().filter(|attempt| !attempt.over) {
            self.tokens.remove(&attempt.token);
            self.actions.push_back(Action::Close { token: attempt.token });
        }
        Some(flight)
    }

    /// Answers all who wait.
    fn end(&mut self, now: Duration, id: u64, answer: Option<(Answer, SocketAddr)>) {
        let Some(mut flight) = self.take(id) else { return };
        let (answer, source) = match answer.or_else(|| flight.held.take()) {
            Some((answer, upstream)) => (answer, Source::Upstream(upstream)),
            None if flight.cut => (Answer::cut(&flight.question), Source::Nobody),
            None => {
                self.counters.failed += flight.askers.len() as u64;
                (Answer::failure(&flight.question, FAILURE), Source::Nobody)
            }
        };
        for asker in flight.askers {
            let message = answer.to(asker.id, &asker.labels, Duration::ZERO);
            self.actions.push_back(Action::Answer { client: asker.client, message, source });
        }
        // Who is not asked any more has no say in what is known.
        let counts = |upstream| self.upstreams.iter().any(|one| one.address == upstream);
        if !matches!(source, Source::Upstream(upstream) if !counts(upstream)) {
            self.cache.insert(now, flight.owner, flight.question, answer);
        }
    }
}
