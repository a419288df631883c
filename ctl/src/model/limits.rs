//! The limits of a port as they are asked for, kept and shown: rates in bits a second, bursts in bytes, floods in packets
//! a second. Absent is unlimited.

use serde::{Deserialize, Serialize};
use switch::{Policing, Rate};

/// What a port may send, get and flood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// From the container, in bits a second; what comes faster is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Bytes from the container that may come at once; none: a tenth of a second's, at least 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// To the container, in bits a second; what comes faster waits for a moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_rate: Option<u64>,
    /// Bytes to the container that may go at once, at least 64 KiB; none: a hundredth of a second's, but no less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_burst: Option<u64>,
    /// Broadcasts that are flooded, in packets a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_broadcast: Option<u64>,
    /// Multicasts that are flooded, in packets a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_multicast: Option<u64>,
    /// Packets to unknown stations that are flooded, in packets a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_unknown: Option<u64>,
}

/// Rates between a kilobyte and a terabit a second.
const RATES: std::ops::RangeInclusive<u64> = 8_000..=1_000_000_000_000;
/// The longest burst, in bytes.
const MAX_BURST: u64 = 128 << 20;

/// The shortest egress burst, in bytes: a longer frame would leave a debt, and keep everything out until it is paid off.
const LEAST_EGRESS_BURST: u64 = 64 << 10;

/// Why limits are none: what is wrong, and what helps.
pub type BadLimits = (String, String);

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }

    /// With what `change` says, where it says anything; 0 takes a limit away, a rate's burst with it.
    pub fn changed(self, change: &Limits) -> Limits {
        let pick = |old: Option<u64>, new: Option<u64>| new.or(old).filter(|value| *value != 0);
        let (rate, egress_rate) = (pick(self.rate, change.rate), pick(self.egress_rate, change.egress_rate));
        let burst = |rate: Option<u64>, asked: Option<u64>, old, new| match (rate, asked, new) {
            (None, Some(0), None) => None,
            _ => pick(old, new),
        };
        Limits {
            rate,
            burst: burst(rate, change.rate, self.burst, change.burst),
            egress_rate,
            egress_burst: burst(egress_rate, change.egress_rate, self.egress_burst, change.egress_burst),
            storm_broadcast: pick(self.storm_broadcast, change.storm_broadcast),
            storm_multicast: pick(self.storm_multicast, change.storm_multicast),
            storm_unknown: pick(self.storm_unknown, change.storm_unknown),
        }
    }

    /// Checks them.
    ///
    /// # Errors
    /// What is wrong, and what helps.
    pub fn check(&self) -> Result<(), BadLimits> {
        for (name, rate, burst) in [("", self.rate, self.burst), ("egress ", self.egress_rate, self.egress_burst)] {
            if let Some(rate) = rate.filter(|rate| !RATES.contains(rate)) {
                let why = format!("{name}rate {rate} bit/s is out of range: 8kbit to 1tbit");
                return Err((why, "choose another".into()));
            }
            if burst.is_some() && rate.is_none() {
                return Err((format!("{name}burst without a rate"), "give the rate, too".into()));
            }
            if let Some(burst) = burst.filter(|burst| *burst > MAX_BURST) {
                return Err((
                    format!("{name}burst of {burst} bytes is more than 128mb"),
                    "choose a smaller one".into(),
                ));
            }
        }
        if let Some(burst) = self.egress_burst.filter(|burst| *burst < LEAST_EGRESS_BURST) {
            let why = format!("egress burst of {burst} bytes is less than 64kb, a super-frame");
            return Err((why, "leave it out, or choose a longer one".into()));
        }
        let storms = [self.storm_broadcast, self.storm_multicast, self.storm_unknown];
        match storms.into_iter().flatten().find(|pps| *pps > u64::from(u32::MAX)) {
            Some(pps) => Err((format!("{pps} packets a second are out of range"), "choose fewer".into())),
            None => Ok(()),
        }
    }

    /// As the engine takes them.
    pub fn policing(&self) -> Policing {
        let rate = |bits: Option<u64>, burst: Option<u64>, part: u64, least: u64| {
            bits.map(|bits| {
                let burst = burst.unwrap_or_else(|| (bits / 8 / part).max(least)).min(MAX_BURST);
                Rate { bits, burst: u32::try_from(burst).unwrap_or(u32::MAX) }
            })
        };
        let pps = |pps: Option<u64>| pps.map(|pps| u32::try_from(pps).unwrap_or(u32::MAX));
        Policing {
            ingress: rate(self.rate, self.burst, 10, 256 << 10),
            egress: rate(self.egress_rate, self.egress_burst, 100, LEAST_EGRESS_BURST),
            broadcast: pps(self.storm_broadcast),
            multicast: pps(self.storm_multicast),
            unknown: pps(self.storm_unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_touches_what_it_names_and_zero_takes_away() {
        let first = Limits::default().changed(&Limits {
            rate: Some(10_000_000),
            burst: Some(70_000),
            egress_rate: Some(5_000_000),
            storm_unknown: Some(0),
            ..Limits::default()
        });
        assert_eq!(first.storm_unknown, None);
        let second = first.changed(&Limits { rate: Some(20_000_000), ..Limits::default() });
        assert_eq!((second.rate, second.burst), (Some(20_000_000), Some(70_000)));
        let third = second.changed(&Limits { rate: Some(0), ..Limits::default() });
        assert_eq!((third.rate, third.burst, third.egress_rate), (None, None, Some(5_000_000)));
        assert!(third.changed(&Limits { egress_rate: Some(0), ..Limits::default() }).is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad = |limits: Limits| limits.check().unwrap_err().0;
        assert!(bad(Limits { rate: Some(7_999), ..Limits::default() }).contains("8kbit"));
        assert!(bad(Limits { egress_rate: Some(1 << 60), ..Limits::default() }).contains("1tbit"));
        assert!(bad(Limits { burst: Some(1), ..Limits::default() }).contains("without a rate"));
        assert!(bad(Limits { rate: Some(8_000), burst: Some(1 << 40), ..Limits::default() }).contains("128mb"));
        let egress = |burst| Limits { egress_rate: Some(8_000), egress_burst: Some(burst), ..Limits::default() };
        assert!(bad(egress(65_535)).contains("super-frame"));
        assert_eq!(egress(65_536).check(), Ok(()));
        assert!(bad(Limits { storm_broadcast: Some(1 << 32), ..Limits::default() }).contains("range"));
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn bursts_have_defaults() {
        let limits = Limits { rate: Some(8_000), egress_rate: Some(100_000_000), ..Limits::default() };
        let policing = limits.policing();
        assert_eq!(policing.ingress, Some(Rate { bits: 8_000, burst: 256 << 10 }));
        assert_eq!(policing.egress, Some(Rate { bits: 100_000_000, burst: 125_000 }));
        let most = Limits { rate: Some(1_000_000_000_000), ..Limits::default() };
        assert_eq!(most.policing().ingress.map(|rate| rate.burst), Some(128 << 20));
    }
}
