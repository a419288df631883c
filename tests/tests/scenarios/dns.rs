//! Names: of containers on every host, in their own networks only, and of the outside [D1, D2, D3].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use simple_dns::TYPE;
use tests::cluster::addresses;
use tests::traffic::names::{NameServer, Said, ask};
use tests::vswitchd::Options;
use tests::{Cluster, Outside, Place, Station, Vswitchd, scenario, wait};

const RED4: &str = "10.10.10.1";
const RED6: &str = "fd10:10::1";
const BLUE4: &str = "10.20.20.1";

/// Asks as a container at the gateways of both families, in datagrams and over TCP: all say the same.
fn resolves(from: &Station, gateways: &[&str], name: &str, kind: TYPE, expected: &Said) -> Result<()> {
    for gateway in gateways {
        for tcp in [false, true] {
            let said = ask(from, gateway.parse()?, name, kind, tcp)?;
            ensure!(said == *expected, "{name} at {gateway}, TCP {tcp}: {said:?}, not {expected:?}");
        }
    }
    Ok(())
}

fn soon(what: &str, check: impl FnMut() -> Result<()>) -> Result<()> {
    wait::until(Duration::from_secs(5), what, check).map(drop)
}

#[test]
fn names_are_known_on_every_host_and_in_their_own_networks_only() {
    scenario(|lab| {
        // Nobody is there to be asked for other names, and says so at once.
        let flags = ["--dns-upstreams", "127.0.0.1:1"].map(str::to_owned).to_vec();
        let mut cluster = Cluster::start_with(lab, 2, &Options { flags, ..Options::default() })?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24", "--subnet", "fd10:10::/64"])?;
        cluster.overlay("BLUE", &["--subnet", "10.20.20.0/24"])?;
        let web = cluster.attach(
            0,
            "RED",
            "web",
            &["--alias", "www", "--hostname", "box", "--container-id", "0123456789abcd"],
        )?;
        let client = cluster.attach(1, "RED", "client", &[])?;
        let db = cluster.attach(0, "BLUE", "db", &["--alias", "www"])?;
        let both = cluster.attach(1, "BLUE", "both", &["--alias", "blue-both"])?;
        cluster.daemons[1].vsctl(&["connect", "--alias", "red-both", "RED", "both"])?;
        ensure!(client.row["dns"]["nameservers"] == serde_json::json!([RED4, RED6]), "{}", client.row);

        let (v4, v6) = (web.address4()?.to_string(), web.address6()?.to_string());
        let red = [RED4, RED6];
        for name in ["web", "WWW", "box", "0123456789ab", "web.RED", "www.red"] {
            soon("every name of it", || resolves(&client, &red, name, TYPE::A, &Said::data(&[&v4])))?;
        }
        resolves(&client, &red, "web", TYPE::AAAA, &Said::data(&[&v6]))?;
        resolves(&client, &red, "web", TYPE::MX, &Said::code(0))?;
        let [a, b, c, d] = match web.address4()? {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => unreachable!("it is IPv4"),
        };
        let reverse = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
        resolves(&client, &red, &reverse, TYPE::PTR, &Said::data(&["web.RED"]))?;

        // Who is in one network knows nothing of the other; who is in both asks either gateway about both.
        resolves(&client, &red, "db", TYPE::A, &Said::code(2))?;
        resolves(&db, &[BLUE4], "web", TYPE::A, &Said::code(2))?;
        resolves(&both, &[BLUE4, RED4], "web", TYPE::A, &Said::data(&[&v4]))?;
        let (of_blue, of_red) = (db.address4()?.to_string(), v4.clone());
        resolves(&both, &[BLUE4], "www", TYPE::A, &Said::data(&[&of_blue]))?;
        resolves(&both, &[RED4], "www", TYPE::A, &Said::data(&[&of_red]))?;
        resolves(&client, &red, "red-both", TYPE::A, &ask(&both, RED4.parse()?, "both.RED", TYPE::A, false)?)?;
        resolves(&client, &red, "blue-both", TYPE::A, &Said::code(2))?;

        // A daemon that was killed knows again what it knew.
        cluster.daemons[1].kill9()?;
        cluster.daemons[1].resume()?;
        soon("the names after a restart", || resolves(&client, &red, "web", TYPE::A, &Said::data(&[&v4])))?;
        resolves(&client, &red, "client", TYPE::A, &Said::data(&[&client.address4()?.to_string()]))?;

        cluster.daemons[0].vsctl(&["del-port", "web"])?;
        soon("the name to go", || resolves(&client, &red, "web", TYPE::A, &Said::code(2)))?;
        let rows = cluster.daemons[1].rows(&["dns", "ls", "--network", "RED"])?;
        ensure!(rows.iter().all(|row| row["host"] == "h2") && rows.len() == 3, "{rows:?}");
        Ok(())
    });
}

