//! Moments as `--filter until=` of docker takes them: a span of time before now, a date, or seconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment that `text` means; dates without a zone are UTC, unlike docker's, which are the daemon's.
pub(super) fn until(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let unknown = || "expected a span such as 24h or 1h30m, a time such as 2026-11-21T12:00:00Z, or seconds since 1970";
    if let Some(span) = span(text) {
        return now.checked_sub(span).ok_or_else(|| unknown().into());
    }
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let since = seconds.or_else(|| date(text)).ok_or_else(unknown)?;
    UNIX_EPOCH.checked_add(since).ok_or_else(|| unknown().into())
}

/// `1h30m`, as Go writes spans.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = rest.split_at(digits);
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
        let (unit, seconds) = units.into_iter().find(|(name, _)| unit.starts_with(name))?;
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = &rest[digits + unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// RFC 3339, or its date, or both without a zone; since 1970.
fn date(text: &str) -> Option<Duration> {
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<i64>().ok()?, parts.next()?.parse::<i64>().ok()?);
    let second: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && (1970..=9999).contains(&year);
    if !fits || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..61.0).contains(&second) {
        return None;
    }
    let offset = match zone {
        "" | "Z" => 0,
        zone => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let ahead = hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -ahead } else { ahead }
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 - offset;
    Duration::try_from_secs_f64(second).ok()?.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years begin in March, so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rfc3339;

    #[test]
    fn spans_dates_and_seconds() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let text = |text: &str| until(text, now).map(rfc3339);
        for (asked, meant) in [
            ("0s", "2027-01-15T08:00:00.000000000Z"),
            ("24h", "2027-01-14T08:00:00.000000000Z"),
            ("1h30m", "2027-01-15T06:30:00.000000000Z"),
            ("2026-11-21", "2026-11-21T00:00:00.000000000Z"),
            ("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000000000Z"),
            ("2026-11-21T12:00:00.5+01:00", "2026-11-21T11:00:00.500000000Z"),
            ("2026-03-01T00:00:00-00:30", "2026-03-01T00:30:00.000000000Z"),
            ("1767225600", "2026-01-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(text(asked).unwrap(), meant, "{asked}");
        }
        let bad =
            ["", "x", "1x", "2026-13-01", "2026-11-21T25:00:00", "2026-11-21T12:00:00+1", "-5", "1h1", "nan", "1e999h"];
        for bad in bad {
            assert!(until(bad, now).is_err(), "{bad}");
        }
    }
}
