//! `oci-hook`: called by an OCI runtime when a container is created and when it has ended.
//! Reads the container's state from standard input and asks vswitchd; all that it decides is in `ctl::oci`.
//! Invariant: `poststop` exits 0 whatever happens, because runtimes skip the hooks behind one that fails.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ctl::client::{Client, DEFAULT_SOCKET, SOCKET_VARIABLE};
use ctl::oci::{self, Error, State};

/// The longest state that is read, in bytes.
const STATE_LIMIT: u64 = 1 << 20;

/// Connects OCI containers to vswitch networks.
///
/// Called by runc, crun or podman with the container's state on standard input. The annotation org.vswitch.networks
/// says which networks: RED[:ip=ADDRESS,ip6=ADDRESS,mac=MAC,ifname=NAME,alias=A+B,hostname=NAME,rate=RATE,
/// egress-rate=RATE,vlan=VLAN][;BLUE...]. Without it nothing is done.
#[derive(Parser)]
#[command(name = "oci-hook", version)]
struct Arguments {
    /// The stage at which the runtime calls
    #[arg(value_enum)]
    stage: Stage,
    /// vswitchd's socket
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// The container's name where it has no annotation org.vswitch.name (default: its ID)
    #[arg(long)]
    name: Option<String>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Stage {
    /// Attach, before the container's process starts
    #[value(name = "createRuntime", alias = "prestart")]
    Attach,
    /// Detach, after the container has ended
    #[value(name = "poststop")]
    Detach,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            let removal = std::env::args().any(|argument| argument == "poststop");
            return if removal || !error.use_stderr() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    let state = read_state();
    let id = state.as_ref().map(|state| state.id.clone()).unwrap_or_default();
    let container = if id.is_empty() { String::new() } else { format!("container {id}: ") };
    let error = match state.and_then(|state| run(&arguments, state)) {
        Ok(note) => {
            note.into_iter().for_each(|note| tell(&format!("oci-hook: {container}{note}\n")));
            return ExitCode::SUCCESS;
        }
        Err(error) => error,
    };
    tell(&format!("oci-hook: {container}{}\n", oci::one_line(&error)));
    if arguments.stage == Stage::Detach { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says why on standard error, where runc takes it from for its own message. crun sends a hook's standard error to
/// /dev/null and only tells the exit status: then it is said on the runtime's own. What cannot be said is lost.
fn tell(line: &str) {
    let device = |path: &str| fs::metadata(path).map(|found| found.rdev()).ok();
    let discarded = device("/proc/self/fd/2").is_some_and(|ours| ours != 0 && Some(ours) == device("/dev/null"));
    let _ = if discarded {
        // Appending: another open file of the runtime's log must not overwrite it.
        OpenOptions::new()
            .append(true)
            .open(format!("/proc/{}/fd/2", parent_id()))
            .and_then(|mut runtime| runtime.write_all(line.as_bytes()))
    } else {
        io::stderr().write_all(line.as_bytes())
    };
}

/// Reads to the end, so that the runtime never writes to a closed pipe.
fn read_state() -> Result<State, Error> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(STATE_LIMIT).read_to_end(&mut bytes).map_err(Error::Start)?;
    State::parse(&bytes)
}

fn run(arguments: &Arguments, state: State) -> Result<Option<String>, Error> {
    let client = Client::new(&arguments.socket);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    runtime.block_on(async {
        match arguments.stage {
            Stage::Attach => oci::attach(state, arguments.name.as_deref(), &client).await,
            Stage::Detach => oci::detach(state, &client).await.map(|()| None),
        }
    })
}
