//! Staying on one CPU while traffic flows, on the one where most gets done. A scheduler moves a thread that wakes and is
//! woken often to those that it talks to; whether it does better beside a sender, beside a receiver or beside neither differs
//! by a factor of two and more, and from the inside it cannot be told which is which. So the thread tries: it
//! compares its CPU with another one ([`Contest`]), and stays on the better one. Where it stays, the others find their
//! place by themselves.
//!
//! It compares again from time to time, the more seldom the less it finds, and at once when much less gets done than before.

use std::io;
use std::time::Duration;

use port::cpu;
use rand::seq::IteratorRandom;
use wire::Time;

use super::contest::{Contest, Leg};

/// Traffic flows for so long before the thread settles.
const TRIAL: Duration = Duration::from_millis(10);
/// Without frames for so long it roams, and without many for so long.
const PATIENCE: Duration = Duration::from_millis(20);
const SPARSE: Duration = Duration::from_millis(200);
/// Between two comparisons: at least, and at most.
const TERMS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(4)];
/// What was found holds so long after the traffic ended.
const MEMORY: Duration = Duration::from_secs(10);
/// What gets done is looked at so often; less than this percentage twice in a row calls for a comparison.
const WINDOW: Duration = Duration::from_millis(20);
const FALLEN: u64 = 70;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Stay,
    /// To the CPU that is tried.
    Away,
    /// Back from it.
    Home,
    /// The tried one is the home from now on.
    Swap,
    Roam,
}

/// What the thread knows and does, without the CPUs' numbers.
#[derive(Debug)]
struct State {
    phase: Phase,
    /// How long the next stay is, if it is not cut short.
    term: Duration,
    /// What got done on the better CPU in the last comparison, per millisecond; 0: not known.
    usual: u64,
    /// When frames came close together last.
    dense: Time,
    /// By how much a stay is longer or shorter than its term, by chance: of two threads that share CPUs one is to compare at a time.
    spread: f32,
}

#[derive(Debug)]
enum Phase {
    /// The last traffic was then.
    Idle(Time),
    /// Frames have come close together since then.
    Trial(Time),
    Settled(Stay),
    Compare(Contest),
}

/// The thread is on one CPU.
#[derive(Debug)]
struct Stay {
    until: Time,
    /// The window: since when, what got done, and whether that was little in the one before.
    since: Time,
    work: u64,
    low: bool,
}

/// The calling thread's.
#[derive(Debug, Default)]
pub(super) struct Perch {
    state: State,
    /// The CPUs that it may roam, the one it is at home on, and the one it tries.
    cpus: Vec<usize>,
    home: usize,
    tried: usize,
}

impl Perch {
    /// After a round with frames; `dense`: they come close together; `work`: how much that was, in any unit.
    pub(super) fn worked(&mut self, now: Time, dense: bool, work: u64) {
        let next = self.state.worked(now, dense, work);
        self.follow(now, next);
    }

    /// After a round without; the last frame came at `last`.
    pub(super) fn rested(&mut self, now: Time, last: Time) {
        let next = self.state.rested(now, last);
        self.follow(now, next);
    }

    /// The longest sleep.
    pub(super) fn patience(&self) -> Option<Duration> {
        (!matches!(self.state.phase, Phase::Idle(_))).then_some(PATIENCE)
    }

    fn follow(&mut self, now: Time, next: Option<Move>) {
        let Some(next) = next else { return };
        let outcome = match next {
            Move::Stay => self.settle(),
            Move::Away => self.try_another(),
            Move::Home => self.keep_to(&[self.home]),
            Move::Swap => {
                self.home = self.tried;
                self.keep_to(&[self.home])
            }
            Move::Roam => self.roam(),
        };
        // A CPU that is gone, or not this thread's any more, is no reason to stop.
        if let Err(error) = outcome {
            tracing::debug!(%error, "the data thread's CPU cannot be chosen");
            self.state.phase = Phase::Idle(now);
            if let Err(error) = self.roam() {
                tracing::debug!(%error, "the data thread's CPU cannot be left");
            }
        }
    }

    fn settle(&mut self) -> io::Result<()> {
        self.cpus = cpu::allowed()?;
        self.home = cpu::here()?;
        self.keep_to(&[self.home])
    }

    fn try_another(&mut self) -> io::Result<()> {
        let others = self.cpus.iter().copied().filter(|&cpu| cpu != self.home);
        self.tried = others.choose(&mut rand::rng()).unwrap_or(self.home);
        self.keep_to(&[self.tried])
    }

    fn roam(&self) -> io::Result<()> {
        self.keep_to(&cpu::with_later(self.cpus.clone()))
    }

    fn keep_to(&self, cpus: &[usize]) -> io::Result<()> {
        if self.cpus.len() < 2 { Ok(()) } else { cpu::keep_to(cpus) }
    }
}

impl Default for State {
    fn default() -> State {
        State { phase: Phase::Idle(Time::ZERO), term: TERMS[0], usual: 0, dense: Time::ZERO, spread: 0.2 }
    }
}

