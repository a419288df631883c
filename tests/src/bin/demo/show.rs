//! The two shows. Each step does the real thing and checks it: a demo that ends well has proved it.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tests::exec::Process;
use tests::print::Program;
use tests::traffic::iperf::{self, Load};
use tests::traffic::{ping, tcp};
use tests::vswitchd::{Options, Vswitchd};
use tests::{Consul, Container, Host, Lab, Outside, Place, Runtime, wait};

const SUBNET: &str = "10.10.10.0/24";
/// What the transfer that is compared byte for byte sends each way.
const BYTES: u64 = 100_000_000;
const NETWORKS: &str = "org.vswitch.networks";
const NAME: &str = "org.vswitch.name";

/// Two hosts, Consul, one overlay network over both, and a third host that knows nothing of it.
pub(crate) fn two_hosts(lab: &Lab) -> Result<()> {
    let mut program = Program::new(10);

    program.step("two hosts as network namespaces, an underlay of 1500 bytes between them, a third host outside");
    let (h1, h2) = (lab.host("h1")?, lab.host("h2")?);
    let underlay = lab.underlay(&[&h1, &h2], 1500)?;
    let outside = lab.outside(&[&h1, &h2], 1500)?;
    program.note(&format!(
        "h1 {}, h2 {}, a server beside them {}",
        h1.address4(),
        h2.address4(),
        underlay.middle().address4()
    ));
    show_outside(&program, &[&h1, &h2]);

    program.step("a Consul agent, where the hosts share state");
    let consul = Consul::start(underlay.middle())?;
    program.note(&consul.url("vswitch"));

    program.step("vswitchd on each host");
    let d1 = Vswitchd::start(&h1, &consul.url("vswitch"))?;
    let d2 = Vswitchd::start(&h2, &consul.url("vswitch"))?;
    for daemon in [&d1, &d2] {
        let url = consul.url("vswitch");
        let command = format!("vswitchd --advertise {} --store {url}", daemon.host().address4());
        program.command(daemon.host().name(), &command, "");
    }

    program.step("network RED, created on h1 and seen on h2 with the same ID");
    let id = run(&program, &d1, &["network", "create", "-d", "overlay", "--subnet", SUBNET, "RED"])?;
    let seen = wait::until(Duration::from_secs(2), "the network on h2", || {
        let rows = d2.rows(&["network", "ls"])?;
        ensure!(rows.iter().any(|row| row["id"] == id.as_str()), "not there yet");
        Ok(())
    })?;
    run(&program, &d2, &["network", "ls"])?;
    program.note(&format!("there after {} ms", seen.as_millis()));

    program.step("containers by runc, attached by its createRuntime hook");
    let c1 = container(&program, lab, &d1, "container1")?;
    let c2 = container(&program, lab, &d2, "container2")?;

    let (a, b) = ((&d1, &c1, "container1"), (&d2, &c2, "container2"));
    meet(&mut program, lab, a, b)?;
    go_out_and_come_in(&mut program, lab, &outside, a, b)?;

    program.step("both hosts' view");
    run(&program, &d1, &["show"])?;
    run(&program, &d2, &["show"])?;
    program.done();
    Ok(())
}

/// One host, the embedded store, a bridge network, and another host that knows nothing of it.
pub(crate) fn one_host(lab: &Lab) -> Result<()> {
    let mut program = Program::new(8);

    program.step("one host as a network namespace, another one outside, vswitchd with its embedded store, no server");
    let h1 = lab.host("h1")?;
    let outside = lab.outside(&[&h1], 1500)?;
    show_outside(&program, &[&h1]);
    let daemon =
        Vswitchd::start_with(&h1, Options { store: Some("file://".into()), local_only: true, ..Options::default() })?;
    program.command("h1", "vswitchd --store file://", "");

    program.step("network RED");
    run(&program, &daemon, &["network", "create", "--subnet", SUBNET, "RED"])?;
    run(&program, &daemon, &["network", "ls"])?;

    program.step("containers by runc, attached by its createRuntime hook");
    let c1 = container(&program, lab, &daemon, "container1")?;
    let c2 = container(&program, lab, &daemon, "container2")?;

    let (a, b) = ((&daemon, &c1, "container1"), (&daemon, &c2, "container2"));
    meet(&mut program, lab, a, b)?;
    go_out_and_come_in(&mut program, lab, &outside, a, b)?;

    program.step("the host's view");
    run(&program, &daemon, &["show"])?;
    program.done();
    Ok(())
}

/// Runs `vsctl` on the daemon's host for all to see.
fn run(program: &Program, daemon: &Vswitchd, args: &[&str]) -> Result<String> {
    let said = daemon.vsctl(args)?;
    program.command(daemon.host().name(), &format!("vsctl {}", args.join(" ")), &said);
    Ok(said)
}

