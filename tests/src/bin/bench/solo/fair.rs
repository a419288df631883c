//! Five ports, one of which floods with several times the force of the others. When all send more than fits: what the least of
//! the others gets, next to an equal share of all that arrives. When the others send less than their share: how much of it
//! arrives. And always: whether everything that was sent has arrived, or was counted as dropped.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{Lab, Place};

use super::growth::{Crowd, Force, Pair, blast};
use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;

/// Containers: five pairs.
const PORTS: u32 = 10;
/// Number of the daemon's host.
const HOST: u32 = 9;
/// What the least of the others has to get of an equal share. A flooding port may cost them a fair share and no more, so an
/// equal share is each one's due; the least of four is never above their mean, and the senders of all five share the
/// cores: a tenth is left to chance, as where a growing table must not cost throughput.
const DUE: f64 = 0.9;
const FLOOD: Force = Force { threads: 4, ..Force::FULL };
/// 64 frames each 8 ms: a fraction of what an equal share is anywhere.
const LITTLE: Force = Force { pause: Duration::from_millis(8), ..Force::FULL };
/// What has to arrive of that: a millisecond more or less at the ends of a run.
const KEPT: f64 = 0.99;

/// What one run gives.
struct Outcome {
    /// Frames per second of the least port that does not flood, and of an equal share.
    least: f64,
    share: f64,
    /// The part of its frames that arrived, of the port that lost most but the flooding one.
    kept: f64,
    /// The part of all frames that arrived or was counted as dropped.
    known: f64,
}

/// Rows for an equal share, for who sends little, and for what is known of.
pub(crate) fn measure(bench: &Bench, lab: &Lab, case: &'static str) -> Result<Vec<Row>> {
    let crowd = Crowd::gather(Crowd::daemon(lab, HOST)?, PORTS)?;
    let (mut least, mut shares, mut kept, mut known) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut busy = false;
    for run in 1..=bench.args.runs {
        for (others, name) in [(Force::FULL, "all flood"), (LITTLE, "the others send little")] {
            let (outcome, disturbed) = bench.guard.run(|| flood(&crowd, others, bench.args.length()))?;
            busy |= disturbed;
            println!(
                "  run {run} of {}  {name}: least {}/s, equal share {}/s, {:.2} % of the least arrived, {:.4} % are known of",
                bench.args.runs,
                show(outcome.least),
                show(outcome.share),
                100.0 * outcome.kept,
                100.0 * outcome.known,
            );
            known.push(outcome.known);
            if others.pause.is_zero() {
                least.push(outcome.least);
                shares.push(outcome.share);
            } else {
                kept.push(outcome.kept);
            }
        }
    }
    let rows = [
        Row::compared(case, "equal share", Metric::higher("frames/s, least port"), &least, &shares, busy)
            .map(|row| row.at_least(DUE)),
        Row::held(case, Metric::higher("arrived of little"), &kept, KEPT, busy),
        // Nothing is lost silently, in no run.
        Row::held(case, Metric::higher("known of, worst run"), &known, 1.0, busy).map(Row::at_worst),
    ];
    Ok(rows.into_iter().flatten().collect())
}

fn flood(crowd: &Crowd, others: Force, length: Duration) -> Result<Outcome> {
    let before = refused(crowd)?;
    let ports = blast(crowd.pairs(), |number| if number == 0 { FLOOD } else { others }, length)?;
    let counted = refused(crowd)? - before;
    let sent: u64 = ports.iter().map(|(sent, _)| sent.frames).sum();
    let arrived: u64 = ports.iter().map(|(_, arrived)| arrived).sum();
    ensure!(arrived + counted <= sent, "{} frames more than were sent are known of", arrived + counted - sent);
    let part = |arrived: u64, sent: u64| arrived as f64 / sent.max(1) as f64;
    let rest = || ports.iter().skip(1);
    Ok(Outcome {
        least: rest().map(|(_, arrived)| *arrived).min().context("there are no others")? as f64 / length.as_secs_f64(),
        share: arrived as f64 / length.as_secs_f64() / ports.len() as f64,
        kept: rest().map(|(sent, arrived)| part(*arrived, sent.frames)).fold(1.0, f64::min),
        known: part(arrived + counted, sent),
    })
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
