//! The machine and the programs that a figure belongs to.

use std::fs;
use std::process::Command;

const CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const QUEUE: &str = "/proc/sys/net/core/default_qdisc";

/// In a few words.
pub(super) fn summary() -> String {
    format!("{}, {} CPUs, Linux {}", cpu(), cpus(), kernel())
}

/// What the kernel does to TCP if nobody asks for another thing, as the bench does not.
pub(super) fn tcp() -> String {
    let (control, queue) = (setting(CONTROL), setting(QUEUE));
    format!(
        "TCP rows: congestion control `{control}`, and `{queue}` on links that queue: this machine's defaults, on all sides. \
         They depend on both; with others, ratios differ."
    )
}

/// As a table.
pub(super) fn table() -> String {
    let hypervisor = match fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" hypervisor") {
        true => "yes",
        false => "no",
    };
    let rows = [
        ("CPU", format!("{}, {} online", cpu(), cpus())),
        ("virtual machine", hypervisor.to_owned()),
        ("memory", memory()),
        ("kernel", kernel()),
        ("TCP congestion control", setting(CONTROL)),
        ("queue discipline", setting(QUEUE)),
        ("commit", said("git", &["rev-parse", "--short=12", "HEAD"])),
        ("date", said("date", &["-u", "+%F"])),
        ("iperf3", said("iperf3", &["--version"])),
        ("Open vSwitch", said("ovs-vswitchd", &["--version"])),
        ("Docker", said("dockerd", &["--version"])),
        ("iptables", said("iptables", &["--version"])),
    ];
    let mut text = String::from("| | |\n|---|---|\n");
    rows.iter().for_each(|(name, value)| text += &format!("| {name} | {value} |\n"));
    text
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn memory() -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20)))
}

fn kernel() -> String {
    setting("/proc/sys/kernel/osrelease")
}

fn setting(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The first line that a program says of itself.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned();
    if line.is_empty() { "not there".to_owned() } else { line }
}
