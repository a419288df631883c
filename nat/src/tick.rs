//! Time as a connection keeps it: eighths of a second in four bytes. Reaches 17 years from the caller's origin.

use wire::Time;

/// A point in time, in eighths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u32);

const NANOS: u64 = 125_000_000;

impl Tick {
    /// The tick that `now` lies in.
    pub(crate) fn of(now: Time) -> Tick {
        Tick(u32::try_from(now.as_nanos() / NANOS).unwrap_or(u32::MAX))
    }

    /// The first tick that is at least `seconds` after any point in this one: nothing expires early.
    pub(crate) fn after(self, seconds: u32) -> Tick {
        Tick(self.0.saturating_add(seconds.saturating_mul(8)).saturating_add(1))
    }

    /// Whole seconds from `earlier`.
    pub(crate) fn since(self, earlier: Tick) -> u32 {
        self.0.saturating_sub(earlier.0) / 8
    }
}
