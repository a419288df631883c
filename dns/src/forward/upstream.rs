//! The servers that are asked, and how they fare. A server is asked in the order of its place in the list, unless it was
//! silent: then it is passed over, and probed in the background at growing intervals until it says something.

use std::net::SocketAddr;
use std::time::Duration;

/// How long the best server may think before the next one is asked as well.
pub(super) const HEDGE: Duration = Duration::from_millis(600);
/// How long a probe is waited for.
const PROBE: Duration = Duration::from_millis(1_500);
/// Pause before the second probe, doubled after each up to
const PAUSE: Duration = Duration::from_secs(1);
/// this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long it is remembered that a server cannot be reached over TCP.
const NO_TCP: Duration = Duration::from_secs(300);

/// How a server fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// It says nothing, and is passed over while another one does.
    pub down: bool,
    /// Its last time to answer.
    pub last_rtt: Option<Duration>,
    /// Messages to it, probes among them.
    pub asked: u64,
    /// Messages from it that belong to a question.
    pub answered: u64,
    /// Times that it was silent, or could not be reached.
    pub silent: u64,
    pub(super) last_heard: Option<Duration>,
    no_tcp_until: Duration,
    suspect: Option<Suspicion>,
}

/// A server that was silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suspicion {
    /// Of the probe that is waited for.
    token: Option<u64>,
    /// When that is given up, or the next is sent.
    next: Duration,
    pause: Duration,
}

/// What time has brought for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A probe is to be sent.
    Probe,
    /// The first probe was not answered: it is down.
    Down,
}

impl Upstream {
    pub(super) fn new(address: SocketAddr) -> Upstream {
        Upstream {
            address,
            down: false,
            last_rtt: None,
            asked: 0,
            answered: 0,
            silent: 0,
            last_heard: None,
            no_tcp_until: Duration::ZERO,
            suspect: None,
        }
    }

    /// It cannot be reached over TCP.
    pub(super) fn has_no_tcp(&mut self, now: Duration) {
        self.no_tcp_until = now + NO_TCP;
    }

    /// Whether it is worth trying over TCP.
    pub(super) fn may_have_tcp(&self, now: Duration) -> bool {
        self.no_tcp_until <= now
    }

    /// Whether it was silent last.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// It was silent since a moment, if nothing else came from it.
    pub(super) fn missed(&mut self, now: Duration, since: Duration) {
        if self.last_heard.is_some_and(|heard| heard >= since) {
            return;
        }
        self.silent += 1;
        if self.suspect.is_none() {
            self.suspect = Some(Suspicion { token: None, next: now, pause: PAUSE });
        }
    }

    /// It said something. True: it had been down.
    pub(super) fn heard(&mut self, now: Duration, sent: Duration) -> bool {
        let rtt = now.saturating_sub(sent);
        self.answered += 1;
        self.last_rtt = Some(rtt);
        self.last_heard = Some(now);
        self.suspect = None;
        std::mem::take(&mut self.down)
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.suspect.map(|suspect| suspect.next)
    }

    /// What is due.
    pub(super) fn due(&mut self, now: Duration) -> Option<Due> {
        let suspect = self.suspect.as_mut().filter(|suspect| suspect.next <= now)?;
        if suspect.token.take().is_none() {
            suspect.next = now + PROBE;
            return Some(Due::Probe);
        }
        self.silent += 1;
        suspect.next = now + suspect.pause;
        suspect.pause = (2 * suspect.pause).min(LONGEST_PAUSE);
        let first = !std::mem::replace(&mut self.down, true);
        first.then_some(Due::Down)
    }

    /// The probe that was due has this token.
    pub(super) fn probed(&mut self, token: u64) {
        if let Some(suspect) = &mut self.suspect {
            suspect.token = Some(token);
        }
    }

    /// A probe could not be sent, whatever its server would have said: another one is, later.
    pub(super) fn probe_unsent(&mut self, now: Duration, token: u64) {
        if let Some(suspect) = self.suspect.as_mut().filter(|suspect| suspect.token == Some(token)) {
            *suspect = Suspicion { token: None, next: now + suspect.pause, ..*suspect };
        }
    }

    /// A probe could not be sent, or not be received: as if it had not been answered for long enough.
    pub(super) fn probe_failed(&mut self, now: Duration, token: u64) {
        if let Some(suspect) = self.suspect.as_mut().filter(|suspect| suspect.token == Some(token)) {
            suspect.next = now;
        }
    }
}