#[test]
fn other_names_come_from_servers_that_answer_and_never_to_an_internal_network() {
    scenario(|lab| {
        let host = lab.host("h1")?;
        let outside = lab.outside(&[&host], 1500)?;
        let silent: Ipv4Addr = [198, 51, 100, 99].into();
        outside.exec(&["ip", "address", "add", &format!("{silent}/32"), "dev", "lo"])?;
        let mute = NameServer::start(&outside, SocketAddr::new(silent.into(), 53), None)?;
        let far = SocketAddr::new(Outside::FAR4, 53);
        let server = NameServer::start(&outside, far, Some([192, 0, 2, 80].into()))?;
        let upstreams = format!("{silent},{}", Outside::FAR4);
        let flags = ["--dns-upstreams", &upstreams].map(str::to_owned).to_vec();
        let daemon = Vswitchd::start_with(&host, Options { local_only: true, flags, ..Options::default() })?;
        for (name, subnet, more) in [("GREEN", "10.30.0.0/24", &[][..]), ("INNER", "10.31.0.0/24", &["--internal"])] {
            daemon.vsctl(&[&["network", "create", "--subnet", subnet], more, &[name]].concat())?;
        }
        let client = Station::attach(&daemon, "GREEN", "client", &[])?;
        let inner = Station::attach(&daemon, "INNER", "inner", &[])?;
        let green: IpAddr = "10.30.0.1".parse()?;
        let known = Said::data(&["192.0.2.80"]);

        // The first server says nothing: the next one does, and the first is passed over then.
        ensure!(ask(&client, green, "www.example.com", TYPE::A, false)? == known);
        soon("the silent one to be noticed", || {
            let rows = daemon.rows(&["dns", "upstreams"])?;
            ensure!(rows[0]["state"] == "silent" && rows[1]["state"] == "up", "{rows:?}");
            let warnings = daemon.json(&["show"])?["warnings"].to_string();
            ensure!(warnings.contains("198.51.100.99"), "{warnings}");
            Ok(())
        })?;
        let asked = mute.asked().iter().filter(|name| !name.is_empty()).count();
        ensure!(ask(&client, green, "mail.example.com", TYPE::A, true)? == known);
        ensure!(mute.asked().iter().filter(|name| !name.is_empty()).count() == asked, "{:?}", mute.asked());
        // What was asked once is known, in whatever letters; both by the way that vsctl takes, too.
        ensure!(ask(&client, green, "WWW.example.com", TYPE::A, true)? == known);
        let answer = daemon.json(&["dns", "query", "www.example.com", "--from", "client"])?;
        ensure!(answer["source"] == "cache" && answer["answers"][0]["data"] == "192.0.2.80", "{answer}");
        ensure!(server.asked().iter().filter(|name| name.starts_with("www.")).count() == 1, "{:?}", server.asked());

        // A sandbox that nothing leads out of says nothing to the outside, not even by a question.
        let gateway = "10.31.0.1".parse()?;
        for tcp in [false, true] {
            ensure!(ask(&inner, gateway, "secret.example.com", TYPE::A, tcp)? == Said::code(5));
            ensure!(ask(&inner, gateway, "inner", TYPE::A, tcp)? == Said::data(&["10.31.0.2"]));
        }
        ensure!(!server.asked().concat().contains("secret"), "{:?}", server.asked());
        // One that is connected to a network that leads out may ask, also at the gateway of the other.
        daemon.vsctl(&["connect", "GREEN", "inner"])?;
        ensure!(ask(&inner, gateway, "www.example.com", TYPE::A, false)? == known);
        ensure!(addresses(&inner.row)?.contains(&"10.31.0.2".parse()?));

        // The silent one speaks again, and is asked again.
        drop(mute);
        let back = NameServer::start(&outside, SocketAddr::new(silent.into(), 53), Some([192, 0, 2, 81].into()))?;
        wait::until(Duration::from_secs(40), "the silent one to be heard", || {
            let rows = daemon.rows(&["dns", "upstreams"])?;
            ensure!(rows[0]["state"] == "up", "{rows:?}");
            Ok(())
        })?;
        ensure!(ask(&client, green, "new.example.com", TYPE::A, false)? == Said::data(&["192.0.2.81"]));
        drop(back);
        Ok(())
    });
}
