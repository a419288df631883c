//! What a port has to do with VLANs, as it is asked for, kept and shown. A record that breaks the rules cannot be read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use switch::VlanMode;

/// Access or trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Fields", into = "Fields")]
pub enum PortVlan {
    /// In one VLAN, without tags.
    Access {
        /// 1 to 4094.
        access: Vid,
    },
    /// In several, with tags.
    Trunk {
        /// They.
        trunk: Vids,
        /// The VLAN of frames without a tag; 0 is the untagged network. None: such frames are dropped.
        native: Option<u16>,
    },
}

/// How it is written: `access` alone, or `trunk` with or without `native`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trunk: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native: Option<u16>,
}

impl TryFrom<Fields> for PortVlan {
    type Error = String;

    fn try_from(Fields { access, trunk, native }: Fields) -> Result<PortVlan, String> {
        if let Some(native) = native.filter(|native| *native > 4094) {
            return Err(format!("native VLAN {native} is out of range: 0 to 4094"));
        }
        match (access, trunk) {
            (Some(access), None) if native.is_none() => Ok(PortVlan::Access { access: Vid::try_from(access)? }),
            (None, Some(trunk)) => Ok(PortVlan::Trunk { trunk: trunk.parse()?, native }),
            _ => Err("access alone is wanted, or trunk with or without native".into()),
        }
    }
}

impl From<PortVlan> for Fields {
    fn from(vlan: PortVlan) -> Fields {
        match vlan {
            PortVlan::Access { access } => Fields { access: Some(access.0), trunk: None, native: None },
            PortVlan::Trunk { trunk, native } => Fields { access: None, trunk: Some(trunk.to_string()), native },
        }
    }
}

/// A VLAN, 1 to 4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vid(u16);

/// Some VLANs, as in `10,20-29`; kept sorted and joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vids(Vec<(u16, u16)>);

impl PortVlan {
    /// As the engine takes it.
    pub fn mode(&self) -> VlanMode {
        match self {
            PortVlan::Access { access } => VlanMode::Access(access.0),
            PortVlan::Trunk { trunk, native } => VlanMode::Trunk {
                tagged: trunk.0.iter().flat_map(|(first, last)| *first..=*last).collect(),
                native: *native,
            },
        }
    }

    /// Whether others than the endpoint are behind the port, so that no guard can know who may speak there.
    pub fn is_trunk(&self) -> bool {
        matches!(self, PortVlan::Trunk { .. })
    }
}

impl fmt::Display for PortVlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortVlan::Access { access } => write!(f, "{}", access.0),
            PortVlan::Trunk { trunk, native: None } => write!(f, "trunk {trunk}"),
            PortVlan::Trunk { trunk, native: Some(native) } => write!(f, "trunk {trunk} native {native}"),
        }
    }
}

impl TryFrom<u16> for Vid {
    type Error = String;

    fn try_from(number: u16) -> Result<Vid, String> {
        match number {
            1..=4094 => Ok(Vid(number)),
            _ => Err(format!("VLAN {number} is out of range: 1 to 4094")),
        }
    }
}

impl FromStr for Vid {
    type Err = String;

    fn from_str(text: &str) -> Result<Vid, String> {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = plain.then(|| text.parse::<u16>().ok()).flatten();
        number.ok_or_else(|| format!("{text:?} is no VLAN: 1 to 4094 is wanted")).and_then(Vid::try_from)
    }
}

impl FromStr for Vids {
    type Err = String;

    fn from_str(text: &str) -> Result<Vids, String> {
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<Vid>()?.0, last.parse::<Vid>()?.0);
            if first > last {
                return Err(format!("{part:?} ends before it begins"));
            }
            ranges.push((first, last));
        }
        ranges.sort_unstable();
        let mut joined: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Ok(Vids(joined))
    }
}

impl fmt::Display for Vids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_joined() {
        let read = |text: &str| text.parse::<Vids>().map(|vids| vids.to_string());
        assert_eq!(read("10"), Ok("10".into()));
        assert_eq!(read("20-29,10,30,22-40,4094"), Ok("10,20-40,4094".into()));
        for bad in ["", ",", "0", "4095", "10-", "-10", "20-10", "1,,2", "+1", "x", "10-20-30", "99999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_is_what_was_said() {
        let trunk = PortVlan::Trunk { trunk: "10,20-29".parse().unwrap(), native: Some(5) };
        let text = serde_json::to_string(&trunk).unwrap();
        assert_eq!(text, r#"{"trunk":"10,20-29","native":5}"#);
        assert_eq!(serde_json::from_str::<PortVlan>(&text).unwrap(), trunk);
        assert_eq!(trunk.to_string(), "trunk 10,20-29 native 5");
        let access: PortVlan = serde_json::from_str(r#"{"access":10}"#).unwrap();
        assert_eq!((access.mode(), access.to_string()), (VlanMode::Access(10), "10".into()));
        for bad in [r#"{"access":0}"#, r#"{"access":4095}"#, r#"{"trunk":"0"}"#, r#"{"access":1,"trunk":"2"}"#, "{}"] {
            assert!(serde_json::from_str::<PortVlan>(bad).is_err(), "{bad}");
        }
        let VlanMode::Trunk { tagged, native } = trunk.mode() else { panic!("a trunk") };
        assert!(tagged.contains(10) && tagged.contains(29) && !tagged.contains(30) && native == Some(5));
    }
}
