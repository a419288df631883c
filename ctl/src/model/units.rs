//! Rates and sizes as tc(8) writes them: `10mbit`, `1gbit`, `500kbit`, `64kb`. `0` or `none` is no limit.

/// Bits a second. A bare number is bits; `bps`, `kbps` and so on are bytes; `kibit` and the like count by 1024.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let units = [("", 1), ("bit", 1), ("bps", 8)];
    scaled(text, |unit| {
        let bare = units.iter().find(|(name, _)| *name == unit).map(|(_, bits)| *bits);
        bare.or_else(|| {
            let (name, bits) = [("bit", 1), ("bps", 8)].into_iter().find(|(name, _)| unit.ends_with(name))?;
            let prefix = unit.strip_suffix(name)?;
            let (power, base) = match prefix.strip_suffix('i') {
                Some(prefix) => (power(prefix)?, 1024),
                None => (power(prefix)?, 1000),
            };
            Some(bits * u64::pow(base, power))
        })
    })
    .ok_or_else(|| "expected a rate such as 10mbit, 1gbit, 500kbit or none".into())
}

/// Bytes. `kb` and the like count by 1024; `kbit` is bits.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let read = scaled(text, |unit| {
        let (prefix, bits) = match unit.strip_suffix("bit") {
            Some(prefix) if !prefix.is_empty() => (prefix, true),
            _ => (unit.strip_suffix('b').unwrap_or(unit), false),
        };
        let bytes = if prefix.is_empty() { 1 } else { u64::pow(1024, power(prefix)?) };
        Some(if bits { bytes / 8 } else { bytes })
    });
    read.ok_or_else(|| "expected a size such as 64kb, 1mb or 1500".into())
}

/// Packets a second.
pub(crate) fn packets(text: &str) -> Result<u64, String> {
    scaled(text, |unit| unit.is_empty().then_some(1))
        .ok_or_else(|| "expected a number of packets a second, or none".into())
}

/// A rate in the largest unit that keeps it whole.
pub(crate) fn show_rate(bits: u64) -> String {
    let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit")];
    let fit = units.into_iter().find(|(unit, _)| bits >= *unit && bits.is_multiple_of(*unit));
    fit.map_or_else(|| format!("{bits}bit"), |(unit, name)| format!("{}{name}", bits / unit))
}

fn power(prefix: &str) -> Option<u32> {
    ["k", "m", "g", "t"].iter().position(|name| *name == prefix).map(|at| at as u32 + 1)
}

/// A number, with a fraction of up to six digits, and a unit. What is less than one is none that could be meant: 0 is no limit.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    if text.eq_ignore_ascii_case("none") {
        return Some(0);
    }
    let text = text.to_ascii_lowercase();
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (number, name) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let millionths = format!("{fraction:0<6}").parse::<u128>().ok()?;
    let value = u128::from(whole.parse::<u64>().ok()?) * 1_000_000 + millionths;
    let scaled = u64::try_from(value.checked_mul(u128::from(unit(name)?))? / 1_000_000).ok()?;
    (scaled != 0 || value == 0).then_some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_tcs() {
        for (text, bits) in [
            ("10mbit", 10_000_000),
            ("1gbit", 1_000_000_000),
            ("500kbit", 500_000),
            ("1.5Mbit", 1_500_000),
            ("8000", 8_000),
            ("9bit", 9),
            ("1kbps", 8_000),
            ("100bps", 800),
            ("1mibit", 1 << 20),
            ("2kibps", 16_384),
            ("0", 0),
            ("none", 0),
        ] {
            assert_eq!(rate(text), Ok(bits), "{text}");
        }
        for bad in
            ["", "mbit", "-1mbit", "1xbit", "1 mbit", "1mb", "1.mbit", ".5mbit", "1e3", "99999999999999tbit", "0.5bit"]
        {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_tcs() {
        for (text, bytes) in
            [("1500", 1_500), ("1500b", 1_500), ("64kb", 65_536), ("64k", 65_536), ("1mb", 1 << 20), ("8kbit", 1_024)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "kb", "1x", "1kbb", "-1", "0.5", "0.000001kb"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!((packets("100"), packets("none")), (Ok(100), Ok(0)));
        assert!(packets("1k").is_err() && packets("0.9").is_err());
    }

    #[test]
    fn rates_are_shown_whole() {
        for (bits, text) in [(1_500_000, "1500kbit"), (2_000_000_000, "2gbit"), (8_001, "8001bit")] {
            assert_eq!((show_rate(bits), rate(text)), (text.to_owned(), Ok(bits)));
        }
    }
}
