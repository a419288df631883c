//! The versions of the specification that are spoken. What a version changes is asked here and nowhere else.

use std::str::FromStr;

use serde_json::{Value, json};

use super::error::{Failure, INCOMPATIBLE};

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.3.0
    V0_3_0,
    /// 0.3.1
    V0_3_1,
    /// 0.4.0: CHECK.
    V0_4_0,
    /// 1.0.0
    V1_0_0,
    /// 1.1.0: GC and STATUS, and the MTU in results.
    V1_1_0,
}

/// With their texts, the oldest first.
const ALL: [(Version, &str); 5] = [
    (Version::V0_3_0, "0.3.0"),
    (Version::V0_3_1, "0.3.1"),
    (Version::V0_4_0, "0.4.0"),
    (Version::V1_0_0, "1.0.0"),
    (Version::V1_1_0, "1.1.0"),
];

impl Version {
    /// As a config has it.
    pub fn text(self) -> &'static str {
        ALL.iter().find(|(version, _)| *version == self).map_or("", |(_, text)| text)
    }

    /// Refuses a verb that came later.
    ///
    /// # Errors
    /// [`INCOMPATIBLE`], naming both.
    pub fn has(self, verb: &str, since: Version) -> Result<(), Failure> {
        if self >= since {
            return Ok(());
        }
        let msg =
            format!("incompatible CNI versions: {verb} came with {}, the config has {}", since.text(), self.text());
        Err(Failure::new(INCOMPATIBLE, msg).help("raise the config's cniVersion"))
    }
}

impl FromStr for Version {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Version, Failure> {
        ALL.iter().find(|(_, known)| *known == text).map(|(version, _)| *version).ok_or_else(|| {
            let known: Vec<&str> = ALL.iter().map(|(_, text)| *text).collect();
            let shown: String = text.chars().take(32).collect();
            let msg = format!("incompatible CNI versions: config is {shown:?}, plugin supports {known:?}");
            Failure::new(INCOMPATIBLE, msg).help("set cniVersion to one of them")
        })
    }
}

/// The answer to VERSION.
pub fn supported() -> Value {
    let known: Vec<&str> = ALL.iter().map(|(_, text)| *text).collect();
    json!({ "cniVersion": Version::V1_1_0.text(), "supportedVersions": known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_known_by_their_text_and_in_order() {
        for (version, text) in ALL {
            assert_eq!((text.parse(), version.text()), (Ok(version), text));
        }
        assert!(ALL.is_sorted());
        for bad in ["", "0.2.0", "1.2.0", "1.0", "v1.0.0"] {
            assert_eq!(bad.parse::<Version>().unwrap_err().code, INCOMPATIBLE, "{bad}");
        }
        assert!(Version::V0_4_0.has("CHECK", Version::V0_4_0).is_ok());
        assert!(Version::V0_3_1.has("CHECK", Version::V0_4_0).unwrap_err().msg.contains("CHECK came with 0.4.0"));
        assert_eq!(supported()["supportedVersions"][4], supported()["cniVersion"]);
    }
}
