//! TCP by iperf3; its server runs as long as the topology.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::exec;

use crate::topology::{B, Side};

/// Gbit/s that the receiver got.
pub(super) fn run(side: &Side, streams: u32, length: Duration) -> Result<f64> {
    let (streams, seconds) = (streams.to_string(), length.as_secs().to_string());
    let argv = ["iperf3", "-J", "-c", &B.to_string(), "-P", &streams, "-t", &seconds];
    let output = exec::output_in(Some(&side.sender), &argv)?;
    let report: Value = serde_json::from_slice(&output.stdout).context("iperf3 printed no JSON")?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.map(|rate| rate / 1e9).with_context(|| format!("iperf3: {}", report["error"]))
}
