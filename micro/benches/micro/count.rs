//! Instructions: valgrind's callgrind collects inside of [`counted`] alone, and writes one file each time that it returns.
//! So set-up and warm-up cost nothing, and the files are in the order of the cases.

use std::hint::black_box;

use crate::{Case, Work};

/// Steps before it counts: buffers have their size then, and tables what they keep.
const WARM_UP: u32 = 16;
/// Steps that are counted.
const STEPS: u32 = 100;

/// Prints "NAME FRAMES" for each case that was counted.
pub(crate) fn run(cases: &[Case], part: &str) {
    for (name, make) in cases.iter().filter(|(name, _)| name.contains(part)) {
        let Work { frames, mut step } = make();
        (0..WARM_UP).for_each(|_| step());
        counted(&mut step, STEPS);
        println!("{name} {}", frames * STEPS);
    }
}

/// Known to valgrind by its name (`.ci/counts`).
#[inline(never)]
fn counted(step: &mut dyn FnMut(), steps: u32) {
    for _ in 0..black_box(steps) {
        step();
    }
}
