//! The daemon: puts the parts together, says when it is ready, ends in order. It decides nothing itself.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use crossbeam::channel::Receiver;
use ctl::api::{Listener, serve};
use ctl::config::{Arguments, Config, DockerPlugin};
use ctl::control::{Control, Engine, Settings};
use ctl::docker;
use ctl::model;
use ctl::state::{Disk, Lock, Memory};
use ctl::uplink::{self, Uplink};
use ctl::watchdog;
use port::{Underlay, interface, limits};
use switch::turn::{self, Handle, Notice};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let check = arguments.check_config;
    let result = Config::load(arguments).map_err(anyhow::Error::from);
    let result = result.and_then(|config| if check { check_config(&config) } else { start(config) });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vswitchd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What can be told without starting anything.
fn check_config(config: &Config) -> Result<()> {
    log_filter(config)?;
    host_name(config)?;
    store::check(&config.store)?;
    config.warnings.iter().for_each(|warning| println!("warning: {warning}"));
    println!("the configuration is sound");
    Ok(())
}

fn log_filter(config: &Config) -> Result<EnvFilter> {
    EnvFilter::try_new(&config.log_level)
        .with_context(|| format!("--log-level {}: not a level or filter", config.log_level))
}

fn start(config: Config) -> Result<()> {
    let filter = log_filter(&config)?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).init();
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread's runtime")?;
    let result = runtime.block_on(run(config));
    // A look-up that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run(config: Config) -> Result<()> {
    // Asked for before anything else, so that an early signal also ends in order.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    prepare(&config.state_dir)?;
    let _lock = Lock::take(&config.state_dir)?;
    let listener = Listener::bind(&config.socket)?;
    let docker = docker_listener(&config.docker_plugin)?;
    let disk = Disk::open(&config.state_dir)?;
    let mut memory = Memory::read(&disk)?;
    let records = std::mem::take(&mut memory.docker);

    let mut settings = Settings::new(&host_name(&config)?);
    settings.vxlan_port = config.vxlan_port;
    settings.lease_time = Duration::from_secs(config.lease_time);
    settings.upstreams.clone_from(&config.upstreams);
    settings.kernel = tokio::task::spawn_blocking(port::kernel::probe).await?.unwrap_or_else(|error| {
        tracing::warn!(%error, "what the kernel has cannot be tried out, so `vsctl show` does not say");
        Vec::new()
    });
    let underlay = match &config.advertise {
        Some(advertise) => {
            let vtep = resolve(advertise)?;
            let (interface, mtu) = interface::mtu_of(vtep)?;
            tracing::info!(%vtep, interface, mtu, "tunnels end here");
            settings.vtep = Some(vtep);
            settings.underlay_mtu = Some(mtu);
            Some(Underlay::bind(vtep, config.vxlan_port)?)
        }
        None => None,
    };
    let store = store::open(&config.store, &config.state_dir, store::Options::default()).await?;

    let heard = Arc::new(Notify::new());
    let waker = heard.clone();
    // Dropped with the closure that holds it, when the data thread ends in whatever way.
    let (alive, data_ended) = oneshot::channel::<()>();
    let notify = move || {
        let _ = &alive;
        waker.notify_one();
    };
    port::xdp::set_memory(config.xdp_memory << 20);
    settings.host_link.clone_from(&config.host_link);
    let mut made = uplink::make(&config.host_link, config.uplink.clone(), config.uplink_form).await;
    let data = turn::Config { underlay, steering: made.steering(), ..turn::Config::default() };
    let (handle, notices, thread) = Handle::start(data, Box::new(notify)).context("cannot start the data thread")?;
    let (uplink, mut told) = Uplink::start(made, handle.clone()).await;
    let control = Control::new(settings, store, Arc::new(Engine::new(handle.clone(), uplink.clone())), disk.clone());
    let teller = control.clone();
    tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            teller.tell(event);
        }
    });
    control.restore(memory).await;
    uplink.all_published();
    control.run();
    let listening = tokio::spawn(listen(control.clone(), notices, heard));

    let end = Arc::new(Notify::new());
    let ended = end.clone();
    let docker = docker.map(|at| docker::Service::start(control.clone(), disk, records, at, config.docker_api.clone()));
    let mut server = tokio::spawn(serve(listener, control.clone(), async move { ended.notified().await }));
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let watched = handle.clone();
    tokio::spawn(watchdog::feed(sd_notify::watchdog_enabled(), move |answer| {
        // Nobody waits for it only when the daemon ends.
        watched.inspect(move |_| answer.send(()).unwrap_or_default());
    }));
    tracing::info!(socket = %config.socket.display(), version = env!("CARGO_PKG_VERSION"), "ready");

    let result = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        broken = &mut server => broken.context("the API's server ended")?.context("the API's socket broke"),
        _ = data_ended => Err(anyhow::anyhow!("the data thread ended; its log line says why")),
    };
    tracing::info!("ending");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    end.notify_one();
    if result.is_ok() {
        // Requests under way get a moment; one that hangs does not hold up the end.
        let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    }
    if let Some(docker) = docker {
        docker.stop().await;
    }
    listening.abort();
    control.stop().await;
    uplink.stop();
    handle.stop();
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    result
}

/// Hands on what the data thread has to say. Containers end together on a busy host: one slow clean-up does not hold up
/// the others.
async fn listen(control: Arc<Control>, notices: Receiver<Notice>, heard: Arc<Notify>) {
    loop {
        while let Ok(notice) = notices.try_recv() {
            let control = control.clone();
            tokio::spawn(async move { control.hear(notice).await });
        }
        heard.notified().await;
    }
}

/// Docker may not be there, or another daemon serve it: then the switch works without.
fn docker_listener(plugin: &DockerPlugin) -> Result<Option<Listener>> {
    match plugin {
        DockerPlugin::None => Ok(None),
        DockerPlugin::At(path) => Ok(Some(Listener::bind(path).context("--docker-plugin")?)),
        DockerPlugin::Usual => Ok(Listener::bind(Path::new(docker::DEFAULT_SOCKET))
            .inspect_err(|error| tracing::warn!(%error, "Docker cannot use the switch"))
            .ok()),
    }
}

fn prepare(dir: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).with_context(|| format!("state directory {}: choose another with --state-dir", dir.display()))
}

fn host_name(config: &Config) -> Result<String> {
    let name = match &config.name {
        Some(name) => name.clone(),
        None => {
            nix::sys::utsname::uname().context("cannot read the host name")?.nodename().to_string_lossy().into_owned()
        }
    };
    if !model::is_name(&name) {
        bail!("host name {name:?}: letters, digits, _ . - are wanted; give another with --name");
    }
    Ok(name)
}

/// An address as it is, or the first one of an interface that others can reach.
fn resolve(advertise: &str) -> Result<IpAddr> {
    if let Ok(address) = advertise.parse() {
        return Ok(address);
    }
    let link_local = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let addresses = interface::addresses(advertise)?;
    let usable = addresses.into_iter().filter(|address| !address.is_loopback() && !link_local(address));
    let first = usable.min_by_key(IpAddr::is_ipv6);
    first.with_context(|| {
        format!("interface {advertise} has no address that other hosts can reach; give --advertise IP")
    })
}
