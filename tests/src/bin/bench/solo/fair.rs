//! Five ports that send more than the switch can forward, one of them with several times the force of the others: what the
//! least of the others gets, next to an equal share of all that arrives; and whether everything that was sent has arrived or
//! was counted as dropped.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{Lab, Place};

use super::growth::{Crowd, Pair, blast};
use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;

/// Containers: five pairs.
const PORTS: u32 = 10;
/// Number of the daemon's host.
const HOST: u32 = 9;
/// Threads of the port that floods; the others have one.
const FORCE: usize = 4;
/// The least share of a port, as the bench can tell: who has four threads is quicker to fill a queue that was emptied.
const SHARE: f64 = 0.9;

/// Frames per second of the least port and of an equal share; the share of frames that somebody knows of.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let crowd = Crowd::gather(Crowd::daemon(lab, HOST)?, PORTS)?;
    let (mut least, mut shares, mut known, mut busy) = (Vec::new(), Vec::new(), Vec::new(), false);
    for run in 1..=bench.args.runs {
        let before = refused(&crowd)?;
        let threads = |number| if number == 0 { FORCE } else { 1 };
        let (ports, disturbed) = bench.guard.run(|| blast(crowd.pairs(), threads, bench.args.length()))?;
        busy |= disturbed;
        let seconds = bench.args.length().as_secs_f64();
        let sent: u64 = ports.iter().map(|(sent, _)| sent.frames).sum();
        let arrived: u64 = ports.iter().map(|(_, arrived)| arrived).sum();
        let others = ports.iter().skip(1).map(|(_, arrived)| *arrived).min().context("there are no others")?;
        let counted = refused(&crowd)? - before;
        println!(
            "  run {run} of {}  flood {}/s, least of the others {}/s; {sent} sent, {arrived} arrived, {counted} counted as dropped",
            bench.args.runs,
            show(ports[0].1 as f64 / seconds),
            show(others as f64 / seconds),
        );
        ensure!(arrived + counted <= sent, "{} frames more than were sent are known of", arrived + counted - sent);
        least.push(others as f64 / seconds);
        shares.push(arrived as f64 / seconds / ports.len() as f64);
        known.push((arrived + counted) as f64 / sent as f64);
    }
    let rows = [
        Row::compared(case, "equal share", Metric::higher("frames/s, least port"), &least, &shares, busy)
            .map(|row| row.at_least(SHARE)),
        Row::held(case, Metric::higher("frames known of"), &known, 1.0, busy),
    ];
    Ok(rows.into_iter().flatten().collect())
}

/// Frames that links, their queues and the switch have counted as dropped so far.
fn refused(crowd: &Crowd) -> Result<u64> {
    let links = crowd.pairs().iter().map(of_link).sum::<Result<u64>>()?;
    let drops = crowd.switch().rows(&["drops", "--all"])?;
    let switch: u64 = drops.iter().filter_map(|row| row["count"].as_u64()).sum();
    Ok(links + switch)
}

/// Of the sender's link on its way out and of the receiver's on its way in, and of the sender's queue.
fn of_link(pair: &Pair) -> Result<u64> {
    let ask = |place: &tests::Netns, argv: &[&str]| -> Result<Value> { Ok(serde_json::from_str(&place.exec(argv)?)?) };
    let link = ["ip", "-json", "-statistics", "link", "show", "eth0"];
    let (out, r#in) = (ask(&pair.from, &link)?, ask(&pair.to, &link)?);
    let queue = ask(&pair.from, &["tc", "-json", "-statistics", "qdisc", "show", "dev", "eth0"])?;
    let queued: u64 = queue.as_array().into_iter().flatten().filter_map(|row| row["drops"].as_u64()).sum();
    let count = |value: &Value| value.as_u64().context("a link without counters");
    Ok(count(&out[0]["stats64"]["tx"]["dropped"])? + count(&r#in[0]["stats64"]["rx"]["dropped"])? + queued)
}
