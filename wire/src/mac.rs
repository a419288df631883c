//! MAC addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 48-bit MAC address, in the order of the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// `{0}` is not a MAC address: six hex pairs with colons are wanted, such as 02:42:0a:0a:0a:02
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: six hex pairs with colons are wanted, such as 02:42:0a:0a:0a:02")]
pub struct ParseMacError(String);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
    /// 00:00:00:00:00:00, which no station owns.
    pub const ZERO: Mac = Mac([0; 6]);

    /// Docker's derived address: `02:42` and the four bytes of the IPv4 address.
    pub const fn from_ipv4(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([0x02, 0x42, a, b, c, d])
    }

    /// Whether the group bit is set: multicast or broadcast.
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether one station can own it: neither a group address nor all zero.
    #[inline]
    pub fn is_station(self) -> bool {
        !self.is_group() && self != Mac::ZERO
    }

    /// 01:80:C2:00:00:00 to 0F, which a bridge never forwards (IEEE 802.1Q table 8-1).
    #[inline]
    pub const fn is_link_local_control(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xc2, 0, 0, last] if last <= 0x0f)
    }

    /// As the low 48 bits of a number, first byte highest.
    #[inline]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The inverse of [`Mac::to_u64`]; the high 16 bits are ignored.
    #[inline]
    pub const fn from_u64(number: u64) -> Mac {
        let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
        Mac([a, b, c, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Mac, ParseMacError> {
        let wrong = || ParseMacError(text.to_owned());
        let mut bytes = [0; 6];
        let mut pairs = text.split([':', '-']);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or_else(wrong)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        if pairs.next().is_some() {
            return Err(wrong());
        }
        Ok(Mac(bytes))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let mac = Mac::from_ipv4(Ipv4Addr::new(10, 10, 10, 2));
        assert_eq!(mac.to_string(), "02:42:0a:0a:0a:02");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!(Mac::from_u64(mac.to_u64()), mac);
    }

    #[test]
    fn bad_text_is_refused() {
        for text in ["", "02:42", "02:42:0a:0a:0a:02:03", "2:42:0a:0a:0a:02", "gg:42:0a:0a:0a:02", "+2:42:0a:0a:0a:02"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn br_07_control_block_is_sixteen_addresses() {
        assert!(Mac([0x01, 0x80, 0xc2, 0, 0, 0x0f]).is_link_local_control());
        assert!(!Mac([0x01, 0x80, 0xc2, 0, 0, 0x10]).is_link_local_control());
        assert!(Mac::BROADCAST.is_group() && !Mac::ZERO.is_station());
    }
}
