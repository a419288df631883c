//! What vswitchd is told: flags win over the environment, that over the configuration file, that over the defaults.
//! Nothing is looked up here beyond the file; addresses and names are resolved by `vswitchd` itself.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Parser;
use port::Form;
use serde::Deserialize;

use crate::dns::Upstreams;
use crate::docker;
use crate::uplink::{self, Selection};

/// Where the configuration file is unless told otherwise; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/vswitch/vswitchd.toml";
/// Where the state is kept unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vswitch";

/// The virtual switch for container networks: the daemon of one host.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "vswitchd", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// This host's name, unique in the cluster [default: the host name].
    #[arg(long, env = "VSWITCH_NAME", value_name = "HOST")]
    pub name: Option<String>,
    /// Address of this host's tunnels, or the interface that has it; without it there are no overlay networks.
    #[arg(long, env = "VSWITCH_ADVERTISE", value_name = "IP|INTERFACE")]
    pub advertise: Option<String>,
    /// Where hosts share state: consul://HOST:8500/PREFIX, or file:// for this host alone [default: file://].
    #[arg(long, env = "VSWITCH_STORE", value_name = "URL")]
    pub store: Option<String>,
    /// Where this host's own state is kept [default: /var/lib/vswitch].
    #[arg(long, env = "VSWITCH_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The API's socket [default: /run/vswitch/vswitchd.sock].
    #[arg(long, env = "VSWITCH_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Configuration file: the same words as the flags, `_` in place of `-`.
    #[arg(long, env = "VSWITCH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// UDP port of the tunnels [default: 4789].
    #[arg(long, env = "VSWITCH_VXLAN_PORT", value_name = "PORT")]
    pub vxlan_port: Option<u16>,
    /// Interfaces that lead outside: all that can (auto), no one (none), or these [default: auto].
    #[arg(long, env = "VSWITCH_UPLINK", value_name = "auto|none|INTERFACE,...")]
    pub uplink: Option<String>,
    /// How the switch's packets come from these interfaces: by the host's link (tc), or by AF_XDP (xdp) [default: tc].
    #[arg(long, env = "VSWITCH_UPLINK_FORM", value_name = "tc|xdp")]
    pub uplink_form: Option<String>,
    /// Name of the host's own link to the switch [default: vsw0].
    #[arg(long, env = "VSWITCH_HOST_LINK", value_name = "NAME")]
    pub host_link: Option<String>,
    /// Seconds after which the addresses of a lost host are free again [default: 600].
    #[arg(long, env = "VSWITCH_LEASE_TIME", value_name = "SECONDS")]
    pub lease_time: Option<u64>,
    /// Whom names of the outside are asked for: addresses, with a port if it is not 53 [default: those in
    /// /etc/resolv.conf].
    #[arg(long, env = "VSWITCH_DNS_UPSTREAMS", value_name = "IP[:PORT]", value_delimiter = ',')]
    pub dns_upstreams: Option<Vec<String>>,
    /// Where Docker finds its network driver [default: /run/docker/plugins/vswitch.sock, where that can be made].
    #[arg(long, env = "VSWITCH_DOCKER_PLUGIN", value_name = "PATH|none")]
    pub docker_plugin: Option<String>,
    /// Where Docker's engine tells the names of its containers [default: /run/docker.sock].
    #[arg(long, env = "VSWITCH_DOCKER_API", value_name = "PATH")]
    pub docker_api: Option<PathBuf>,
    /// MiB of memory that AF_XDP ports share; taken when the first one is made [default: 64].
    #[arg(long, env = "VSWITCH_XDP_MEMORY", value_name = "MIB")]
    pub xdp_memory: Option<usize>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,store=debug` [default: info].
    #[arg(long, env = "VSWITCH_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Read all of this, say what is wrong with it, and end.
    #[arg(long)]
    pub check_config: bool,
}

/// Longest path of a socket, in bytes (sun_path of unix(7), less what is put behind it while it is made).
const LONGEST_SOCKET: usize = 107 - ".lock".len();

const EXAMPLES: &str = "Examples:
  vswitchd
  vswitchd --name host1 --advertise eth0 --store consul://127.0.0.1:8500/vswitch
  vswitchd --check-config";

/// The configuration file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    advertise: Option<String>,
    store: Option<String>,
    state_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    vxlan_port: Option<u16>,
    uplink: Option<String>,
    uplink_form: Option<String>,
    host_link: Option<String>,
    lease_time: Option<u64>,
    dns_upstreams: Option<Vec<String>>,
    docker_plugin: Option<String>,
    docker_api: Option<PathBuf>,
    xdp_memory: Option<usize>,
    log_level: Option<String>,
}

/// Everything, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `None`: the host name.
    pub name: Option<String>,
    /// An IP address or an interface's name.
    pub advertise: Option<String>,
    /// The store's URL.
    pub store: String,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The API's socket.
    pub socket: PathBuf,
    /// UDP port of the tunnels.
    pub vxlan_port: u16,
    /// What leads outside.
    pub uplink: Selection,
    /// How packets come from there.
    pub uplink_form: Form,
    /// The name of the host's link.
    pub host_link: String,
    /// In seconds, 1 at the least.
    pub lease_time: u64,
    /// Whom names of the outside are asked for.
    pub upstreams: Upstreams,
    /// Where Docker finds its network driver.
    pub docker_plugin: DockerPlugin,
    /// The socket of Docker's engine.
    pub docker_api: PathBuf,
    /// In MiB.
    pub xdp_memory: usize,
    /// A filter of the log.
    pub log_level: String,
    /// What is allowed and yet not good.
    pub warnings: Vec<String>,
}

/// The socket of Docker's network driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DockerPlugin {
    /// There is none.
    None,
    /// The usual one, if it can be made.
    Usual,
    /// This one.
    At(PathBuf),
}

/// configuration {path}: {why}
#[derive(Debug, thiserror::Error)]
#[error("configuration {}: {why}", path.display())]
pub struct Error {
    /// The file, or the flag.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
}

impl Config {
    /// Reads the file and puts everything together.
    ///
    /// # Errors
    /// When the file cannot be read or has a key that is not known, or a value makes no sense.
    pub fn load(arguments: Arguments) -> Result<Config, Error> {
        let path = arguments.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && arguments.config.is_none() => String::new(),
            Err(error) => return Err(Error { path, why: error.to_string() }),
        };
        let open = std::fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0);
        let mut config = Config::merge(arguments, &text, &path)?;
        if open && text.contains("token=") {
            config.warnings.push(format!("{} holds a token and everybody may read it: chmod o= it", path.display()));
        }
        Ok(config)
    }

    fn merge(arguments: Arguments, text: &str, path: &Path) -> Result<Config, Error> {
        let failed = |why: String| Error { path: path.into(), why };
        let file: File = toml::from_str(text).map_err(|error| failed(error.to_string()))?;
        let upstreams = match arguments.dns_upstreams.or(file.dns_upstreams) {
            Some(texts) => Upstreams::parse(&texts).map_err(|why| failed(format!("dns_upstreams: {why}")))?,
            None => Upstreams::default(),
        };
        let config = Config {
            upstreams,
            name: arguments.name.or(file.name),
            advertise: arguments.advertise.or(file.advertise),
            store: arguments.store.or(file.store).unwrap_or_else(|| "file://".into()),
            state_dir: arguments.state_dir.or(file.state_dir).unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            socket: arguments.socket.or(file.socket).unwrap_or_else(|| crate::client::DEFAULT_SOCKET.into()),
            vxlan_port: arguments.vxlan_port.or(file.vxlan_port).unwrap_or(vxlan::PORT),
            uplink: arguments.uplink.or(file.uplink).map(|text| Selection::read(&text)).unwrap_or_default(),
            uplink_form: match arguments.uplink_form.or(file.uplink_form).as_deref() {
                None | Some("tc") => Form::Tc,
                Some("xdp") => Form::Xdp,
                Some(other) => return Err(failed(format!("uplink_form: {other:?} is no form; give tc or xdp"))),
            },
            host_link: arguments.host_link.or(file.host_link).unwrap_or_else(|| uplink::NAME.into()),
            lease_time: arguments.lease_time.or(file.lease_time).unwrap_or(600),
            docker_plugin: match arguments.docker_plugin.or(file.docker_plugin).as_deref() {
                None => DockerPlugin::Usual,
                Some("none") => DockerPlugin::None,
                Some(path) => DockerPlugin::At(path.into()),
            },
            docker_api: arguments.docker_api.or(file.docker_api).unwrap_or_else(|| docker::DEFAULT_API.into()),
            xdp_memory: arguments.xdp_memory.or(file.xdp_memory).unwrap_or(64),
            log_level: arguments.log_level.or(file.log_level).unwrap_or_else(|| "info".into()),
            warnings: Vec::new(),
        };
        if config.lease_time == 0 {
            return Err(failed("lease_time: 0 s would free the addresses of a host at once; give 1 or more".into()));
        }
        if !(1..=8192).contains(&config.xdp_memory) {
            return Err(failed(format!("xdp_memory: {} is out of range; give 1 to 8192 (MiB)", config.xdp_memory)));
        }
        if !crate::sandbox::is_name(&config.host_link) {
            let why =
                format!("host_link: {:?} is no name for a link; give 1 to 15 letters and digits", config.host_link);
            return Err(failed(why));
        }
        if let Some(why) = unfit(&config.uplink, &config.host_link) {
            return Err(failed(format!("uplink: {why}; give auto, none, or interfaces with commas between them")));
        }
        if let DockerPlugin::At(path) = &config.docker_plugin
            && !path.is_absolute()
        {
            let why = format!("docker_plugin: {} is neither none nor an absolute path", path.display());
            return Err(failed(why));
        }
        if let Some(advertise) = &config.advertise
            && advertise.parse::<std::net::IpAddr>().is_err()
            && !crate::sandbox::is_name(advertise)
        {
            let why =
                format!("advertise: {advertise:?} is no address and no interface; give an address without length");
            return Err(failed(why));
        }
        if config.socket.as_os_str().len() > LONGEST_SOCKET || config.socket.as_os_str().is_empty() {
            return Err(failed(format!("socket: a path of 1 to {LONGEST_SOCKET} bytes is wanted")));
        }
        if config.vxlan_port == 0 {
            return Err(failed("vxlan_port: 0 is no port; give 1 to 65535".into()));
        }
        Ok(config)
    }
}

/// What is wrong with the interfaces that are to lead outside, if anything.
fn unfit(uplink: &Selection, host_link: &str) -> Option<String> {
    let Selection::Named(names) = uplink else { return None };
    if names.is_empty() {
        return Some("no interface is named".into());
    }
    let bad = |name: &&String| !crate::sandbox::is_name(name) || matches!(name.as_str(), "auto" | "none");
    let name = names.iter().find(|name| bad(name) || *name == host_link)?;
    Some(match name == host_link {
        true => format!("{name} is the host's own link to the switch"),
        false => format!("{name:?} cannot be one of several interfaces"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn merge(arguments: &[&str], text: &str) -> Result<Config, Error> {
        let arguments = Arguments::parse_from([&["vswitchd"], arguments].concat());
        Config::merge(arguments, text, Path::new("test.toml"))
    }

    #[test]
    fn flags_win_over_the_file_over_the_defaults() {
        let text = "name = 'a'\nstore = 'consul://x'\nlease_time = 5\n";
        let config = merge(&["--name", "b", "--vxlan-port", "4790"], text).unwrap();
        assert_eq!((config.name.as_deref(), config.store.as_str()), (Some("b"), "consul://x"));
        assert_eq!((config.vxlan_port, config.lease_time), (4790, 5));
        assert_eq!(config.state_dir, Path::new(DEFAULT_STATE_DIR));
        assert_eq!((config.uplink, config.host_link.as_str()), (Selection::Auto, "vsw0"));
        assert_eq!(config.upstreams, Upstreams::default());
        let servers = |texts: &[&str]| Upstreams::Fixed(texts.iter().map(|text| text.parse().unwrap()).collect());
        let config = merge(&[], "dns_upstreams = ['192.0.2.1', '[fd00::1]:5353']").unwrap();
        assert_eq!(config.upstreams, servers(&["192.0.2.1:53", "[fd00::1]:5353"]));
        let config = merge(&["--dns-upstreams", "192.0.2.1,192.0.2.2"], "dns_upstreams = ['x']").unwrap();
        assert_eq!(config.upstreams, servers(&["192.0.2.1:53", "192.0.2.2:53"]));
        let file = "uplink = 'none'\nhost_link = 'sw'\nuplink_form = 'xdp'\n";
        let config = merge(&["--uplink", "eth0,eth1"], file).unwrap();
        let named = Selection::Named(vec!["eth0".into(), "eth1".into()]);
        assert_eq!((config.uplink, config.host_link.as_str()), (named, "sw"));
        assert_eq!(config.uplink_form, Form::Xdp);
    }

    #[test]
    fn unknown_keys_and_senseless_values_are_refused() {
        assert!(merge(&[], "colour = 1").unwrap_err().to_string().contains("colour"));
        assert!(merge(&[], "vxlan_port = 70000").is_err());
        assert!(merge(&["--lease-time", "0"], "").is_err());
        assert!(merge(&["--xdp-memory", "0"], "").unwrap_err().to_string().contains("xdp_memory: 0"));
        assert!(merge(&["--uplink-form", "ebpf"], "").unwrap_err().to_string().contains("give tc or xdp"));
        assert!(merge(&["--host-link", "a/b"], "").unwrap_err().to_string().contains("a/b"));
        for bad in ["", ",", "eth0,none", "auto,eth0", "lo", "a/b", "eth0,vsw0"] {
            let said = merge(&["--uplink", bad], "").unwrap_err().to_string();
            assert!(said.contains("uplink: ") && said.contains("give auto, none"), "{bad}: {said}");
        }
        for bad in ["", "x", "192.0.2.1,0.0.0.0"] {
            let said = merge(&["--dns-upstreams", bad], "").unwrap_err().to_string();
            assert!(said.contains("dns_upstreams: ") && said.contains("give "), "{bad}: {said}");
        }
        for (given, plugin) in [("none", DockerPlugin::None), ("/a/b.sock", DockerPlugin::At("/a/b.sock".into()))] {
            assert_eq!(merge(&["--docker-plugin", given], "").unwrap().docker_plugin, plugin);
        }
        for bad in ["", "10.0.0.1/24", "a name"] {
            assert!(merge(&["--advertise", bad], "").unwrap_err().to_string().contains("advertise: "), "{bad}");
        }
        assert!(
            merge(&["--socket", &format!("/{}", "x".repeat(107))], "").unwrap_err().to_string().contains("socket: ")
        );
        let missing = Arguments { config: Some("/nowhere/x.toml".into()), ..Arguments::default() };
        assert!(Config::load(missing).unwrap_err().to_string().contains("/nowhere/x.toml"));
    }

    /// The file that packages install.
    const INSTALLED: &str = include_str!("../../packaging/vswitchd.toml");

    /// What a file may have: the reader says it when it meets what a file may not have.
    fn known_keys() -> BTreeSet<String> {
        let refused = toml::from_str::<File>("no_key = 1").unwrap_err().to_string();
        let expected = refused.split("expected one of").nth(1).unwrap();
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_flag_is_a_key_of_the_file() {
        use clap::CommandFactory;
        let flags: BTreeSet<String> = Arguments::command()
            .get_arguments()
            .map(|argument| argument.get_id().to_string())
            .filter(|name| !matches!(name.as_str(), "config" | "check_config"))
            .collect();
        assert_eq!(flags, known_keys());
    }

    #[test]
    fn the_installed_file_explains_every_key_and_changes_nothing() {
        let arguments = Arguments::parse_from(["vswitchd"]);
        assert_eq!(merge(&[], INSTALLED).unwrap(), Config::merge(arguments, "", Path::new("")).unwrap());
        let set: String = INSTALLED
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with(' '))
            .map(|line| format!("{line}\n"))
            .collect();
        let keys: BTreeSet<String> = set.parse::<toml::Table>().unwrap().keys().cloned().collect();
        assert_eq!(keys, known_keys());
        merge(&[], &set).unwrap();
    }

    #[test]
    fn a_token_that_everybody_may_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        std::fs::write(&path, "store = 'consul://x/y?token=z'").unwrap();
        let warnings = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Config::load(Arguments { config: Some(path.clone()), ..Arguments::default() }).unwrap().warnings
        };
        assert_eq!((warnings(0o644).len(), warnings(0o640).len()), (1, 0));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
