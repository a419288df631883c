//! Captures by tcpdump, read back by tshark: is every frame decoded without complaint?

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::exec::{self, Process};
use crate::host::Host;
use crate::netns::Place;
use crate::wait;

/// A capture that is running.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// A finished capture.
#[derive(Debug)]
pub struct Pcap {
    file: PathBuf,
    /// tshark's personal configuration.
    config: PathBuf,
}

/// What tshark may look for. Payloads of the tests are noise, in which its guessing dissectors find any
/// protocol there is, and complain.
const PROTOCOLS: &[&str] = &[
    "frame",
    "eth",
    "ethertype",
    "vlan",
    "arp",
    "ip",
    "ipv6",
    "udp",
    "tcp",
    "icmp",
    "icmpv6",
    "igmp",
    "vxlan",
    "data",
    "ipv6.hopopts",
    "ipv6.fraghdr",
];

impl Capture {
    /// Captures whole frames on a host's link, those that pass the filter; returns when it runs.
    pub fn start(host: &Host, link: &str, filter: &str) -> Result<Capture> {
        let file = host.dir().join(format!("{link}.pcap"));
        let path = file.display().to_string();
        let netns = host.netns()?;
        let log = host.dir().join(format!("tcpdump-{link}.log"));
        let process = Process::start(
            Some(&netns),
            &["tcpdump", "-Z", "root", "-U", "-n", "-s", "0", "-B", "16384", "-i", link, "-w", &path, filter],
            &[],
            &log,
        )?;
        let mut capture = Capture { process, file };
        wait::until(Duration::from_secs(5), "tcpdump to listen", || {
            capture.process.check_alive()?;
            ensure!(capture.process.log().contains("listening on"), "not yet");
            Ok(())
        })?;
        Ok(capture)
    }

    /// Ends the capture after what is already in the kernel's buffer is written.
    pub fn stop(mut self) -> Result<Pcap> {
        thread::sleep(Duration::from_millis(200));
        self.process.terminate(Duration::from_secs(5))?;
        let said = self.process.log();
        ensure!(said.contains("0 packets dropped by kernel"), "the capture lost frames: {said}");
        let config = self.file.with_extension("tshark");
        std::fs::create_dir_all(&config)?;
        // Name, short name, filter name.
        let listed = exec::run_in(None, &["tshark", "-G", "protocols"])?;
        let names = listed.lines().filter_map(|line| line.split('\t').nth(2));
        let others: Vec<&str> = names.filter(|name| !name.starts_with('_') && !PROTOCOLS.contains(name)).collect();
        std::fs::write(config.join("disabled_protos"), others.join("\n"))?;
        Ok(Pcap { file: self.file, config })
    }
}

impl Pcap {
    /// The numbers and decoded fields of the frames that pass a display filter, one line each.
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Result<Vec<String>> {
        let file = self.file.display().to_string();
        let config = format!("WIRESHARK_CONFIG_DIR={}", self.config.display());
        let mut argv = vec![
            "env",
            &config,
            "tshark",
            "-n",
            "-r",
            &file,
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "udp.check_checksum:TRUE",
            "-o",
            "tcp.check_checksum:TRUE",
            "-Y",
            filter,
            "-T",
            "fields",
        ];
        for field in fields {
            argv.extend(["-e", field]);
        }
        Ok(exec::run_in(None, &argv)?.lines().map(str::to_owned).collect())
    }

    /// How many frames pass a display filter.
    pub fn count(&self, filter: &str) -> Result<usize> {
        Ok(self.fields(filter, &["frame.number"])?.len())
    }

    /// Every frame is VXLAN, well-formed to the innermost layer, with right checksums throughout.
    /// Returns how many there are.
    pub fn ensure_clean_vxlan(&self) -> Result<usize> {
        let all = self.count("frame")?;
        ensure!(all > 0, "the capture is empty");
        let other = self.fields("!vxlan", &["frame.number", "_ws.col.Info"])?;
        ensure!(other.is_empty(), "not VXLAN: {:?}", &other[..other.len().min(5)]);
        let complaints = self.fields(
            "_ws.malformed || _ws.short || ip.checksum.status == 0 || udp.checksum.status == 0 || \
             tcp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0",
            &["frame.number", "_ws.col.Info", "_ws.expert.message"],
        )?;
        ensure!(
            complaints.is_empty(),
            "{} of {all} frames complained about: {:?}",
            complaints.len(),
            &complaints[..complaints.len().min(5)]
        );
        let errors = self
            .fields("_ws.expert.severity == \"Error\"", &["frame.number", "_ws.expert.message"])
            .context("expert errors")?;
        ensure!(errors.is_empty(), "expert errors: {:?}", &errors[..errors.len().min(5)]);
        Ok(all)
    }
}