impl State {
    fn worked(&mut self, now: Time, dense: bool, work: u64) -> Option<Move> {
        if dense {
            self.dense = now;
        } else if self.stays() && now.since(self.dense) >= SPARSE {
            self.phase = Phase::Idle(now);
            return Some(Move::Roam);
        }
        match &mut self.phase {
            Phase::Idle(since) if dense => {
                if now.since(*since) >= MEMORY {
                    (self.term, self.usual) = (TERMS[0], 0);
                }
                self.phase = Phase::Trial(now);
            }
            Phase::Trial(_) if !dense => self.phase = Phase::Idle(now),
            Phase::Trial(since) if now.since(*since) >= TRIAL => {
                self.phase = Phase::Settled(Stay::new(now, self.length()));
                return Some(Move::Stay);
            }
            Phase::Settled(stay) => {
                if !stay.is_over(now, work, self.usual) || !dense {
                    return None;
                }
                self.phase = Phase::Compare(Contest::new(now));
            }
            Phase::Compare(contest) => {
                let (next, term) = match contest.worked(now, work)? {
                    Leg::Away => return Some(Move::Away),
                    Leg::Home => return Some(Move::Home),
                    Leg::Over { better: true } => (Some(Move::Swap), TERMS[0]),
                    Leg::Over { better: false } => (None, (4 * self.term).min(TERMS[1])),
                };
                (self.term, self.usual) = (term, contest.best());
                self.phase = Phase::Settled(Stay::new(now, self.length()));
                return next;
            }
            _ => {}
        }
        None
    }

    fn rested(&mut self, now: Time, last: Time) -> Option<Move> {
        if now.since(last) < PATIENCE || matches!(self.phase, Phase::Idle(_)) {
            return None;
        }
        let stayed = self.stays();
        self.phase = Phase::Idle(last);
        stayed.then_some(Move::Roam)
    }

    /// Whether the thread is on one CPU.
    fn stays(&self) -> bool {
        matches!(self.phase, Phase::Settled(_) | Phase::Compare(_))
    }

    /// Of the next stay.
    fn length(&self) -> Duration {
        self.term.mul_f32(1.0 + self.spread * rand::random_range(-1.0..=1.0))
    }
}

impl Stay {
    fn new(now: Time, length: Duration) -> Stay {
        Stay { until: now + length, since: now, work: 0, low: false }
    }

    /// Whether to compare now.
    fn is_over(&mut self, now: Time, work: u64, usual: u64) -> bool {
        self.work += work;
        let passed = now.since(self.since);
        if passed >= WINDOW {
            let low = self.work * 100 < usual * FALLEN * passed.as_millis() as u64;
            if low && self.low {
                return true;
            }
            (self.since, self.work, self.low) = (now, 0, low);
        }
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round every 100 µs: moves, and when. `speed`: what gets done in one, at home and away.
    struct World {
        state: State,
        now: Time,
        away: bool,
        moves: Vec<(u64, Move)>,
    }

    impl World {
        fn new() -> World {
            World {
                state: State { spread: 0.0, ..State::default() },
                now: Time::from_secs(100),
                away: false,
                moves: Vec::new(),
            }
        }

        fn run(&mut self, ms: u64, [home, away]: [u64; 2]) {
            for _ in 0..10 * ms {
                self.now = self.now + Duration::from_micros(100);
                let next = self.state.worked(self.now, true, if self.away { away } else { home });
                self.note(next);
            }
        }

        fn pause(&mut self, ms: u64) {
            let last = self.now;
            self.now = self.now + Duration::from_millis(ms);
            let next = self.state.rested(self.now, last);
            self.note(next);
        }

        fn note(&mut self, next: Option<Move>) {
            let Some(next) = next else { return };
            self.away = next == Move::Away;
            self.moves.push((self.now.since(Time::from_secs(100)).as_millis() as u64, next));
        }

        fn take(&mut self) -> Vec<Move> {
            self.moves.drain(..).map(|(_, next)| next).collect()
        }
    }

    #[test]
    fn it_settles_while_frames_come_close_together() {
        let mut state = State::default();
        let ms = |ms| Time::ZERO + Duration::from_millis(ms);
        assert_eq!(state.worked(ms(0), true, 1), None);
        assert_eq!(state.worked(ms(9), true, 1), None, "not for a burst");
        assert_eq!(state.worked(ms(9), false, 1), None, "which ends");
        assert_eq!(state.worked(ms(11), true, 1), None);
        assert_eq!(state.worked(ms(21), true, 1), Some(Move::Stay));
        assert_eq!(state.rested(ms(40), ms(21)), None);
        assert_eq!(state.rested(ms(41), ms(21)), Some(Move::Roam));
        assert_eq!(state.rested(ms(70), ms(21)), None, "once");
    }

    #[test]
    fn it_roams_when_little_comes() {
        let mut world = World::new();
        world.run(50, [100, 50]);
        assert_eq!(world.take(), [Move::Stay]);
        for _ in 0..25 {
            world.now = world.now + Duration::from_millis(10);
            let next = world.state.worked(world.now, false, 1);
            world.note(next);
        }
        assert_eq!(world.take(), [Move::Roam]);
    }

    #[test]
    fn it_moves_to_where_more_gets_done() {
        let mut world = World::new();
        world.run(300, [100, 150]);
        assert_eq!(world.take()[..4], [Move::Stay, Move::Away, Move::Home, Move::Swap]);
    }

    #[test]
    fn it_compares_seldom_where_that_finds_nothing() {
        for away in [40, 100] {
            let mut world = World::new();
            world.run(20_000, [100, away]);
            let moves = world.take();
            assert!((9..=17).contains(&moves.len()), "{moves:?}");
            assert!(moves[1..].chunks(2).all(|pair| pair == [Move::Away, Move::Home]), "{moves:?}");
            world.pause(1_000);
            world.run(500, [100, away]);
            assert_eq!(world.take(), [Move::Roam, Move::Stay], "nor anew after each pause");
            world.pause(20_000);
            world.run(500, [100, away]);
            assert!(world.take().len() > 3, "but after a long one");
        }
    }

    #[test]
    fn it_compares_at_once_when_much_less_gets_done() {
        let mut world = World::new();
        world.run(9_000, [100, 90]);
        assert!(matches!(world.state.phase, Phase::Settled(_)), "between two comparisons");
        world.take();
        world.run(130, [50, 90]);
        assert_eq!(world.take()[..3], [Move::Away, Move::Home, Move::Swap]);
    }
}
