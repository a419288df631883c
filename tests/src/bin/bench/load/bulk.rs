//! TCP by iperf3; its server runs as long as the topology.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tests::{Netns, exec};

/// Gbit/s that the receiver got. The client is at `from`, with these further flags.
pub(crate) fn run(from: &Netns, (address, port): (IpAddr, u16), flags: &[&str], length: Duration) -> Result<f64> {
    let (address, port, seconds) = (address.to_string(), port.to_string(), length.as_secs().to_string());
    let mut argv = vec!["iperf3", "-J", "-c", &address, "-p", &port, "-t", &seconds];
    argv.extend(flags);
    let output = exec::output_in(Some(from), &argv)?;
    let report: Value = serde_json::from_slice(&output.stdout).context("iperf3 printed no JSON")?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.map(|rate| rate / 1e9).with_context(|| format!("iperf3: {}", report["error"]))
}
