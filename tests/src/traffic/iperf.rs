//! iperf3 between two places: rates for benchmarks and the demo. Payloads are not checked here.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::exec::{self, Process};
use crate::netns::Place;
use crate::wait;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Parallel TCP streams.
    pub streams: u32,
    /// Seconds measured, after half a second that is not.
    pub seconds: u32,
}

/// Runs TCP from `a` to `b`, whose address is `at`, and returns Gbit/s received.
pub fn tcp(a: &impl Place, b: &impl Place, at: IpAddr, load: Load, log_dir: &Path) -> Result<f64> {
    let address = at.to_string();
    let server_netns = b.netns()?;
    let _server = Process::start(
        Some(&server_netns),
        &["iperf3", "-s", "-1", "-B", &address, "-p", "5201"],
        &[],
        &log_dir.join("iperf3.log"),
    )?;
    wait::until(Duration::from_secs(5), "iperf3 to listen", || {
        match server_netns.exec(&["ss", "-Hltn", "sport", "=", ":5201"])?.is_empty() {
            true => bail!("not yet"),
            false => Ok(()),
        }
    })?;
    let (streams, seconds) = (load.streams.to_string(), load.seconds.to_string());
    let argv = ["iperf3", "-J", "-c", &address, "-p", "5201", "-P", &streams, "-t", &seconds, "-O", "1"];
    let output = exec::output_in(Some(&a.netns()?), &argv)?;
    let report: Value = serde_json::from_slice(&output.stdout).context("iperf3 printed no JSON")?;
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .filter(|rate| *rate > 0.0)
        .map(|rate| rate / 1e9)
        .with_context(|| format!("iperf3: {}", report["error"]))
}
