//! Micro-benchmarks of the data path. Each case is measured in time by criterion (`make micro`), or counted in instructions
//! under valgrind (`make counts`), with the same inputs. Not the switch beside others: that is `make bench`.
//!
//! Inputs are the same on every run and on every machine: what is random has fixed seeds.
#![forbid(unsafe_code)]

mod count;
mod engine;
mod formats;
mod names;
mod packet;
#[cfg(feature = "criterion")]
mod time;
mod tracking;
mod trains;

/// What a case does again and again, and what it is made of.
pub(crate) struct Work {
    frames: u32,
    step: Box<dyn FnMut()>,
}

impl Work {
    /// A step that handles one frame.
    pub(crate) fn new(step: impl FnMut() + 'static) -> Work {
        Work::batch(1, step)
    }

    /// A step that handles that many frames; what is reported is one frame's part.
    pub(crate) fn batch(frames: u32, step: impl FnMut() + 'static) -> Work {
        Work { frames, step: Box::new(step) }
    }
}

/// A case: its name, and what sets it up.
pub(crate) type Case = (&'static str, fn() -> Work);

/// With `count [PART]`: instructions of the cases whose name contains PART, to be run by valgrind. Else as criterion has it.
fn main() {
    let cases: Vec<Case> = [formats::CASES, trains::CASES, tracking::CASES, names::CASES, engine::CASES].concat();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("count") {
        return count::run(&cases, &args.next().unwrap_or_default());
    }
    #[cfg(feature = "criterion")]
    time::run(&cases);
    #[cfg(not(feature = "criterion"))]
    eprintln!("time is measured with --features criterion: make micro");
}
