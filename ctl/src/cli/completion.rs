//! Completion: the shells' scripts ask `vsctl` itself what may come next, so that names of networks and sandboxes are
//! known. What it is asked with is clap_complete's business; script and program come from the same build.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate};
use serde::de::DeserializeOwned;

use super::error::Error;
use super::session::Session;
use super::table::printable;
use crate::api::{Network, Port};
use crate::client::{Client, DEFAULT_SOCKET, SOCKET_VARIABLE};

const EXAMPLES: &str = "\
Examples:
  vsctl completion bash > /etc/bash_completion.d/vsctl
  vsctl completion zsh > /usr/local/share/zsh/site-functions/_vsctl
  vsctl completion fish > ~/.config/fish/completions/vsctl.fish";

/// Set by the scripts to the shell's name.
const VARIABLE: &str = "VSCTL_COMPLETE";

/// How long a key press may wait for vswitchd.
const PATIENCE: Duration = Duration::from_millis(500);

/// Print a shell's completion script
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

impl Completion {
    /// Writes the script.
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let shell: &dyn EnvCompleter = match self.shell {
            Shell::Bash => &Bash,
            Shell::Elvish => &Elvish,
            Shell::Fish => &Fish,
            Shell::Powershell => &Powershell,
            Shell::Zsh => &Zsh,
        };
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, "vsctl", "vsctl", "vsctl", &mut script)?;
        if let Shell::Zsh = self.shell {
            // Where zsh loads the file as a function at the first key press, that press wants an answer, too.
            script.extend_from_slice(b"[ \"${funcstack[1]}\" = _vsctl ] && _clap_dynamic_completer_vsctl \"$@\"\n");
        }
        session.raw(&script)
    }
}

/// Answers a script and ends the process, if one has called it.
pub(crate) fn answer() {
    CompleteEnv::with_factory(|| named(super::Cli::command())).var(VARIABLE).bin("vsctl").complete();
}

/// The command with candidates for the names it takes. Where something is to be made, its name is new.
fn named(command: Command) -> Command {
    let makes = matches!(command.get_name(), "create" | "add-port");
    let command = command.mut_args(|argument| match argument.get_id().as_str() {
        "network" | "networks" => argument.add(ArgValueCandidates::new(networks)),
        "container" | "from" => argument.add(ArgValueCandidates::new(sandboxes)),
        "name" if !makes => argument.add(ArgValueCandidates::new(sandboxes)),
        _ => argument,
    });
    command.mut_subcommands(named)
}

fn networks() -> Vec<CompletionCandidate> {
    let networks: Vec<Network> = ask("/v1/networks");
    candidates(networks.into_iter().map(|network| (network.name, network.driver)).collect())
}

fn sandboxes() -> Vec<CompletionCandidate> {
    let ports: Vec<Port> = ask("/v1/ports");
    candidates(ports.into_iter().map(|port| (port.name, port.network)).collect())
}

fn candidates(mut names: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    names.sort();
    names.dedup_by(|a, b| a.0 == b.0);
    let candidate =
        |(name, help): (String, String)| CompletionCandidate::new(printable(&name)).help(Some(printable(&help).into()));
    names.into_iter().map(candidate).collect()
}

/// What vswitchd says at once; nothing, if it does not. There is nobody to tell why.
fn ask<T: DeserializeOwned>(path: &str) -> Vec<T> {
    let socket = named_socket(std::env::args()).or_else(|| std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from));
    let socket = socket.unwrap_or_else(|| DEFAULT_SOCKET.into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let client = Client::new(&socket);
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, client.get::<Vec<T>>(path)).await });
    answer.ok().and_then(Result::ok).unwrap_or_default()
}

/// What `--socket` of an unfinished line says.
fn named_socket(mut words: impl Iterator<Item = String>) -> Option<PathBuf> {
    let word = words.find(|word| word == "--socket" || word.starts_with("--socket="))?;
    word.strip_prefix("--socket=").map(PathBuf::from).or_else(|| words.next().map(PathBuf::from))
}
