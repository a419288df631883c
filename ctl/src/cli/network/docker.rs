//! Options of `docker network` that ask for what this switch does otherwise. They are understood, so that scripts get
//! either what they asked for or the reason why not; none is taken silently.

use clap::Args;

use crate::cli::error::Error;
use crate::cli::value::Pair;

/// Of `docker network create`.
#[derive(Debug, Default, Args)]
pub(super) struct CreateArgs {
    /// IPv4 is always there, unless every subnet given is an IPv6 one
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    ipv4: Option<bool>,
    /// `local` or `global`, which the driver decides
    #[arg(long, hide = true)]
    scope: Option<String>,
    /// Addresses are always vswitchd's to give
    #[arg(long, hide = true)]
    ipam_driver: Option<String>,
    /// Options of another IPAM driver
    #[arg(long = "ipam-opt", hide = true)]
    ipam_options: Vec<Pair>,
    #[arg(long, hide = true)]
    config_from: Option<String>,
    #[arg(long, hide = true)]
    config_only: bool,
    #[arg(long, hide = true)]
    ingress: bool,
}

impl CreateArgs {
    /// What cannot be had of these for a network of this driver.
    pub(super) fn check(&self, driver: &str) -> Result<(), Error> {
        let scope = if driver == "overlay" { "global" } else { "local" };
        if let Some(asked) = self.scope.as_deref()
            && asked != scope
            && !(asked == "swarm" && scope == "global")
        {
            return refused(
                format!("--scope {asked}: networks of the driver {driver} are {scope}"),
                "leave it out; -d overlay is for all hosts, -d bridge for this one",
            );
        }
        if self.ipv4 == Some(false) {
            return refused("--ipv4=false: this is not how to leave IPv4 out", "give IPv6 subnets alone with --subnet");
        }
        match self.ipam_driver.as_deref() {
            None | Some("default" | "vswitch") => {}
            Some(other) => {
                return refused(format!("--ipam-driver {other}: vswitchd gives the addresses itself"), "leave it out");
            }
        }
        if let Some(Pair { key, .. }) = self.ipam_options.first() {
            return refused(
                format!("--ipam-opt {key}: the IPAM driver has no options"),
                "use --subnet, --ip-range, --gateway and --aux-address",
            );
        }
        let flags = [(self.config_from.is_some(), "--config-from"), (self.config_only, "--config-only")];
        if let Some((_, flag)) = flags.into_iter().find(|(given, _)| *given) {
            return refused(
                format!("{flag}: settings cannot be kept apart from their network"),
                "give the settings with the network; an overlay is created once for all hosts",
            );
        }
        if self.ingress {
            return refused(
                "--ingress: there is no network for published ports, they need none",
                "publish with `vsctl publish`",
            );
        }
        Ok(())
    }
}

/// Of `docker network connect`.
#[derive(Debug, Default, Args)]
pub(crate) struct ConnectArgs {
    #[arg(long = "link", hide = true, value_name = "CONTAINER:ALIAS")]
    links: Vec<String>,
    #[arg(long = "link-local-ip", hide = true)]
    link_local: Vec<String>,
    #[arg(long = "driver-opt", hide = true)]
    driver_options: Vec<Pair>,
    #[arg(long, hide = true, allow_negative_numbers = true)]
    gw_priority: Option<i32>,
}

impl ConnectArgs {
    /// What cannot be had of these.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(link) = self.links.first() {
            return refused(
                format!("--link {link}: a network has no private names"),
                "give the other container an --alias in this network, by which all find it",
            );
        }
        if let Some(address) = self.link_local.first() {
            return refused(
                format!("--link-local-ip {address}: link-local addresses are the sandbox's own business"),
                "set it with `ip address add` inside",
            );
        }
        if let Some(Pair { key, .. }) = self.driver_options.first() {
            return refused(
                format!("--driver-opt {key}: it is not known"),
                "see `vsctl connect --help` for rates, VLANs and names",
            );
        }
        if let Some(priority) = self.gw_priority {
            return refused(
                format!("--gw-priority {priority}: the first network that leads outside has the default route"),
                "connect in that order, or change the route inside",
            );
        }
        Ok(())
    }
}

fn refused(error: impl Into<String>, remedy: &str) -> Result<(), Error> {
    Err(Error::Usage { error: error.into(), remedy: remedy.to_owned() })
}
