//! What systemd hears from the daemon: that it is ready, that both of its threads live, that it ends [O5].

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::ptrace;
use nix::unistd::Pid;
use tests::{programs, scenario, wait};

/// What the watchdog waits for; it is fed at a third of it.
const PERIOD: Duration = Duration::from_millis(600);
/// For what must come, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a message of the daemon.
fn hear(socket: &UnixDatagram, wanted: &str) -> Result<()> {
    let mut message = [0; 512];
    socket.set_read_timeout(Some(PATIENCE))?;
    loop {
        let length = socket.recv(&mut message).with_context(|| format!("{wanted} was not said"))?;
        if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == wanted) {
            return Ok(());
        }
    }
}

/// Takes all messages that are there.
fn drain(socket: &UnixDatagram) -> Result<usize> {
    socket.set_nonblocking(true)?;
    let mut message = [0; 512];
    let mut count = 0;
    while socket.recv(&mut message).is_ok() {
        count += 1;
    }
    socket.set_nonblocking(false)?;
    Ok(count)
}

/// The daemon's data thread, which a tracer can stop alone.
fn data_thread(pid: u32) -> Result<Pid> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        if fs::read_to_string(task.path().join("comm"))?.trim() == "data" {
            return Ok(Pid::from_raw(task.file_name().to_string_lossy().parse()?));
        }
    }
    anyhow::bail!("{pid} has no data thread")
}

#[test]
fn the_watchdog_is_fed_only_while_the_data_thread_answers() {
    scenario(|lab| {
        let host = lab.host("h1")?;
        let path = |name: &str| host.dir().join(name).display().to_string();
        let socket = UnixDatagram::bind(path("notify"))?;
        let (program, notify) = (programs::find("vswitchd")?.display().to_string(), path("notify"));
        let (state, api, period) = (path("state"), path("api"), PERIOD.as_micros().to_string());
        let argv = [
            &program,
            "--name",
            "h1",
            "--state-dir",
            &state,
            "--socket",
            &api,
            "--uplink",
            "none",
            "--docker-plugin",
            "none",
        ];
        let environment = [("NOTIFY_SOCKET", notify.as_str()), ("WATCHDOG_USEC", &period)];
        let daemon = host.spawn("vswitchd", &argv.map(|word| word as &str), &environment)?;
        hear(&socket, "READY=1")?;
        hear(&socket, "WATCHDOG=1")?;
        hear(&socket, "WATCHDOG=1")?;

        let data = data_thread(daemon.pid())?;
        ptrace::seize(data, ptrace::Options::empty())?;
        ptrace::interrupt(data)?;
        wait::until(PATIENCE, "the data thread to be stopped", || {
            let stat = fs::read_to_string(format!("/proc/{}/task/{data}/stat", daemon.pid()))?;
            ensure!(stat.rsplit_once(") t ").is_some(), "{stat}");
            Ok(())
        })?;
        // What was on its way when the thread stopped comes first.
        std::thread::sleep(PERIOD);
        drain(&socket)?;
        std::thread::sleep(2 * PERIOD);
        let fed = drain(&socket)?;
        ensure!(fed == 0, "fed {fed} times while the data thread hung");

        ptrace::detach(data, None)?;
        hear(&socket, "WATCHDOG=1")?;
        nix::sys::signal::kill(Pid::from_raw(daemon.pid().try_into()?), nix::sys::signal::Signal::SIGTERM)?;
        hear(&socket, "STOPPING=1")
    });
}
