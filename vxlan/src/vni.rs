//! The VXLAN network identifier.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A network identifier, 1 to 16,777,215.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

/// VNI {0} is out of range: 1 to 16777215
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("VNI {0} is out of range: 1 to 16777215")]
pub struct BadVni(u32);

impl Vni {
    /// Checks the range.
    ///
    /// # Errors
    /// [`BadVni`] for 0 and for more than 24 bits.
    pub const fn new(number: u32) -> Result<Vni, BadVni> {
        if number == 0 || number > 0x00ff_ffff { Err(BadVni(number)) } else { Ok(Vni(number)) }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Vni {
    type Error = BadVni;

    fn try_from(number: u32) -> Result<Vni, BadVni> {
        Vni::new(number)
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> u32 {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_24_bits_without_zero() {
        assert_eq!(Vni::new(0), Err(BadVni(0)));
        assert_eq!(Vni::new(1).map(Vni::get), Ok(1));
        assert_eq!(Vni::new(0x00ff_ffff).map(Vni::get), Ok(0x00ff_ffff));
        assert_eq!(Vni::new(0x0100_0000), Err(BadVni(0x0100_0000)));
    }
}
