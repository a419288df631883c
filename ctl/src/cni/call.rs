//! How the plugin is called: the CNI_ variables of its environment. Pure; whether what they name exists is looked at
//! later. DEL takes what others refuse, because it has to work on what is half gone.

use std::net::IpAddr;
use std::path::PathBuf;

use wire::Mac;

use super::error::{ENVIRONMENT, Failure};
use crate::sandbox::is_name;

/// The longest container id, in bytes.
const ID: usize = 128;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Attach a container.
    Add,
    /// Detach it.
    Del,
    /// Look whether it is still as it was attached.
    Check,
    /// Detach what a runtime no longer knows.
    Gc,
    /// Say whether containers can be attached.
    Status,
    /// Say which versions are spoken.
    Version,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is asked for.
    pub verb: Verb,
    /// CNI_CONTAINERID; empty for verbs that have none.
    pub container_id: String,
    /// CNI_NETNS; for DEL it may be missing.
    pub netns: Option<PathBuf>,
    /// CNI_IFNAME; empty for verbs that have none.
    pub ifname: String,
    /// CNI_ARGS.
    pub args: Args,
    /// CNI_NETNS_OVERRIDE: the plugin's own namespace is no mistake.
    pub own_netns: bool,
}

/// What is known of CNI_ARGS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// A fixed address.
    pub ip: Option<IpAddr>,
    /// A fixed MAC address.
    pub mac: Option<Mac>,
    /// The pod's name; podman gives its container's.
    pub pod: Option<String>,
    /// The pod's namespace.
    pub namespace: Option<String>,
}

impl Call {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`ENVIRONMENT`], naming every variable that is missing, or the first that is wrong.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Call, Failure> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let bad = |msg: String| Failure::new(ENVIRONMENT, msg);
        let verb = match set("CNI_COMMAND").as_deref() {
            Some("ADD") => Verb::Add,
            Some("DEL") => Verb::Del,
            Some("CHECK") => Verb::Check,
            Some("GC") => Verb::Gc,
            Some("STATUS") => Verb::Status,
            Some("VERSION") => Verb::Version,
            Some(other) => {
                let shown: String = other.chars().take(32).collect();
                return Err(bad(format!("CNI_COMMAND: {shown:?} is not known"))
                    .help("ADD, DEL, CHECK, GC, STATUS and VERSION are"));
            }
            None => {
                return Err(bad("required env variables [CNI_COMMAND] missing".into())
                    .help("this program is a CNI plugin: container runtimes call it"));
            }
        };
        let own_netns =
            set("CNI_NETNS_OVERRIDE").is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
        let mut call = Call {
            verb,
            container_id: String::new(),
            netns: None,
            ifname: String::new(),
            args: Args::default(),
            own_netns,
        };
        if matches!(verb, Verb::Gc | Verb::Status | Verb::Version) {
            return Ok(call);
        }
        let needed: &[&str] = match verb {
            Verb::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            _ => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
        };
        let missing: Vec<&str> = needed.iter().copied().filter(|name| set(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(bad(format!("required env variables [{}] missing", missing.join(","))));
        }
        call.container_id = set("CNI_CONTAINERID").unwrap_or_default();
        // What was never attached is removed already.
        let strict = verb != Verb::Del;
        if strict && !is_plain(&call.container_id) {
            return Err(bad(
                "CNI_CONTAINERID: a letter or digit, then letters, digits, _ . - are wanted, at most 128".into()
            ));
        }
        call.ifname = set("CNI_IFNAME").unwrap_or_default();
        if strict && !is_name(&call.ifname) {
            return Err(bad("CNI_IFNAME: 1 to 15 bytes are wanted, without spaces, `/`, `:` and `%`".into()));
        }
        call.netns = set("CNI_NETNS").map(PathBuf::from);
        if verb == Verb::Add {
            if call.netns.as_ref().is_some_and(|path| !path.is_absolute()) {
                return Err(bad("CNI_NETNS: not an absolute path".into()));
            }
            call.args = Args::read(&set("CNI_ARGS").unwrap_or_default())?;
        }
        Ok(call)
    }
}

