//! Malformed and hostile rows in the store [S5]: each is refused with an event, the rest goes on.

use std::time::Duration;

use anyhow::{Context, ensure};
use tests::traffic::ping;
use tests::{Cluster, scenario, wait};

#[test]
fn malformed_rows_are_refused_one_by_one() {
    scenario(|lab| {
        let mut cluster = Cluster::start(lab, 2)?;
        let red = cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let c1 = cluster.attach(0, "RED", "c1", &[])?;
        let c2 = cluster.attach(1, "RED", "c2", &[])?;
        let other = "f".repeat(64);
        let endpoints = |host: &str| format!("vswitch/v1/endpoints/{red}/{host}");
        let long = "x".repeat(100_000);
        let rows: [(String, &str); 10] = [
            (format!("vswitch/v1/networks/{other}"), "{"),
            ("vswitch/v1/networks/not-an-id".into(), "{}"),
            ("vswitch/v1/networks/".to_owned() + &"e".repeat(64), "{\"id\":7,\"name\":null}"),
            ("vswitch/v1/hosts/evil".into(), "[]"),
            ("vswitch/v1/hosts/evil2".into(), &long),
            (endpoints("evil"), "not json at all"),
            (endpoints("evil2"), "{\"host\":\"evil2\",\"surprise\":1}"),
            // Well-formed, but claiming what belongs to others: our VTEP, a group MAC, a foreign address.
            (endpoints("evil3"), "{\"host\":\"evil3\",\"vtep\":\"192.168.77.1\",\"incarnation\":1,\"endpoints\":[]}"),
            (endpoints("evil4"), "{\"host\":\"evil4\",\"vtep\":\"224.0.0.1\",\"incarnation\":1,\"endpoints\":[]}"),
            (format!("vswitch/v1/leases/{red}/10.10.10.x"), "{}"),
        ];
        for (key, value) in &rows {
            cluster.consul.kv(&["put", key, value])?;
        }
        // The rest goes on: what comes after the bad rows is seen, and by both.
        let c3 = cluster.attach(1, "RED", "c3", &[])?;
        ping::all_answered(&c1, c3.address4()?, 3)?;
        ping::all_answered(&c2, c1.address4()?, 3)?;
        for daemon in &mut cluster.daemons {
            daemon.check_alive()?;
            let peers = format!("{:?}", daemon.rows(&["peers"])?);
            ensure!(!peers.contains("224.0.0.1"), "{peers}");
        }
        wait::until(Duration::from_secs(2), "the events", || {
            let events = format!("{:?}", cluster.daemons[0].rows(&["events"])?);
            for name in ["evil", "evil2", &other[..12]] {
                ensure!(events.contains(name), "no event names {name}: {events}");
            }
            Ok(())
        })?;
        // One event for one version of a row, however often it is read again.
        let count = cluster.daemons[0].rows(&["events"])?.len();
        cluster.overlay("BLUE", &["--subnet", "10.20.20.0/24"])?;
        let _c4 = cluster.attach(1, "RED", "c4", &[])?;
        let more = cluster.daemons[0].rows(&["events"])?.len() - count;
        ensure!(more < 6, "{more} events after two changes");
        let show = cluster.daemons[0].json(&["show"])?;
        ensure!(show["store"]["connected"] == true, "{}", show.get("store").context("store")?);
        Ok(())
    });
}
