//! Two CPUs compared by what the data thread gets done on them: at home, away, away, at home, so that what grows or falls
//! meanwhile does not count for either.

use std::time::Duration;

use wire::Time;

/// How long each leg is.
const LEG: Duration = Duration::from_millis(12);
/// The beginning of a leg after a move does not count: caches fill, others find their place.
const ARRIVAL: Duration = Duration::from_millis(3);
/// Less than this percentage of what gets done at home, after a short impression, ends it at once.
const HOPELESS: u64 = 80;
const IMPRESSION: Duration = Duration::from_millis(4);
/// The other one has to be better by this percentage.
const MARGIN: u64 = 8;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Away,
    Home,
    /// Decided; the thread is at home.
    Over {
        /// The other CPU is.
        better: bool,
    },
}

/// Work and time of one of the two.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    work: u64,
    time: Duration,
}

impl Score {
    /// Work per millisecond.
    fn rate(self) -> u64 {
        self.work * 1_000 / (self.time.as_micros() as u64).max(1)
    }
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Contest {
    leg: usize,
    begun: Time,
    /// At home, away.
    scores: [Score; 2],
    /// Work since the leg's beginning, and when its counted part began.
    work: u64,
    counted: Option<Time>,
}

impl Contest {
    /// Begins with a leg at home.
    pub(super) fn new(now: Time) -> Contest {
        Contest { leg: 0, begun: now, scores: Default::default(), work: 0, counted: Some(now) }
    }

    /// Notes work. Returns what comes next, when a leg is over that is not followed by one like it.
    pub(super) fn worked(&mut self, now: Time, work: u64) -> Option<Leg> {
        let Some(counted) = self.counted else {
            if now.since(self.begun) >= ARRIVAL {
                self.counted = Some(now);
            }
            return None;
        };
        self.work += work;
        let passed = now.since(counted);
        let so_far = Score { work: self.work, time: passed };
        if self.leg == 1 && passed >= IMPRESSION && so_far.rate() * 100 < self.scores[0].rate() * HOPELESS {
            self.scores[1] = so_far;
            self.leg = 3;
            (self.begun, self.work, self.counted) = (now, 0, None);
            return Some(Leg::Home);
        }
        if now.since(self.begun) < LEG {
            return None;
        }
        let score = &mut self.scores[usize::from(matches!(self.leg, 1 | 2))];
        score.work += so_far.work;
        score.time += so_far.time;
        self.leg += 1;
        (self.begun, self.work) = (now, 0);
        self.counted = (self.leg == 2).then_some(now);
        match self.leg {
            1 => Some(Leg::Away),
            2 => None,
            3 => Some(Leg::Home),
            _ => Some(Leg::Over { better: self.is_better() }),
        }
    }

    /// What got done on the better one, per millisecond.
    pub(super) fn best(&self) -> u64 {
        let [home, away] = self.scores.map(Score::rate);
        if self.is_better() { away } else { home }
    }

    fn is_better(&self) -> bool {
        let [home, away] = self.scores.map(Score::rate);
        away * 100 > home * (100 + MARGIN)
    }
}