/// Letters, digits, `_`, `.` and `-`, beginning with a letter or digit.
fn is_plain(id: &str) -> bool {
    id.len() <= ID
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

impl Args {
    fn read(text: &str) -> Result<Args, Failure> {
        let bad = |pair: &str, why: &str| {
            let shown: String = pair.chars().take(64).collect();
            Failure::new(ENVIRONMENT, format!("CNI_ARGS: {shown:?} {why}"))
        };
        let mut args = Args::default();
        let (mut unknown, mut ignore) = (None, false);
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| bad(pair, "is not KEY=VALUE"))?;
            match key {
                "IgnoreUnknown" => ignore = value == "1" || value.eq_ignore_ascii_case("true"),
                // CRI-O and others write the prefix length of the subnet behind it.
                "IP" => {
                    let address = value.split_once('/').map_or(value, |(address, _)| address);
                    args.ip = Some(address.parse().map_err(|_| bad(pair, "is not an IP address"))?);
                }
                "MAC" => args.mac = Some(value.parse().map_err(|_| bad(pair, "is not a MAC address"))?),
                "K8S_POD_NAME" => args.pod = Some(value.to_owned()).filter(|name| !name.is_empty()),
                "K8S_POD_NAMESPACE" => args.namespace = Some(value.to_owned()).filter(|name| !name.is_empty()),
                "K8S_POD_INFRA_CONTAINER_ID" | "K8S_POD_UID" => {}
                _ => unknown = unknown.or(Some(pair)),
            }
        }
        match unknown {
            Some(pair) if !ignore => Err(bad(pair, "is not known").help("leave it out, or add IgnoreUnknown=1")),
            _ => Ok(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Call, Failure> {
        Call::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    const FULL: [(&str, &str); 4] =
        [("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c0ffee"), ("CNI_NETNS", "/run/netns/x"), ("CNI_IFNAME", "eth0")];

    fn with(name: &'static str, value: &'static str) -> Result<Call, Failure> {
        let mut variables: Vec<_> = FULL.into_iter().filter(|(key, _)| *key != name).collect();
        variables.push((name, value));
        read(&variables)
    }

    #[test]
    fn a_whole_call() {
        let args = "K8S_POD_UID=1;IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME=web-0;NEW=x;IP=10.0.0.9/24;\
                    MAC=02:42:0a:00:00:09;K8S_POD_INFRA_CONTAINER_ID=c0ffee";
        let call = with("CNI_ARGS", args).unwrap();
        assert_eq!((call.verb, call.container_id.as_str(), call.ifname.as_str()), (Verb::Add, "c0ffee", "eth0"));
        assert_eq!((call.args.pod.as_deref(), call.args.namespace.as_deref()), (Some("web-0"), Some("prod")));
        assert_eq!(call.args.ip, Some("10.0.0.9".parse().unwrap()));
        assert_eq!(call.args.mac.map(|mac| mac.to_string()).as_deref(), Some("02:42:0a:00:00:09"));
        assert!(!call.own_netns && with("CNI_NETNS_OVERRIDE", "TRUE").unwrap().own_netns);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let msg = |call: Result<Call, Failure>| {
            let failure = call.unwrap_err();
            assert_eq!(failure.code, ENVIRONMENT);
            failure.msg
        };
        assert!(msg(read(&[])).contains("[CNI_COMMAND]"));
        assert!(msg(with("CNI_COMMAND", "ATTACH")).contains("\"ATTACH\""));
        let none = msg(read(&FULL[..1]));
        assert!(none.contains("[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME]"), "{none}");
        for id in ["-x", "a/b", "a b", "ä"] {
            assert!(msg(with("CNI_CONTAINERID", id)).contains("CNI_CONTAINERID"), "{id}");
        }
        for ifname in ["..", "a/b", "a:b", "sixteen-bytes-xx", "a b"] {
            assert!(msg(with("CNI_IFNAME", ifname)).contains("CNI_IFNAME"), "{ifname}");
        }
        assert!(msg(with("CNI_NETNS", "run/netns/x")).contains("absolute"));
        assert!(msg(with("CNI_ARGS", "K8S_POD_NAME")).contains("KEY=VALUE"));
        assert!(msg(with("CNI_ARGS", "IP=10.0.0.999")).contains("IP address"));
        assert!(msg(with("CNI_ARGS", "MAC=zz")).contains("MAC address"));
        assert!(msg(with("CNI_ARGS", "NEW=x")).contains("not known"));
    }

    #[test]
    fn each_verb_needs_its_own() {
        let del = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "c"), ("CNI_IFNAME", "eth0"), ("CNI_ARGS", "junk")];
        assert_eq!(read(&del).unwrap().netns, None);
        let odd = [("CNI_COMMAND", "DEL"), ("CNI_CONTAINERID", "-a/b"), ("CNI_IFNAME", "a b")];
        assert_eq!(read(&odd).unwrap().container_id, "-a/b");
        assert!(read(&del[..2]).unwrap_err().msg.contains("CNI_IFNAME"));
        for (verb, name) in [(Verb::Gc, "GC"), (Verb::Status, "STATUS"), (Verb::Version, "VERSION")] {
            assert_eq!(read(&[("CNI_COMMAND", name), ("CNI_IFNAME", "a b")]).unwrap().verb, verb);
        }
        assert!(read(&[("CNI_COMMAND", "CHECK"), FULL[1], FULL[3]]).unwrap_err().msg.contains("[CNI_NETNS]"));
    }

    proptest! {
        #[test]
        fn any_environment_is_a_call_or_an_error(
            values in prop::collection::vec(prop::option::of("[A-Za-z0-9=;./:]{0,20}"), 5),
        ) {
            let names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_NETNS_OVERRIDE"];
            let _ = Call::read(|name| match name {
                "CNI_COMMAND" => Some("ADD".into()),
                _ => values[names.iter().position(|known| *known == name)?].clone(),
            });
        }
    }
}
