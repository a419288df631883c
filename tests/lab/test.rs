//! The multi-host lab as a test. Where Docker cannot run it says so.
#![forbid(unsafe_code)]

mod steps;

use tests::{Docker, scenario};

#[test]
fn the_multi_host_lab() {
    if let Some(why) = Docker::missing() {
        eprintln!("skipped: {why}");
        return;
    }
    scenario(steps::all);
}
