//! The CNI plugin with a real daemon and real namespaces: each verb, its error codes, and others in the chain [C3].

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::cni::{Cni, Pod};
use tests::traffic::{ping, tcp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Lab, Place, Sandbox, Station, scenario};

fn lone_daemon(lab: &Lab) -> Result<Vswitchd> {
    Vswitchd::start_with(&lab.host("h1")?, Options { local_only: true, ..Options::default() })
}

fn pods(version: &str) -> Value {
    json!({"cniVersion": version, "name": "pods", "type": "vswitch-cni", "subnet": "10.60.0.0/24"})
}

fn address(result: &Value) -> Result<std::net::IpAddr> {
    let text = result["ips"][0]["address"].as_str().with_context(|| format!("no address: {result}"))?;
    Ok(text.split('/').next().unwrap_or_default().parse()?)
}

#[test]
fn a_pod_comes_is_checked_and_goes() {
    scenario(|lab| {
        let daemon = lone_daemon(lab)?;
        let (cni, sandbox) = (Cni::of(&daemon, pods("1.1.0"))?, Sandbox::start(daemon.host())?);
        let pod = Pod::new("c0ffee", &sandbox).named("web", "prod");
        cni.done("STATUS", None, json!({}))?;
        let wants = json!({"runtimeConfig": {
            "portMappings": [{"HostPort": 18080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
            "ips": ["10.60.0.77/24"], "mac": "02:42:0a:3c:00:99", "aliases": {"pods": ["www"]},
            "bandwidth": {"ingressRate": 900_000_000, "egressRate": 800_000_000},
        }});
        let result = cni.done("ADD", Some(&pod), wants)?;
        let link = &result["interfaces"][0];
        ensure!(link["name"] == "eth0" && link["sandbox"] == pod.netns.as_str() && link["mtu"] == 1500, "{result}");
        ensure!(link["mac"] == "02:42:0a:3c:00:99" && result["cniVersion"] == "1.1.0", "{result}");
        let ip = json!({"address": "10.60.0.77/24", "interface": 0, "gateway": "10.60.0.1"});
        ensure!(result["ips"] == json!([ip]) && result["routes"][0]["gw"] == "10.60.0.1", "{result}");
        ensure!(result["dns"]["nameservers"][0] == "10.60.0.1", "{result}");

        let row = &daemon.rows(&["ports", "web.prod"])?[0];
        ensure!(row["network"] == "pods" && row["container_id"] == "c0ffee", "{row}");
        ensure!(
            row["aliases"] == json!(["www"]) && row["hostname"] == "web" && row["limits"]["egress_rate"] == 900_000_000,
            "{row}"
        );
        ensure!(row["published"][0]["host_port"] == 18080, "{row}");
        let beside = Station::attach(&daemon, "pods", "beside", &[])?;
        tcp::transfer(&beside, &sandbox, "10.60.0.77".parse()?, 1_000_000)?;

        // What is there is not made again, and stays as it is.
        ensure!(cni.fails("ADD", Some(&pod), json!({}))? == 100);
        let second = Pod { ifname: "eth1".into(), ..pod.clone() };
        let (_, refusal) = cni.call("ADD", Some(&second), json!({}))?;
        ensure!(refusal["code"] == 7 && refusal["msg"].as_str().is_some_and(|msg| msg.contains("eth0")), "{refusal}");
        // In another network it can have one, but a default route only once.
        let other = json!({"network": "other", "subnet": "10.63.0.0/24"});
        let besides = cni.done("ADD", Some(&second), other.clone())?;
        ensure!(besides["ips"][0]["gateway"] == "10.63.0.1" && besides["routes"].is_null(), "{besides}");
        cni.done("DEL", Some(&second), other)?;
        let previous = json!({"prevResult": result});
        cni.done("CHECK", Some(&pod), previous.clone())?;
        // Another plugin of the chain may change what is its own.
        sandbox.exec(&["ip", "link", "set", "eth0", "address", "02:00:00:00:00:01"])?;
        cni.done("CHECK", Some(&pod), previous.clone())?;
        sandbox.exec(&["ip", "address", "flush", "dev", "eth0"])?;
        ensure!(cni.fails("CHECK", Some(&pod), previous.clone())? == 101);

        cni.done("DEL", Some(&pod), previous.clone())?;
        ensure!(!sandbox.exec(&["ip", "-br", "link"])?.contains("eth0"));
        ensure!(cni.fails("CHECK", Some(&pod), previous)? == 101);
        // Again, without its namespace, and of what never was.
        cni.done("DEL", Some(&pod), json!({}))?;
        cni.done("DEL", Some(&Pod { netns: String::new(), ..pod.clone() }), json!({}))?;
        cni.done("DEL", Some(&Pod { id: "never".into(), ..pod }), json!({"network": "NOSUCH"}))?;
        ensure!(daemon.rows(&["ports"])?.len() == 1, "the one beside it is not CNI's");
        ensure!(daemon.rows(&["publish", "ls"])?.is_empty());
        Ok(())
    });
}

#[test]
fn refusals_leave_nothing_and_have_their_codes() {
    scenario(|lab| {
        let mut daemon = lone_daemon(lab)?;
        let (cni, sandbox) = (Cni::of(&daemon, pods("1.1.0"))?, Sandbox::start(daemon.host())?);
        let pod = Pod::new("c0ffee", &sandbox);
        let add = |more: Value| cni.fails("ADD", Some(&pod), more);
        let wants = |key: &str, value: Value| json!({ "runtimeConfig": { key: value } });
        ensure!(add(json!({"cniVersion": "1.1.0", "network": "NOSUCH", "subnet": null}))? == 7);
        ensure!(cni.fails("STATUS", None, json!({"network": "NOSUCH", "subnet": null}))? == 50);
        ensure!(add(wants("ips", json!(["10.61.0.5"])))? == 7, "an address of another subnet");
        ensure!(add(wants("portMappings", json!([{"hostPort": 99, "containerPort": 1, "protocol": "sctp"}])))? == 2);
        ensure!(cni.fails("ADD", Some(&Pod { netns: "/run/netns/none".into(), ..pod.clone() }), json!({}))? == 8);
        ensure!(cni.fails("ADD", Some(&Pod { ifname: "a/b".into(), ..pod.clone() }), json!({}))? == 4);
        // The network is there now, with another plan than this configuration's.
        ensure!(add(json!({"subnet": "10.62.0.0/24"}))? == 7);
        // A port of the host, and a link of the container, that somebody else has.
        let _other = daemon.host().spawn("nc", &["busybox", "nc", "-l", "-p", "18081"], &[])?;
        tests::wait::until(std::time::Duration::from_secs(5), "the listener", || {
            ensure!(daemon.host().exec(&["ss", "-ltn"])?.contains(":18081"));
            Ok(())
        })?;
        ensure!(
            add(wants("portMappings", json!([{"hostPort": 18081, "containerPort": 80, "protocol": "tcp"}])))? == 100
        );
        sandbox.exec(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"])?;
        ensure!(add(json!({}))? == 100);
        ensure!(daemon.rows(&["ports"])?.is_empty());
        let held = daemon.rows(&["leases", "pods"])?;
        ensure!(!held.iter().any(|row| row["state"] == "held"), "{held:?}");

        sandbox.exec(&["ip", "link", "delete", "eth0"])?;
        cni.done("ADD", Some(&pod), json!({}))?;
        daemon.kill9()?;
        ensure!(cni.fails("ADD", Some(&pod), json!({}))? == 11);
        ensure!(cni.fails("DEL", Some(&pod), json!({}))? == 11);
        ensure!(cni.fails("STATUS", None, json!({}))? == 50);
        sandbox.kill9()?;
        cni.done("DEL", Some(&pod), json!({}))?;
        daemon.resume()?;
        ensure!(daemon.rows(&["ports"])?.is_empty());
        Ok(())
    });
}

#[test]
fn collection_takes_what_a_runtime_has_forgotten_and_nobody_elses() {
    scenario(|lab| {
        let daemon = lone_daemon(lab)?;
        let cni = Cni::of(&daemon, pods("1.1.0"))?;
        let other = Cni::of(&daemon, json!({"cniVersion": "1.1.0", "name": "other", "network": "pods"}))?;
        let sandboxes = (0..4).map(|_| Sandbox::start(daemon.host())).collect::<Result<Vec<_>>>()?;
        let pods: Vec<Pod> = (0..4).map(|n| Pod::new(&format!("c{n}"), &sandboxes[n])).collect();
        // Two pods of one name, in two namespaces of Kubernetes.
        cni.done("ADD", Some(&pods[0].clone().named("web", "prod")), json!({}))?;
        cni.done("ADD", Some(&pods[1].clone().named("web", "test")), json!({}))?;
        cni.done("ADD", Some(&pods[2]), json!({}))?;
        other.done("ADD", Some(&pods[3]), json!({}))?;
        let station = Station::attach(&daemon, "pods", "byhand", &[])?;
        let names = |daemon: &Vswitchd| -> Result<Vec<String>> {
            let rows = daemon.rows(&["ports"])?;
            Ok(rows.iter().filter_map(|row| row["name"].as_str().map(String::from)).collect())
        };
        ensure!(names(&daemon)? == ["byhand", "c2", "c3", "web.prod", "web.test"]);
        cni.done("GC", None, json!({}))?;
        ensure!(names(&daemon)?.len() == 5, "without a list nothing is collected");
        let valid = json!([{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth9"}]);
        cni.done("GC", None, json!({"cni.dev/valid-attachments": valid, "cni.dev/attachments": valid}))?;
        ensure!(names(&daemon)? == ["byhand", "c3", "web.test"]);
        ping::all_answered(&station, address(&daemon_result(&daemon, "web.test")?)?, 2).map(drop)
    });
}

/// A port's address in the form of a result.
fn daemon_result(daemon: &Vswitchd, name: &str) -> Result<Value> {
    let row = daemon.rows(&["ports", name])?.remove(0);
    Ok(json!({"ips": [{"address": row["addresses"][0]}]}))
}

#[test]
fn tuning_works_behind_it_in_every_version() {
    scenario(|lab| {
        let daemon = lone_daemon(lab)?;
        for version in ["0.3.1", "0.4.0", "1.0.0"] {
            let (cni, sandbox) = (Cni::of(&daemon, pods(version))?, Sandbox::start(daemon.host())?);
            let sysctl = json!({"net.ipv4.conf.eth0.arp_filter": "1"});
            let tuning =
                json!({"cniVersion": version, "name": "pods", "type": "tuning", "sysctl": sysctl, "mtu": 1400});
            let tuning = cni.other("tuning", tuning);
            let pod = Pod::new("c0ffee", &sandbox);
            let first = cni.done("ADD", Some(&pod), json!({}))?;
            let result = tuning.done("ADD", Some(&pod), json!({"prevResult": first}))?;
            ensure!(address(&result)? == address(&first)?, "{version}: {result}");
            ensure!(sandbox.exec(&["ip", "link", "show", "eth0"])?.contains("mtu 1400"));
            let previous = json!({"prevResult": result});
            if version != "0.3.1" {
                cni.done("CHECK", Some(&pod), previous.clone())?;
                tuning.done("CHECK", Some(&pod), previous.clone())?;
            } else {
                ensure!(cni.fails("CHECK", Some(&pod), previous.clone())? == 1);
            }
            tuning.done("DEL", Some(&pod), previous.clone())?;
            cni.done("DEL", Some(&pod), previous)?;
            ensure!(daemon.rows(&["ports"])?.is_empty());
        }
        Ok(())
    });
}
