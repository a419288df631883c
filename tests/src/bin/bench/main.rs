//! `make bench`: the switch beside the kernel's own bridge and VXLAN, on this machine, in this minute.
//! Both stand ready at the same time and are measured in turns; medians of five are compared. The
//! results go to `target/bench.json` as well; a promised ratio that is missed is a failure.
#![forbid(unsafe_code)]

mod report;
mod rigs;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tests::lab;
use tests::traffic::iperf::Load;

use report::{Outcome, Samples};
use rigs::{Model, Rig};

/// Turns of each side; the median needs an odd number.
const RUNS: usize = 5;
/// Seconds measured in each turn.
const SECONDS: u32 = 3;

/// One comparison.
struct Case {
    name: &'static str,
    /// The underlay's model; `None` is one host.
    underlay: Option<Model>,
    streams: u32,
    /// The least ratio that is promised, if one is.
    promised: Option<f64>,
}

const fn case(name: &'static str, underlay: Option<Model>, streams: u32, promised: Option<f64>) -> Case {
    Case { name, underlay, streams, promised }
}

const CASES: [Case; 8] = [
    case("local-tcp1", None, 1, Some(0.8)),
    case("local-tcp4", None, 4, None),
    case("vxlan-tcp1-m0", Some(Model::AsIs), 1, Some(0.6)),
    case("vxlan-tcp1-m1", Some(Model::NoSegmentation), 1, None),
    case("vxlan-tcp1-m2", Some(Model::UdpSegmentation), 1, None),
    case("vxlan-tcp4-m0", Some(Model::AsIs), 4, None),
    case("vxlan-tcp4-m1", Some(Model::NoSegmentation), 4, None),
    case("vxlan-tcp4-m2", Some(Model::UdpSegmentation), 4, None),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).collect();
    match bench(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the cases named, or all; true when every promise is kept.
fn bench(wanted: &[String]) -> Result<bool> {
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    for name in wanted {
        ensure!(names.contains(&name.as_str()), "no case {name}; there are: {}", names.join(" "));
    }
    let mut outcomes = Vec::new();
    println!("{}", report::HEAD);
    for case in CASES.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|w| w == case.name)) {
        lab::run(|lab| {
            let outcome = compare(lab, case).with_context(|| format!("case {}", case.name))?;
            println!("{}", outcome.line());
            outcomes.push(outcome);
            Ok(())
        })?;
    }
    report::write(&target_dir()?.join("bench.json"), &outcomes)?;
    Ok(outcomes.iter().all(Outcome::kept))
}

fn compare(lab: &lab::Lab, case: &Case) -> Result<Outcome> {
    let (ours, theirs) = match case.underlay {
        None => (Rig::local_switch(lab)?, Rig::local_kernel(lab)?),
        Some(model) => (Rig::vxlan_switch(lab, model)?, Rig::vxlan_kernel(lab, model)?),
    };
    let load = Load { streams: case.streams, seconds: SECONDS };
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        our_rates.push(ours.run(load).context("the switch")?);
        their_rates.push(theirs.run(load).context("the kernel")?);
    }
    Ok(Outcome {
        case: case.name,
        promised: case.promised,
        ours: Samples::of(our_rates),
        theirs: Samples::of(their_rates),
    })
}

/// The `target` directory that this program was built into.
fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let target = own.ancestors().nth(2).context("the program is not in target/PROFILE")?;
    Ok(target.to_owned())
}
