//! A question under way: who waits for it, whom it was put to, and what is due next. It chooses; the sending is not here.

use std::net::SocketAddr;
use std::time::Duration;

use super::answer::{Answer, address};
use super::question::Question;
use super::upstream::Upstream;
use crate::{Query, Rcode};

/// How long it is waited for a server that goes before another one, which says that there is nothing.
const HOLD: Duration = Duration::from_millis(1_800);
/// When a question is given up.
const LIMIT: Duration = Duration::from_secs(4);
/// Messages for one question at the most.
const ATTEMPTS: usize = 8;
/// Messages to one server for one question at the most, over UDP.
const TRIES: u32 = 2;
/// Messages that do not belong to the question, after which a socket is given up: somebody guesses (RFC 5452 section 9).
const FOREIGN: u32 = 16;
/// Who may wait for one question.
const ASKERS: usize = 1_024;

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Asker<T> {
    pub(super) client: T,
    pub(super) id: u16,
    /// As they came.
    pub(super) labels: Box<[u8]>,
}

impl<T> Asker<T> {
    pub(super) fn of(client: T, query: &Query<'_>) -> Asker<T> {
        Asker { client, id: query.id(), labels: query.labels.into() }
    }

    /// What is said when nobody knows.
    pub(super) fn failure(&self, question: &Question) -> Vec<u8> {
        let (mut query, mut reply) = (question.message(self.id), Vec::new());
        address(&mut query, self.id, &self.labels);
        crate::fail(&query, Rcode::ServerFailure, &mut reply);
        reply
    }
}

/// A message to a server.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) token: u64,
    pub(super) upstream: SocketAddr,
    pub(super) id: u16,
    pub(super) sent: Duration,
    pub(super) tcp: bool,
    /// Nothing more is expected of it.
    pub(super) over: bool,
    foreign: u32,
}

impl Attempt {
    /// Something came that does not belong to it. True: that is too much.
    pub(super) fn foreign(&mut self) -> bool {
        self.foreign += 1;
        self.foreign >= FOREIGN
    }
}

/// The question and what became of it so far.
#[derive(Debug)]
pub(super) struct Flight<T> {
    pub(super) question: Question,
    /// Whose share of the cache the answer goes into.
    pub(super) owner: u64,
    pub(super) askers: Vec<Asker<T>>,
    pub(super) attempts: Vec<Attempt>,
    /// Something did not fit a datagram; that is said if nothing better comes.
    pub(super) cut: bool,
    /// What a server said, while one that goes before it may know better.
    pub(super) held: Option<(Answer, SocketAddr)>,
    /// Until when it is held.
    pub(super) hold: Duration,
    /// When the next server is asked.
    pub(super) next: Option<Duration>,
    /// When it is given up.
    pub(super) end: Duration,
    /// As it stands among the timers.
    pub(super) wake: Duration,
}

impl<T> Flight<T> {
    pub(super) fn new(now: Duration, owner: u64, question: Question) -> Flight<T> {
        let (end, hold, askers, attempts) = (now + LIMIT, now + HOLD, Vec::new(), Vec::new());
        Flight { question, owner, askers, attempts, cut: false, held: None, hold, next: None, end, wake: end }
    }

    /// One more waits. Given back: they are too many.
    pub(super) fn join(&mut self, asker: Asker<T>) -> Result<(), Asker<T>> {
        if self.askers.len() == ASKERS {
            return Err(asker);
        }
        self.askers.push(asker);
        Ok(())
    }

    /// Notes a message that is sent.
    pub(super) fn attempt(&mut self, now: Duration, token: u64, id: u16, upstream: SocketAddr, tcp: bool) {
        self.attempts.push(Attempt { token, upstream, id, sent: now, tcp, over: false, foreign: 0 });
    }

    /// Times that a server was asked.
    pub(super) fn tries(&self, upstream: SocketAddr) -> u32 {
        self.attempts.iter().filter(|attempt| attempt.upstream == upstream).count() as u32
    }

    /// The next to be asked: one that was not, then one that said nothing yet.
    pub(super) fn choose<'a>(&self, upstreams: &'a [Upstream]) -> Option<&'a Upstream> {
        if self.attempts.len() >= ATTEMPTS {
            return None;
        }
        let over = |upstream: SocketAddr| self.attempts.iter().any(|other| other.over && other.upstream == upstream);
        let able = upstreams.iter().filter(|one| self.tries(one.address) < TRIES && !over(one.address));
        able.min_by_key(|one| (self.tries(one.address), one.is_suspect()))
    }

    /// When it is to be looked at.
    pub(super) fn due(&self) -> Duration {
        let hold = self.held.as_ref().map(|_| self.hold);
        self.next.into_iter().chain(hold).fold(self.end, Duration::min)
    }

    /// Whether something is still expected of a server.
    pub(super) fn waits_for(&self, upstream: SocketAddr) -> bool {
        self.attempts.iter().any(|attempt| !attempt.over && attempt.upstream == upstream)
    }

    /// Whether something is still expected.
    pub(super) fn is_waiting(&self) -> bool {
        self.attempts.iter().any(|attempt| !attempt.over)
    }
}
