//! `docs/benchmarks.md` and its plots, from the figures of this run: nobody types them.

mod growth;
mod machine;
mod ratios;
mod svg;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::args::Args;
use crate::report::{LEGEND, Report};
use crate::row::{HEAD, Row};

const NAME: &str = "benchmarks.md";
const PLOTS: &str = "benchmarks";

const HOW: &str = "\
All sides of a case exist at the same time, each in network namespaces of its own, and take turns, A B C A B C. A run starts when the
machine is idle, and is made again when anybody else, or the hypervisor, took more than 3 % of it. Medians count; the last column has the spread. Both
ends of the traffic, both hosts, and whatever switches between them share the machine's cores, so that a ratio is above all one
of CPU time for the same work. Congestion control, MTU (1500; 1450 in tunnels) and the containers' settings are the same on all
sides. The switch has one configuration for all rows: its defaults.

- `tcp`, `nat`, `publish-tcp1`: iperf3, what the receiver got. `rr`: one byte there and back over one TCP connection. `publish-cps`:
  connections of one byte each way, 16 at a time.
- `60b`, `growth`, `fair`: sent by sendmmsg on an AF_PACKET socket, one thread for each sender, counted by the receiver's UDP.
- Underlays of two hosts, a veth pair: `m0` with every offload (super-frames cross whole, in tunnels too: kinder to the kernel than any
  NIC), `m1` a NIC that segments nothing, `m2` one that segments UDP but nothing inside a tunnel.
- `kernel`: veth, bridge and vxlan device, without netfilter. `iptables`: routing with MASQUERADE and DNAT, or a bridge whose frames
  pass the rules. `ovs-tso`: Open vSwitch's userspace datapath with userspace-tso-enable, containers on veth; `ovs-tso-tap`: on its
  own TAP links. `docker`: an overlay network of a swarm of two engines; the bridge and published ports of one. What spins while it is
  not measured is stopped meanwhile.
- `xdp-60b`: containers on veth links, the switch and `ovs-afxdp` on the other ends by AF_XDP. `us CPU/frame` is the CPU time of the whole
  machine while frames are sent, source and sink included, for a frame that arrived: where the source is the limit, rates are alike.
- `growth`: the ratio to the same with ten entries. Flows, stations and ports are all in use but for the 990 ports; frames go
  to one of the networks and one of the peers. Stations, networks and peers are told to the data thread without a daemon.
- `fair`: five ports, one of which floods with four threads. When the others flood with one thread each: the least of them next to an
  equal share of all that arrives. When they send little: what arrives of it. And the part of all frames that arrived or was counted
  as dropped, by a link, its queue, or the switch: of the worst run, not the median.
- `rules10k`: first packets of distinct connections past 10,000 rules, none of which matches before the last; peer `10 rules` is the
  switch itself. `syn-flood`: a stream while first packets from a million sources go to another container, next to the stream while
  the same flood goes to nobody. `conns-1m`: the engine alone among a million connections, next to a thousand.
- peer `bound`: a fixed line, no rival.
";

/// Writes them below `dir`.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn write(dir: &Path, report: &Report, args: &Args) -> Result<()> {
    let plots = dir.join(PLOTS);
    fs::create_dir_all(&plots).with_context(|| format!("cannot make {}", plots.display()))?;
    let drawn = [("ratios.svg", ratios::draw(report.rows())), ("growth.svg", growth::draw(report.rows()))];
    let mut text = String::new();
    writeln!(text, "# Benchmarks\n\n<!-- Written by `make bench DOCS=docs`: run it again instead of editing. -->\n")?;
    writeln!(text, "`make bench` on {}.\n", machine::summary())?;
    writeln!(
        text,
        "{} runs of {} s for each side. {} What stands in the way of the others is in \
         [performance.md](performance.md#where-a-line-is-not-met).\n",
        args.runs,
        args.seconds,
        report.score()
    )?;
    for (name, plot) in drawn {
        let path = plots.join(name);
        match plot {
            Some(plot) => {
                fs::write(&path, plot).with_context(|| format!("cannot write {}", path.display()))?;
                writeln!(text, "![{}]({PLOTS}/{name})\n", name.trim_end_matches(".svg"))?;
            }
            // What an earlier run drew is not this one's.
            None => drop(fs::remove_file(&path)),
        }
    }
    text += &table(report.rows());
    writeln!(text, "\n{LEGEND}\n\n{}\n", machine::tcp())?;
    for (case, reason) in report.failures() {
        writeln!(text, "`{case}` was not measured: {reason}\n")?;
    }
    writeln!(text, "## The machine\n\n{}", machine::table())?;
    writeln!(text, "## How it is measured\n\n{HOW}")?;
    writeln!(text, "## Repeat it\n\n```\n{}\n```\n", REPEAT.trim_end())?;
    writeln!(
        text,
        "It needs a Debian 12 with Rust, root or sudo, and nothing else that runs; it installs the rest. This run took {}. No process, \
         link or rule is left behind; the module br_netfilter stays loaded. Figures are written to `target/bench.json`, too.",
        report.took()
    )?;
    let path = dir.join(NAME);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

const REPEAT: &str = "\
make bench                     # all cases
make bench CASE=local-tcp1     # one, or several: CASE=\"local-tcp1 local-60b\"
make bench DOCS=docs           # all, and this file
target/release/bench --list    # their names
";

fn table(rows: &[Row]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&HEAD.map(str::to_owned));
    text += "|---|---|---|--:|--:|--:|--:|---|---|\n";
    rows.iter().for_each(|row| text += &line(&row.cells()));
    text
}
