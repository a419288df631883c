//! Datagrams that no honest VTEP sends: each is counted by name, and nothing else is disturbed.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, ensure};
use tests::traffic::ping;
use tests::traffic::stream::Stream;
use tests::{Cluster, Host, Place, scenario, wait};

/// A VXLAN header: flags, three reserved bytes, the VNI, one reserved byte (RFC 7348, section 5).
fn header(flags: u8, vni: u32) -> Vec<u8> {
    let mut header = vec![flags, 0, 0, 0];
    header.extend((vni << 8).to_be_bytes());
    header
}

/// An inner ARP request, whole and harmless.
fn arp_request() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x02, 0x42, 0xde, 0xad, 0xbe, 0xef, 0x08, 0x06]);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0x42, 0xde, 0xad, 0xbe, 0xef, 10, 10, 10, 200]);
    frame.extend([0, 0, 0, 0, 0, 0, 10, 10, 10, 201]);
    frame
}

fn send(from: &Host, to: IpAddr, datagrams: &[Vec<u8>]) -> Result<()> {
    from.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for datagram in datagrams {
            socket.send_to(datagram, SocketAddr::new(to, 4789)).context("sending to the VTEP")?;
        }
        Ok(())
    })
}

#[test]
fn bad_datagrams_are_counted_by_name_and_disturb_nobody() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--vni", "4096"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        // h2 is a known VTEP of RED; the middle of the underlay is not.
        let (target, known, stranger) = (
            cluster.daemons[0].host().address4(),
            cluster.daemons[1].host().clone(),
            cluster.underlay.middle().clone(),
        );
        ping::all_answered(&c2, c1.address4()?, 3)?;
        let stream = Stream::start(&c2, &c1, c1.address4()?, 500)?;
        let fdb_before = cluster.daemons[0].rows(&["fdb"])?.len();

        let whole = |flags, vni| [header(flags, vni), arp_request()].concat();
        let mut ipv4 = arp_request()[..12].to_vec();
        ipv4.extend([0x08, 0x00, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 10, 10, 200, 10, 10, 10, 2]);
        let mut tagged = arp_request();
        tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        let cases: [(&str, &str, &Host, Vec<Vec<u8>>); 6] = [
            ("VX-04: I flag unset; VX-19: truncated header", "not_vxlan", &known, {
                let mut all: Vec<_> = [0x00, 0x04, 0xf7].map(|flags| whole(flags, 4096)).to_vec();
                all.extend((0..8).map(|n| header(0x08, 4096)[..n].to_vec()));
                all
            }),
            ("VX-05: unknown VNI", "unknown_vni", &known, vec![whole(0x08, 77), whole(0x08, 0xff_ffff)]),
            ("VX-22: unknown VTEP", "unknown_vtep", &stranger, vec![whole(0x08, 4096); 3]),
            (
                "VX-19: no room for an inner Ethernet header",
                "not_vxlan",
                &known,
                (0..14).map(|n| [header(0x08, 4096), arp_request()[..n].to_vec()].concat()).collect(),
            ),
            (
                "VX-19: inner IPv4 shorter than its header",
                "inner_malformed",
                &known,
                (0..20).map(|n| [header(0x08, 4096), ipv4[..14 + n].to_vec()].concat()).collect(),
            ),
            ("VX-17: inner 802.1Q tag", "tunnel_tag", &known, vec![[header(0x08, 4096), tagged].concat()]),
        ];
        for (what, reason, from, datagrams) in cases {
            let daemon = &cluster.daemons[0];
            let before = daemon.drops(reason)?;
            send(from, target, &datagrams)?;
            wait::until(std::time::Duration::from_secs(2), what, || {
                let counted = daemon.drops(reason)? - before;
                ensure!(counted == datagrams.len() as u64, "{counted} of {} counted as {reason}", datagrams.len());
                Ok(())
            })?;
        }
        // Nothing was learnt from any of it.
        let fdb = cluster.daemons[0].rows(&["fdb"])?;
        ensure!(fdb.len() == fdb_before && !format!("{fdb:?}").contains("02:42:de:ad:be:ef"), "{fdb:?}");

        // Random bytes in every part, thousands of them: the daemon lives, the stream has no gap.
        let noise: Vec<_> = (0..4000u64)
            .map(|n| {
                let mut bytes = tests::traffic::Pattern::bytes(n, (n % 1400) as usize);
                if n % 2 == 0 {
                    bytes.splice(0..0, header(0x08, 4096));
                }
                bytes
            })
            .collect();
        for part in noise.chunks(50) {
            send(&known, target, part)?;
        }
        cluster.daemons[0].check_alive()?;
        stream.stop()?.ensure_complete()?;
        ping::all_answered(&c1, c2.address4()?, 3).map(drop)
    });
}

#[test]
fn vx_03_reserved_bits_are_ignored_on_receipt() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--vni", "4096"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        // Now h1 knows h2 as a VTEP of RED.
        ping::all_answered(&c2, c1.address4()?, 3)?;
        let (target, known) = (cluster.daemons[0].host().address4(), cluster.daemons[1].host().clone());
        // Each of the 39 reserved bits alone, each frame with a MAC of its own to recognise it by.
        let bits = (0..64u32).filter(|bit| *bit != 4 && !(32..56).contains(bit));
        let mut macs = Vec::new();
        let mut datagrams = Vec::new();
        for bit in bits {
            let mut bytes = header(0x08, 4096);
            bytes[bit as usize / 8] |= 0x80 >> (bit % 8);
            let mut frame = arp_request();
            frame[11] = bit as u8;
            frame[27] = bit as u8;
            macs.push(format!("02:42:de:ad:be:{bit:02x}"));
            datagrams.push([bytes, frame].concat());
        }
        ensure!(macs.len() == 39);
        send(&known, target, &datagrams)?;
        wait::until(std::time::Duration::from_secs(2), "all 39 stations", || {
            let fdb = format!("{:?}", cluster.daemons[0].rows(&["fdb"])?);
            let missing: Vec<_> = macs.iter().filter(|mac| !fdb.contains(*mac)).collect();
            ensure!(missing.is_empty(), "not learnt: {missing:?}");
            Ok(())
        })?;
        Ok(())
    });
}
