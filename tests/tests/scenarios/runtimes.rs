//! One network, whoever starts the containers: an OCI runtime, podman, CNI and, where it can run, Docker, on two hosts.
//! All find each other by name, and reach what they have found [C5, D1].

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tests::cluster::PREFIX;
use tests::cluster::addresses;
use tests::cni::{Cni, Pod};
use tests::consul::Consul;
use tests::traffic::ping;
use tests::vswitchd::{Options, Vswitchd};
use tests::{Cluster, Container, Docker, Lab, Netns, Place, Podman, Runtime, Sandbox, scenario, wait};

/// What `nslookup` has to say of a name, by the sandbox's own resolver or a server.
type Asks<'a> = Box<dyn Fn(&str) -> Result<String> + 'a>;

struct Member<'a> {
    name: &'static str,
    address: IpAddr,
    netns: Netns,
    asks: Asks<'a>,
}

/// Two hosts, and Docker's engine on the first where it can run.
fn hosts(lab: &Lab) -> Result<(Option<Docker>, Cluster)> {
    if let Some(why) = Docker::missing() {
        eprintln!("without Docker: {why}");
        return Ok((None, Cluster::start(lab, 2)?));
    }
    let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
    let underlay = lab.underlay(&[&h1, &h2], 1500)?;
    let consul = Consul::start(underlay.middle())?;
    let options = Options { store: Some(consul.url(PREFIX)), ..Options::default() };
    let mut docker = Docker::prepare(lab, &h1, &["--dns", "10.10.10.1"])?;
    let daemons = vec![docker.vswitchd(options.clone())?, Vswitchd::start_with(&h2, options)?];
    docker.resume()?;
    docker.import()?;
    Ok((Some(docker), Cluster { daemons, consul, underlay }))
}

#[test]
fn containers_of_all_runtimes_meet_by_name_in_one_network() {
    scenario(|lab| {
        let (docker, cluster) = hosts(lab)?;
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

        if let Some(docker) = &docker {
            let named = ["network", "create", "-d", "vswitch", "--ipam-driver", "vswitch", "-o", "vswitch.network=RED"];
            docker.run(&[&named[..], &["--ipam-opt", "vswitch.network=RED", "red"]].concat())?;
            docker.container("bydocker", &["--network", "red"], &[])?;
            // The engine says only after it has started a container how that is called.
            wait::until(Duration::from_secs(15), "the container to be known", || address(0, "bydocker").map(drop))?;
        }

        // A pod of CNI alone has no file system to put a resolv.conf into.
        let by_gateway = |host: usize| -> Asks<'_> {
            let sandbox = &sandboxes[host];
            Box::new(|name| sandbox.exec(&["busybox", "nslookup", name, "10.10.10.1"]))
        };
        let mut members = vec![
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
        if let Some(docker) = &docker {
            members.push(Member {
                name: "bydocker",
                address: address(0, "bydocker")?,
                netns: docker.netns("bydocker")?,
                // Through the engine's own name server, which passes on what it does not know.
                asks: Box::new(|name| docker.exec("bydocker", &["nslookup", name])),
            });
        }
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