fn container(program: &Program, lab: &Lab, daemon: &Vswitchd, name: &str) -> Result<Container> {
    let container = Container::run(lab, Runtime::Runc, daemon, name, &[(NETWORKS, "RED"), (NAME, name)])?;
    let command = format!("runc run --detach {name}    # annotations: {NETWORKS}=RED, {NAME}={name}");
    let link = container.exec_inside(&["ip", "-o", "-4", "address", "show", "eth0"])?;
    let address = link.split_whitespace().nth(3).unwrap_or_default();
    program.command(daemon.host().name(), &command, &format!("{name}: eth0 {address}"));
    Ok(container)
}

type Actor<'a> = (&'a Vswitchd, &'a Container, &'a str);

/// The ping and the transfer between the containers.
fn meet(program: &mut Program, lab: &Lab, a: Actor, b: Actor) -> Result<()> {
    let to = address(b.0, b.2)?;
    program.step(&format!("{} pings {}", a.2, b.2));
    let argv = ["ping", "-c", "3", &to.to_string()];
    let said = a.1.exec_inside(&argv)?;
    program.command(a.2, &argv.join(" "), said.trim_end());
    ping::all_answered(a.1, to, 50)?;

    program.step(&format!("TCP between {} and {}", a.2, b.2));
    tcp::transfer(a.1, b.1, to, BYTES)?;
    program.note(&format!("{} MB each way at once, compared byte for byte: equal", BYTES / 1_000_000));
    let rate = iperf::tcp(a.1, b.1, to, Load { streams: 1, seconds: 3 }, lab.dir())?;
    program.note(&format!("iperf3, one stream: {rate:.1} Gbit/s"));
    Ok(())
}

fn show_outside(program: &Program, hosts: &[&Host]) {
    let known: Vec<String> = hosts.iter().map(|host| format!("{} as {}", host.name(), host.outer4())).collect();
    program.note(&format!("outside is {}, and knows {}, no container", Outside::FAR4, known.join(", ")));
}

/// A page that a container fetches from outside, and one that the outside fetches from a container.
fn go_out_and_come_in(program: &mut Program, lab: &Lab, outside: &Outside, a: Actor, b: Actor) -> Result<()> {
    program.step(&format!("{} fetches a page from outside", a.2));
    let (pages, log) = (lab.dir().join("pages"), lab.dir().join("httpd.log"));
    fs::create_dir_all(&pages)?;
    fs::write(pages.join("index.html"), "Greetings from outside!\n")?;
    let at = format!("{}:80", Outside::FAR4);
    let argv = ["busybox", "httpd", "-f", "-vv", "-p", &at, "-h", &pages.display().to_string()];
    let server = Process::start(Some(&outside.netns()?), &argv, &[], &log)?;
    let url = format!("http://{}/", Outside::FAR4);
    let said = fetch(&url, |argv| a.1.exec_inside(argv))?;
    ensure!(said.contains("Greetings from outside"), "{said}");
    program.command(a.2, &format!("wget -qO- {url}"), said.trim_end());
    let client = a.0.host().outer4().to_string();
    ensure!(server.log().contains(&client), "the server outside did not see {client}: {}", server.log());
    program.note(&format!("the server outside saw {client}: {}'s address", a.0.host().name()));

    program.step(&format!("the outside fetches a page from {}, by a published port", b.2));
    let page = format!("mkdir /dev/www && echo \"Greetings from {}!\" > /dev/www/index.html", b.2);
    b.1.exec_inside(&["sh", "-c", &format!("{page} && httpd -p 80 -h /dev/www")])?;
    run(program, b.0, &["publish", b.2, "8080:80"])?;
    run(program, b.0, &["publish", "ls"])?;
    let url = format!("http://{}:8080/", b.0.host().outer4());
    let said = fetch(&url, |argv| outside.exec(&[&["busybox"], argv].concat()))?;
    ensure!(said.contains(&format!("Greetings from {}", b.2)), "{said}");
    program.command("outside", &format!("wget -qO- {url}"), said.trim_end());
    let rules = b.0.host().exec(&["nft", "list", "ruleset"])?;
    ensure!(rules.trim().is_empty(), "{rules}");
    program.command(b.0.host().name(), "nft list ruleset", "");
    program.note("no netfilter rule anywhere");
    Ok(())
}

/// A server that was started just now may take a moment.
fn fetch(url: &str, wget: impl Fn(&[&str]) -> Result<String>) -> Result<String> {
    let mut said = String::new();
    wait::until(Duration::from_secs(5), "the page", || {
        said = wget(&["wget", "-q", "-O", "-", url])?;
        Ok(())
    })?;
    Ok(said)
}

fn address(daemon: &Vswitchd, name: &str) -> Result<IpAddr> {
    let ports = daemon.rows(&["ports"])?;
    let row = ports.iter().find(|row| row["name"] == name).with_context(|| format!("{name} is not attached"))?;
    tests::cluster::addresses(row)?.into_iter().find(IpAddr::is_ipv4).with_context(|| row.to_string())
}
