//! One network, whoever starts the containers: an OCI runtime, podman and CNI, on two hosts. All find each other by name,
//! and reach what they have found [C5, D1].

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::cluster::addresses;
use tests::cni::{Cni, Pod};
use tests::traffic::ping;
use tests::{Cluster, Container, Netns, Place, Podman, Runtime, Sandbox, scenario, wait};

/// What `nslookup` has to say of a name, by the sandbox's own resolver or a server.
type Asks<'a> = Box<dyn Fn(&str) -> Result<String> + 'a>;

struct Member<'a> {
    name: &'static str,
    address: IpAddr,
    netns: Netns,
    asks: Asks<'a>,
}

#[test]
fn containers_of_all_runtimes_meet_by_name_in_one_network() {
    scenario(|lab| {
        let cluster = Cluster::start(lab, 2)?;
        cluster.overlay("RED", &["--subnet", "10.10.10.0/24"])?;
        let address = |host: usize, name: &str| -> Result<IpAddr> {
            let row = cluster.daemons[host].rows(&["ports", name])?.remove(0);
            addresses(&row)?.into_iter().next().with_context(|| row.to_string())
        };
        let annotations = |name: &'static str| [("org.vswitch.networks", "RED"), ("org.vswitch.name", name)];

        let runc = Container::run(lab, Runtime::Runc, &cluster.daemons[0], "runc", &annotations("byrunc"))?;
        let crun = Container::run(lab, Runtime::Crun, &cluster.daemons[1], "crun", &annotations("bycrun"))?;
        let podman = Podman::on(lab, &cluster.daemons[1])?;
        let bypodman = podman.run("bypodman", &annotations("bypodman"))?;
        let config = json!({"cniVersion": "1.1.0", "name": "pods", "network": "RED"});
        let sandboxes = [Sandbox::start(cluster.daemons[0].host())?, Sandbox::start(cluster.daemons[1].host())?];
        for (host, name) in [(0, "pod0"), (1, "pod1")] {
            let cni = Cni::of(&cluster.daemons[host], config.clone())?;
            let pod = Pod::new(&format!("c{host}"), &sandboxes[host]).named(name, "prod");
            let result = cni.done("ADD", Some(&pod), json!({}))?;
            ensure!(result["dns"]["nameservers"] == json!(["10.10.10.1"]), "{result}");
        }

        // A pod of CNI alone has no file system to put a resolv.conf into.
        let by_gateway = |host: usize| -> Asks<'_> {
            let sandbox = &sandboxes[host];
            Box::new(|name| sandbox.exec(&["busybox", "nslookup", name, "10.10.10.1"]))
        };
        let members = [
            Member {
                name: "byrunc",
                address: address(0, "byrunc")?,
                netns: runc.netns()?,
                asks: Box::new(|name| runc.exec_inside(&["nslookup", name])),
            },
            Member {
                name: "bycrun",
                address: address(1, "bycrun")?,
                netns: crun.netns()?,
                asks: Box::new(|name| crun.exec_inside(&["nslookup", name])),
            },
            Member {
                name: "bypodman",
                address: address(1, "bypodman")?,
                netns: bypodman,
                asks: Box::new(|name| podman.exec("bypodman", &["nslookup", name])),
            },
            Member {
                name: "pod0",
                address: address(0, "pod0.prod")?,
                netns: sandboxes[0].netns()?,
                asks: by_gateway(0),
            },
            Member {
                name: "pod1.prod",
                address: address(1, "pod1.prod")?,
                netns: sandboxes[1].netns()?,
                asks: by_gateway(1),
            },
        ];
        for one in &members {
            for other in members.iter().filter(|other| other.name != one.name) {
                wait::until(Duration::from_secs(5), "the name to be known", || {
                    let said = (one.asks)(other.name)?;
                    ensure!(said.contains(&other.address.to_string()), "{} asks for {}: {said}", one.name, other.name);
                    Ok(())
                })?;
                ping::all_answered(&one.netns, other.address, 1)?;
            }
        }
        // A name ends with its attachment.
        cluster.daemons[0].vsctl(&["del-port", "byrunc"])?;
        wait::until(Duration::from_secs(5), "the name to be gone", || {
            ensure!((members[4].asks)("byrunc").is_err());
            Ok(())
        })?;
        Ok(())
    });
}
