//! What ten thousand rules cost, next to ten: first packets of distinct connections between two containers, none of which a
//! rule matches before the last, and an established stream. And the kernel's bridge with the same ten thousand. Last, how
//! long it takes to load a hundred thousand.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use tests::exec::Process;
use tests::{Host, Lab, Netns, Place};

use crate::load::sink::Sink;
use crate::load::spray::{Spray, Vary};
use crate::load::{Metric, bulk, small_frames};
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;
use crate::topology::{A, B, kernel, ours};

const MANY: u32 = 10_000;
const FEW: u32 = 10;
const LOADED: u32 = 100_000;
/// What new flows past many rules have to reach, next to the kernel's.
const BOUND: f64 = 20.0;
/// Flows before one comes again: more than are sent in a run, so that what comes again is long forgotten.
const FLOWS: u32 = 32 * 60_000;
const STREAM: u16 = 5_201;

type Load<'a> = Box<dyn Fn(&Path) -> Result<()> + 'a>;

/// Two containers, and how their host gets rules.
struct World<'a> {
    a: Netns,
    b: Netns,
    load: Load<'a>,
}

/// New flows a second and Gbit/s, with many rules and with few; new flows next to the kernel's.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let host = lab.host("rules1")?;
    let daemon = ours::alone(&host)?;
    let (a, b) = (ours::attach(&daemon, "a", A)?, ours::attach(&daemon, "b", B)?);
    let load = Box::new(|file: &Path| daemon.vsctl(&["filter", "load", &file.display().to_string()]).map(drop));
    let own = World { a: a.netns()?, b: b.netns()?, load };
    let (other, a, b) = kernel::filtered(lab)?;
    let restore = |file: &Path| restore(&other, file);
    let theirs = World { a, b, load: Box::new(restore) };

    let (many, few, loaded) = (write(&host, MANY)?, write(&host, FEW)?, write(&host, LOADED)?);
    let argv = ["iperf3", "-s", "-p", &STREAM.to_string()];
    let _server = Process::start(Some(&own.b), &argv, &[], &host.dir().join("iperf3-b.log"))?;
    let flows = |world: &World<'_>| Spray::between((&world.a, A), (&world.b, B), Vary::Ports, FLOWS);
    let sprays = [flows(&own)?, flows(&theirs)?];
    let sinks = [Sink::open(&own.b, B, sprays[0].ports())?, Sink::open(&theirs.b, B, sprays[1].ports())?];

    let new = |number: usize, world: &World<'_>, rules: &Path| -> Result<(f64, bool)> {
        (world.load)(rules)?;
        bench.guard.run(|| small_frames::rate(&sprays[number], &world.a, &sinks[number], bench.args.length()))
    };
    let stream = |rules: &Path| -> Result<(f64, bool)> {
        (own.load)(rules)?;
        bench.guard.run(|| bulk::run(&own.a, (B.into(), STREAM), &[], bench.args.length()))
    };
    let loading = |world: &World<'_>| -> Result<(f64, bool)> {
        (world.load)(&few)?;
        bench.guard.run(|| {
            let start = Instant::now();
            (world.load)(&loaded)?;
            Ok(start.elapsed().as_secs_f64())
        })
    };
    let mut figures: [Vec<f64>; 7] = Default::default();
    let mut busy = false;
    for run in 1..=bench.args.runs {
        let results = [
            ("ours, 10,000 rules", "flows/s", new(0, &own, &many)?),
            ("ours, 10 rules", "flows/s", new(0, &own, &few)?),
            ("kernel, 10,000 rules", "flows/s", new(1, &theirs, &many)?),
            ("ours, 10,000 rules", "Gbit/s", stream(&many)?),
            ("ours, 10 rules", "Gbit/s", stream(&few)?),
            ("ours, 100,000 rules loaded", "s", loading(&own)?),
            ("kernel, 100,000 rules loaded", "s", loading(&theirs)?),
        ];
        for ((name, unit, (figure, disturbed)), all) in results.into_iter().zip(&mut figures) {
            println!("  run {run} of {}  {name}: {} {unit}", bench.args.runs, show(figure));
            busy |= disturbed;
            all.push(figure);
        }
    }
    let [many, few, kernel, many_stream, few_stream, loaded, kernel_loaded] = &figures;
    let (flows, rate, time) =
        (Metric::higher("new flows/s"), Metric::higher("Gbit/s"), Metric::lower("s, 100,000 rules"));
    let rows = [
        Row::compared(case, "10 rules", flows, many, few, busy),
        Row::compared(case, "iptables", flows, many, kernel, busy).map(|row| row.at_least(BOUND)),
        Row::compared(case, "10 rules", rate, many_stream, few_stream, busy),
        Row::compared(case, "iptables", time, loaded, kernel_loaded, busy),
    ];
    Ok(rows.into_iter().flatten().collect())
}

/// Rules for sources that are not there, and one for all others behind them.
fn write(host: &Host, count: u32) -> Result<std::path::PathBuf> {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for number in 1..count {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(20, 0, 0, 0)) + number);
        text += &format!("-A FORWARD -s {source}/32 -p udp -m udp --dport {} -j DROP\n", 1 + number % 60_000);
    }
    text += "-A FORWARD -j ACCEPT\nCOMMIT\n";
    let path = host.dir().join(format!("rules-{count}"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn restore(host: &Host, file: &Path) -> Result<()> {
    host.exec(&["iptables-restore", &file.display().to_string()]).map(drop)
}
