//! The steps of the lab: two networks over three nodes, containers of real Docker engines in them by name, isolation, a
//! published port, and a container that moves while it runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::print::Program;
use tests::vswitchd::{Options, Vswitchd};
use tests::{Consul, Docker, Host, Lab, Place, wait};

const SOON: Duration = Duration::from_secs(10);

/// A host with both daemons. The engine ends first.
struct Node {
    docker: Docker,
    vswitchd: Vswitchd,
    host: Host,
}

impl Node {
    fn start(lab: &Lab, host: &Host, store: &str) -> Result<Node> {
        // Names of other nodes come from the gateways, of whichever network a container is in.
        let mut docker = Docker::prepare(lab, host, &["--dns", "10.10.10.1", "--dns", "10.10.20.1"])?;
        let vswitchd = docker.vswitchd(Options { store: Some(store.to_owned()), ..Options::default() })?;
        docker.resume()?;
        docker.import()?;
        Ok(Node { docker, vswitchd, host: host.clone() })
    }

    /// `docker ...`, as it is typed.
    fn docker(&self, program: &Program, args: &[&str]) -> Result<String> {
        let said = self.docker.run(args)?;
        program.command(self.host.name(), &format!("docker {}", args.join(" ")), &said);
        Ok(said)
    }

    fn vsctl(&self, program: &Program, args: &[&str]) -> Result<String> {
        let said = self.vswitchd.vsctl(args)?;
        program.command(self.host.name(), &format!("vsctl {}", args.join(" ")), &said);
        Ok(said)
    }

    /// `docker network create` for a network that is there.
    fn join(&self, program: &Program, name: &str) -> Result<String> {
        let option = format!("vswitch.network={name}");
        let args =
            ["network", "create", "-d", "vswitch", "-o", &option, "--ipam-driver", "vswitch", "--ipam-opt", &option];
        self.docker(program, &[&args[..], &[name]].concat())
    }

    fn run(&self, program: &Program, network: &str, name: &str, flags: &[&str], command: &[&str]) -> Result<()> {
        let args = ["run", "-d", "--name", name, "--network", network];
        let command = if command.is_empty() { &["sleep", "86400"] } else { command };
        self.docker(program, &[&args[..], flags, &[tests::docker::IMAGE], command].concat()).map(drop)
    }

    /// A command in a container; shown once it has succeeded.
    fn inside(&self, program: &Program, container: &str, argv: &[&str]) -> Result<String> {
        let mut said = String::new();
        wait::until(SOON, &format!("{} in {container}", argv.join(" ")), || {
            said = self.docker.exec(container, argv)?;
            Ok(())
        })?;
        program.command(self.host.name(), &format!("docker exec {container} {}", argv.join(" ")), &said);
        Ok(said)
    }

    /// A command in a container that must fail.
    fn fails(&self, program: &Program, container: &str, argv: &[&str]) -> Result<()> {
        let output = self.docker.output(&[&["exec", container], argv].concat())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "{} in {container} succeeded: {said}", argv.join(" "));
        program.command(self.host.name(), &format!("docker exec {container} {}", argv.join(" ")), said.trim_end());
        Ok(())
    }

    /// The address of a container in a network, as Docker says it.
    fn address(&self, container: &str, network: &str) -> Result<String> {
        let inspected: Value = self.docker.inspect(container)?;
        let address = inspected["NetworkSettings"]["Networks"][network]["IPAddress"].as_str();
        Ok(address.with_context(|| format!("{container} has no address in {network}"))?.to_owned())
    }
}

const SERVE: [&str; 6] = ["nc", "-ll", "-p", "9000", "-e", "hostname"];

