//! The sessions of this process: who is alive until when. Rows are not here; sessions do not outlive the process.

use std::collections::HashMap;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// Most sessions at a time. The daemon needs one.
const MOST: usize = 1024;

/// Longest time to live, as with Consul.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The sessions that are alive.
#[derive(Default)]
pub(super) struct Sessions {
    by_id: HashMap<String, Session>,
}

struct Session {
    ttl: Duration,
    deadline: Instant,
}

impl Sessions {
    /// A new session's id, or why there is none.
    pub(super) fn open(&mut self, ttl: Duration, now: Instant) -> Result<String, String> {
        if ttl.is_zero() || ttl > LONGEST {
            return Err(format!(
                "a session of {} s: must be more than 0 and at most {}",
                ttl.as_secs_f64(),
                LONGEST.as_secs()
            ));
        }
        if self.by_id.len() >= MOST {
            return Err(format!("{MOST} sessions are open (close some)"));
        }
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let deadline = now + ttl;
        self.by_id.insert(id.clone(), Session { ttl, deadline });
        Ok(id)
    }

    /// False when the session is gone.
    pub(super) fn renew(&mut self, id: &str, now: Instant) -> bool {
        match self.by_id.get_mut(id) {
            Some(session) => {
                session.deadline = now + session.ttl;
                true
            }
            None => false,
        }
    }

    pub(super) fn is_alive(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// Those whose time is over; they stay until removed, so that no failed write loses track of their rows.
    pub(super) fn expired(&self, now: Instant) -> Vec<String> {
        let over = self.by_id.iter().filter(|(_, s)| s.deadline <= now);
        over.map(|(id, _)| id.clone()).collect()
    }

    /// When the next one's time is over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_id.values().map(|session| session.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(15);

    #[test]
    fn a_session_lives_as_long_as_it_is_renewed() {
        let mut sessions = Sessions::default();
        let start = Instant::now();
        let id = sessions.open(TTL, start).unwrap();
        assert!(sessions.renew(&id, start + TTL / 2));
        assert!(sessions.expired(start + TTL).is_empty());
        assert_eq!(sessions.next_deadline(), Some(start + TTL / 2 + TTL));
        assert_eq!(sessions.expired(start + TTL * 2), [id.as_str()]);
        sessions.remove(&id);
        assert!(!sessions.renew(&id, start) && !sessions.is_alive(&id));
        assert_eq!(sessions.next_deadline(), None);
    }

    #[test]
    fn their_number_and_time_are_bounded() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        assert!(sessions.open(Duration::ZERO, now).is_err());
        assert!(sessions.open(Duration::MAX, now).is_err());
        for _ in 0..MOST {
            sessions.open(TTL, now).unwrap();
        }
        assert!(sessions.open(TTL, now).is_err());
    }
}
