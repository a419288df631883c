//! The kernel's router: a namespace with a TAP link for each side, whose far ends the test holds. What goes in comes out
//! before the call returns: the kernel forwards in the context of the writer, so nothing is waited for.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nat::rules::Family;
use port::{Received, Tap, TapOptions};
use tests::Netns;
use wire::{Frame, checksum};

use crate::compare::{Conn, Outcome};
use crate::ends::Learnt;
use crate::rules::Rules;
use crate::talk::Event;
use crate::world::{NEIGHBOURS, ROUTER_MAC, SIDES, address, gateway, mac, prefix};

/// Which of the kernel's two implementations of iptables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    Legacy,
    Nft,
}

/// Routing, and nothing that happens now and then: no limits on errors, no redirects, no check of where packets come from.
const SYSCTLS: [(&str, &str); 12] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv4/icmp_msgs_per_sec", "100000"),
    ("net/ipv4/icmp_msgs_burst", "100000"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv6/auto_flowlabels", "0"),
];

/// After which the kernel counts no connection that is over: its clock's tick, twice, is 8 ms.
const TICKS: Duration = Duration::from_millis(12);
/// How long is waited, in all, for packets that should come out: on a busy host the kernel may put its sending off.
const PATIENCE: Duration = Duration::from_secs(1);

/// Lets events pass the kernel under these rules, in a namespace of their own. So many packets are expected to come out for
/// each of them.
pub(crate) fn run(tables: Tables, rules: &Rules, events: &[Event], expected: &[usize]) -> Result<Outcome> {
    let (family, polite, lists, counts) = (rules.family, rules.translate, &rules.lists, rules.count_connections());
    let rules = &*rules.text();
    let netns = Netns::create()?;
    netns.enter(|| {
        for (name, value) in SYSCTLS {
            fs::write(format!("/proc/sys/{name}"), value).with_context(|| format!("cannot set {name}"))?;
        }
        let mut taps = [Tap::create("a", &TapOptions::default())?, Tap::create("b", &TapOptions::default())?];
        feed("ip", &["-batch", "-"], &links(family))?;
        if family == Family::Ipv6 {
            tests::wait::until(Duration::from_secs(10), "the router's addresses", are_its_own)?;
        }
        if !lists.is_empty() {
            feed("ipset", &["restore"], lists)?;
        }
        feed(&program(tables, family, "restore"), &[], rules)?;
        let mut frame = Frame::new();
        let (mut seen, mut waited, mut learnt) = (Vec::new(), Duration::ZERO, Learnt::new(polite));
        for (event, &expected) in events.iter().zip(expected) {
            let mut frames = Vec::new();
            let (side, sent, ends) = learnt.frames(event);
            for bytes in &sent {
                frame.fill(bytes);
                ensure!(taps[side].send(&mut frame)? == port::Sent::Done, "the kernel takes no frame");
                collect(&mut taps, &mut frame, &mut frames)?;
            }
            while frames.len() < expected && waited < PATIENCE {
                let start = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                waited += start.elapsed();
                collect(&mut taps, &mut frame, &mut frames)?;
            }
            learnt.learn(event, ends, &frames);
            seen.push(frames);
            if counts {
                std::thread::sleep(TICKS);
            }
        }
        let saved = feed(&program(tables, family, "save"), &["-c"], "")?;
        let conns = fs::read_to_string("/proc/thread-self/net/nf_conntrack").context("no list of connections")?;
        Ok(Outcome { seen, saved, conns: conns.lines().filter_map(Conn::parse).collect() })
    })
}

fn program(tables: Tables, family: Family, verb: &str) -> String {
    let family = if family == Family::Ipv4 { "iptables" } else { "ip6tables" };
    let tables = if tables == Tables::Legacy { "legacy" } else { "nft" };
    format!("{family}-{tables}-{verb}")
}

fn links(family: Family) -> String {
    let mut text = String::from("link set lo up\n");
    let router = hex(ROUTER_MAC);
    for (side, name) in SIDES.iter().enumerate() {
        // Without addresses of its own making it has little to say.
        text += &format!("link set dev {name} address {router} addrgenmode none\nlink set dev {name} up\n");
        let nodad = if family == Family::Ipv6 { " nodad" } else { "" };
        text += &format!("addr add {}/{} dev {name}{nodad}\n", gateway(family, side), prefix(family));
        for host in 0..NEIGHBOURS {
            let (address, mac) = (address(family, side, host), hex(mac(side, host)));
            text += &format!("neigh add {address} lladdr {mac} nud permanent dev {name}\n");
        }
    }
    text
}

/// Whether packets to the IPv6 addresses stay here: another thread of the kernel's sees to that, some time later.
fn are_its_own() -> Result<()> {
    /// Not to be used yet (`IFA_F_TENTATIVE`).
    const TENTATIVE: u8 = 0x40;
    let (known, routes) = (
        fs::read_to_string("/proc/thread-self/net/if_inet6")?,
        fs::read_to_string("/proc/thread-self/net/ipv6_route")?,
    );
    for side in 0..SIDES.len() {
        let IpAddr::V6(address) = gateway(Family::Ipv6, side) else { continue };
        let address = format!("{:032x}", address.to_bits());
        let line = known.lines().find(|line| line.starts_with(&address)).context("no address")?;
        let flags =
            line.split_whitespace().nth(4).and_then(|word| u8::from_str_radix(word, 16).ok()).context("no flags")?;
        ensure!(flags & TENTATIVE == 0, "{address} is tentative");
        ensure!(routes.contains(&format!("{address} 80 ")), "no route to {address}");
    }
    Ok(())
}

fn hex(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Takes what has come out on both sides.
fn collect(taps: &mut [Tap; 2], frame: &mut Frame, frames: &mut Vec<(usize, Vec<u8>)>) -> Result<()> {
    for (side, tap) in taps.iter_mut().enumerate() {
        while tap.receive(frame)? == Received::Frame {
            if frame.bytes().get(..2).is_some_and(|bytes| bytes == [0x33, 0x33]) {
                // The router announces its groups.
                continue;
            }
            // What a device would do: the kernel leaves its own packets' checksums to it.
            checksum::complete(frame)?;
            frames.push((side, frame.bytes().to_vec()));
        }
    }
    Ok(())
}

/// Runs a command where this thread is, with that on its input.
fn feed(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {said}\n{input}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
