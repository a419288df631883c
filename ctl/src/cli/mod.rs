//! The commands of `vsctl`: docker's words, columns and behaviour over the API. Knows nothing but the API.
//!
//! A command is a struct that clap fills and that runs in a [`Session`](session::Session). Invariant:
//! standard output carries answers only; what goes wrong goes to standard error, with its remedy.

mod completion;
mod conn;
mod dns;
mod error;
mod fdb;
mod filter;
mod flows;
mod form;
mod limits;
mod man;
mod network;
mod peers;
mod port;
mod publish;
mod rule;
mod session;
mod show;
mod style;
mod table;
mod tables;
mod template;
#[cfg(test)]
mod tests;
mod uplink;
mod value;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::{Client, DEFAULT_SOCKET, SOCKET_VARIABLE};
use error::Error;
use form::Form;
use session::Session;
use style::Style;

const EXAMPLES: &str = "\
Examples:
  vsctl network create -d overlay --subnet 10.10.10.0/24 RED
  vsctl add-port RED web0 --pid 4711
  vsctl show
  vsctl ports --format json
  vsctl ports --format 'table {{.Name}}\\t{{.Network}}\\t{{.Addresses}}'
  vsctl help network create

Exit status: 0 done, 1 refused or failed, 2 the command line is wrong.";

/// Networks, ports and tables of the virtual switch on this host
#[derive(Debug, Parser)]
#[command(name = "vsctl", version, after_help = EXAMPLES)]
struct Cli {
    /// vswitchd's socket
    #[arg(long, global = true, env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET, value_name = "PATH")]
    #[arg(help_heading = "Everywhere", hide_env_values = true)]
    socket: PathBuf,
    /// Tables for people, the API's answer as JSON, or a Go template as docker's
    #[arg(long, global = true, default_value = "table", value_name = "table|json|TEMPLATE")]
    #[arg(help_heading = "Everywhere", allow_hyphen_values = true)]
    format: Form,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create, list, inspect, remove, join and leave networks
    #[command(subcommand)]
    Network(network::Command),
    /// Connect a sandbox to one more network (the same as `network connect`)
    Connect(network::Connect),
    /// Disconnect a sandbox from a network (the same as `network disconnect`)
    Disconnect(network::Disconnect),
    /// Attach a container's network namespace to a network
    AddPort(port::AddPort),
    /// Change the limits or the VLANs of an endpoint
    SetPort(limits::SetPort),
    /// Detach a sandbox from one network, or from all
    DelPort(port::DelPort),
    /// Publish ports of a sandbox on the host, list them, take them back
    Publish(publish::Publish),
    /// This host at a glance: store, networks, endpoints, peers, warnings, what of the kernel is used
    Show(show::Show),
    /// Endpoints of this host and their counters
    Ports(port::Ports),
    /// Stations: which MAC address is behind which port or VTEP
    Fdb(fdb::Fdb),
    /// VTEPs that hear a network's broadcasts
    Peers(peers::Peers),
    /// Addresses for which ARP and neighbour discovery are answered
    Neigh(tables::Neigh),
    /// Why frames were dropped, and how many
    Drops(tables::Drops),
    /// Cached flows
    Flows(flows::Flows),
    /// Load, save and list packet filters, in the format of iptables-save
    #[command(subcommand, after_help = filter::EXAMPLES)]
    Filter(filter::Command),
    /// Say in words who may reach whom
    #[command(subcommand, after_help = rule::EXAMPLES)]
    Rule(rule::Command),
    /// The way outside: interfaces, routes, counters of the steering
    Uplink(uplink::Uplink),
    /// Tracked connections
    #[command(
        subcommand,
        after_help = "Examples:\n  vsctl conn show --network RED\n  vsctl conn flush --address 10.10.10.2"
    )]
    Conn(conn::Command),
    /// Names of containers, and asking for them
    #[command(subcommand, after_help = dns::EXAMPLES)]
    Dns(dns::Command),
    /// What happened lately
    Events(tables::Events),
    /// Addresses of a network that are held or rest
    Leases(tables::Leases),
    /// Print a shell's completion script
    Completion(completion::Completion),
    /// Write the manual pages into a directory
    Man(man::Manual),
}

impl Command {
    async fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Self::Network(command) => command.run(session).await,
            Self::Connect(command) => command.run(session).await,
            Self::Disconnect(command) => command.run(session).await,
            Self::AddPort(command) => command.run(session).await,
            Self::SetPort(command) => command.run(session).await,
            Self::DelPort(command) => command.run(session).await,
            Self::Publish(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Ports(command) => command.run(session).await,
            Self::Fdb(command) => command.run(session).await,
            Self::Peers(command) => command.run(session).await,
            Self::Neigh(command) => command.run(session).await,
            Self::Drops(command) => command.run(session).await,
            Self::Flows(command) => command.run(session).await,
            Self::Filter(command) => command.run(session).await,
            Self::Rule(command) => command.run(session).await,
            Self::Uplink(command) => command.run(session).await,
            Self::Conn(command) => command.run(session).await,
            Self::Dns(command) => command.run(session).await,
            Self::Events(command) => command.run(session).await,
            Self::Leases(command) => command.run(session).await,
            Self::Completion(command) => command.run(session),
            Self::Man(command) => command.run(session),
        }
    }
}

/// Runs `vsctl` with the process's arguments, environment and streams.
///
/// A wrong command line, `--help` and `--version` end the process here, with clap's text.
pub fn main() -> ExitCode {
    completion::answer();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot wait for input and output: {error}\n  remedy: raise the limit of open files");
            return ExitCode::FAILURE;
        }
    };
    let stdout = io::stdout();
    let style = Style::of(stdout.is_terminal());
    let mut out = BufWriter::new(stdout.lock());
    let mut err = io::stderr();
    runtime.block_on(run(cli, style, &mut out, &mut err))
}

/// Runs one command and turns its outcome into text on `err` and an exit status.
async fn run(cli: Cli, style: Style, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let mut session = Session::new(Client::new(&cli.socket), cli.format, style, out, err);
    let outcome = cli.command.run(&mut session).await;
    let outcome = outcome.and(session.flush());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => session.end(&error),
    }
}
