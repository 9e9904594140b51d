//! Traffic shaping, as options of an endpoint.
//!
//! | option                       | value                                               |
//! |------------------------------|-----------------------------------------------------|
//! | `wharf.shaping.rate`         | bits per second in either direction: `10mbit`, `512kbit`, a number |
//! | `wharf.shaping.burst`        | bytes that may go at once beyond the rate           |
//! | `wharf.shaping.latency`      | added to each packet: `20ms`                        |
//! | `wharf.shaping.jitter`       | how much that varies: `5ms`                         |
//! | `wharf.shaping.loss`         | share of packets that are lost: `0.5%`              |

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_network::shaping::Shaping;

use crate::{Error, Result};

/// What all of these options begin with.
pub(crate) const PREFIX: &str = "wharf.shaping.";

/// What the options ask for; nothing when none of them is set.
pub(super) fn of(options: &BTreeMap<String, String>) -> Result<Option<Shaping>> {
    let mut shaping = Shaping::default();
    let mut any = false;
    for (key, text) in options {
        let Some(name) = key.strip_prefix(PREFIX) else {
            continue;
        };
        let wrong = || Error::InvalidArgument(format!("invalid value for {key}: {text:?}"));
        any = true;
        match name {
            "rate" => shaping.rate = Some(rate(text).ok_or_else(wrong)?),
            "burst" => shaping.burst = Some(text.parse().map_err(|_| wrong())?),
            "latency" => shaping.latency = Some(duration(text).ok_or_else(wrong)?),
            "jitter" => shaping.jitter = Some(duration(text).ok_or_else(wrong)?),
            "loss" => shaping.loss = Some(percent(text).ok_or_else(wrong)?),
            _ => {
                return Err(Error::InvalidArgument(format!(
                    "unknown shaping option {key}: there are rate, burst, latency, jitter and loss"
                )));
            }
        }
    }
    Ok(any.then_some(shaping))
}

/// Bits per second.
fn rate(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let scale = match text.get(digits..)? {
        "" | "bit" => 1,
        "kbit" => 1_000,
        "mbit" => 1_000_000,
        "gbit" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(scale).filter(|rate| *rate > 0)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text.get(..digits)?.parse().ok()?;
    match text.get(digits..)? {
        "us" => Some(Duration::from_micros(number)),
        "" | "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.trim_end_matches('%').parse().ok()?;
    (0.0..=100.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Shaping>> {
        of(&pairs
            .iter()
            .map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()))
            .collect())
    }

    #[test]
    fn units_are_those_of_tc() {
        let shaping = read(&[("rate", "10mbit"), ("latency", "20ms"), ("loss", "0.5%")])
            .unwrap()
            .unwrap();
        assert_eq!(shaping.rate, Some(10_000_000));
        assert_eq!(shaping.latency, Some(Duration::from_millis(20)));
        assert_eq!(shaping.loss, Some(0.5));
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_rate_latency_or_loss_is_refused_by_its_name() {
        for (key, value) in [
            ("rate", "fast"),
            ("rate", "0"),
            ("loss", "101%"),
            ("latency", "1h"),
            ("speed", "1"),
        ] {
            let text = read(&[(key, value)]).unwrap_err().to_string();
            assert!(text.contains(key), "{text}");
        }
    }
}