/// All of it.
pub(crate) fn all(lab: &Lab) -> Result<()> {
    let mut program = Program::new(9);
    program.step("three nodes, a store beside them, vswitchd and Docker on each");
    let hosts = [lab.host("node1")?, lab.host("node2")?, lab.host("node3")?];
    let underlay = lab.underlay(&hosts.each_ref(), 1500)?;
    let consul = Consul::start(underlay.middle())?;
    let url = consul.url("vswitch");
    let nodes = hosts.iter().map(|host| Node::start(lab, host, &url)).collect::<Result<Vec<Node>>>()?;
    for node in &nodes {
        let command = format!("vswitchd --advertise {} --store {url}", node.host.address4());
        program.command(node.host.name(), &command, "");
        program.command(node.host.name(), "dockerd --dns 10.10.10.1 --dns 10.10.20.1", "");
    }
    let [one, two, three] = &nodes[..] else { unreachable!("three were started") };

    program.step("network RED, made once, joined by every engine");
    let red = one.vsctl(&program, &["network", "create", "-d", "overlay", "--subnet", "10.10.10.0/24", "RED"])?;
    let joined = nodes.iter().map(|node| node.join(&program, "RED")).collect::<Result<Vec<String>>>()?;
    ensure!(joined.iter().all(|id| *id != red) && joined[0] != joined[1], "Docker's ids are its own: {joined:?}");

    program.step("container1 on node1, container2 on node2");
    one.run(&program, "RED", "container1", &[], &SERVE)?;
    two.run(&program, "RED", "container2", &[], &SERVE)?;
    for (node, container) in [(one, "container1"), (two, "container2")] {
        let link = node.inside(&program, container, &["ip", "address", "show", "eth0"])?;
        for expected in ["mtu 1450", "link/ether 02:42:0a:0a:0a:", "inet 10.10.10."] {
            ensure!(link.contains(expected), "no {expected} in {link}");
        }
    }

    program.step("they reach each other by name");
    one.inside(&program, "container1", &["ping", "-c", "2", "container2"])?;
    two.inside(&program, "container2", &["ping", "-c", "2", "container1"])?;
    let said = one.inside(&program, "container1", &["nc", "container2", "9000"])?;
    ensure!(!said.is_empty(), "nothing was heard");

    program.step("network BLUE; container3 in both, container4 in BLUE alone");
    three.vsctl(&program, &["network", "create", "-d", "overlay", "--subnet", "10.10.20.0/24", "BLUE"])?;
    for node in &nodes {
        node.join(&program, "BLUE")?;
    }
    three.run(&program, "RED", "container3", &[], &[])?;
    three.docker(&program, &["network", "connect", "BLUE", "container3"])?;
    three.run(&program, "BLUE", "container4", &[], &SERVE)?;
    let links = three.inside(&program, "container3", &["ip", "-o", "-4", "address"])?;
    ensure!(links.contains("eth0") && links.contains("10.10.10.") && links.contains("eth1"), "{links}");
    three.inside(&program, "container3", &["ping", "-c", "1", "container1"])?;
    three.inside(&program, "container3", &["ping", "-c", "1", "container4"])?;

    program.step("container1 cannot reach container4");
    let four = three.address("container4", "BLUE")?;
    one.fails(&program, "container1", &["ping", "-c", "1", "-W", "1", &four])?;
    one.fails(&program, "container1", &["ping", "-c", "1", "-W", "1", "container4"])?;

    program.step("container4 again, with a published port, reached through node3's address");
    three.docker(&program, &["rm", "-f", "container4"])?;
    three.run(&program, "BLUE", "container4", &["-p", "9000:9000"], &SERVE)?;
    let address = three.host.address4().to_string();
    for client in [underlay.middle(), &one.host, &three.host] {
        let mut said = String::new();
        wait::until(SOON, "an answer from container4", || {
            said = client.exec(&["busybox", "nc", "-w", "5", &address, "9000"])?;
            ensure!(!said.trim().is_empty(), "nothing was heard");
            Ok(())
        })?;
        program.command(client.name(), &format!("nc {address} 9000"), &said);
    }
    one.inside(&program, "container1", &["nc", "-w", "5", &address, "9000"])?;

    program.step("container2 moves from RED to BLUE while it runs");
    two.docker(&program, &["network", "connect", "BLUE", "container2"])?;
    two.docker(&program, &["network", "disconnect", "RED", "container2"])?;
    three.inside(&program, "container4", &["ping", "-c", "1", "container2"])?;
    two.inside(&program, "container2", &["ping", "-c", "1", "container4"])?;
    let moved = two.address("container2", "BLUE")?;
    one.fails(&program, "container1", &["ping", "-c", "1", "-W", "1", &moved])?;
    let still = three.docker.exec("container3", &["nc", "-w", "5", &moved, "9000"])?;
    ensure!(!still.is_empty(), "what it served is not served any more");

    program.step("everything is taken down, and nothing is left");
    for (node, containers) in
        [(one, &["container1"][..]), (two, &["container2"]), (three, &["container3", "container4"])]
    {
        node.docker(&program, &[&["rm", "-f"], containers].concat())?;
        node.docker(&program, &["network", "rm", "RED", "BLUE"])?;
        ensure!(node.vswitchd.rows(&["ports"])?.is_empty(), "ports are left on {}", node.host.name());
    }
    for network in ["RED", "BLUE"] {
        one.vsctl(&program, &["network", "rm", network])?;
    }
    program.done();
    Ok(())
}
