//! Echo requests by ping(8), IPv4 and IPv6.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

use crate::netns::Place;

/// Sends `count` requests 20 ms apart; every one must be answered within a second.
/// Returns the average round trip in milliseconds.
pub fn all_answered(from: &impl Place, to: IpAddr, count: u32) -> Result<f64> {
    let said = send(from, to, count, 56)?;
    let received = received(&said)?;
    ensure!(received == count, "{received} of {count} pings to {to} were answered:\n{said}");
    let (_, rtt) = said.rsplit_once("= ").context("no summary")?;
    Ok(rtt.split('/').nth(1).context("no average")?.parse()?)
}

/// One request whose payload is `size` bytes, unfragmented where IPv4 lets it say so.
pub fn sized(from: &impl Place, to: IpAddr, size: u32) -> Result<()> {
    let said = send(from, to, 1, size)?;
    ensure!(received(&said)? == 1, "a ping of {size} bytes to {to} was not answered:\n{said}");
    Ok(())
}

/// Sends three requests; none may be answered.
pub fn unanswered(from: &impl Place, to: IpAddr) -> Result<()> {
    let said = send(from, to, 3, 56)?;
    let received = received(&said)?;
    ensure!(received == 0, "{received} pings to {to} were answered:\n{said}");
    Ok(())
}

fn send(from: &impl Place, to: IpAddr, count: u32, size: u32) -> Result<String> {
    let (count, size, to) = (count.to_string(), size.to_string(), to.to_string());
    let argv = ["ping", "-n", "-q", "-c", &count, "-i", "0.02", "-W", "1", "-s", &size, &to];
    let netns = from.netns()?;
    let output = crate::exec::output_in(Some(&netns), &argv)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn received(said: &str) -> Result<u32> {
    // Without a route there is no summary either.
    if said.contains("Network is unreachable") {
        return Ok(0);
    }
    let line = said.lines().find(|line| line.contains(" received")).with_context(|| said.to_owned())?;
    let field = line.split(',').find(|field| field.contains(" received")).context("received")?;
    Ok(field.split_whitespace().next().context("count")?.parse()?)
}
