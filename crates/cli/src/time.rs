//! Times as the API and docker's output write them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::go::{self, SECOND};
use crate::units;

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// `3 days ago`; nothing for a time that is not known (zero or before).
pub(crate) fn ago(seconds: i64) -> String {
    if seconds <= 0 {
        return String::new();
    }
    format!("{} ago", units::human_duration(now() - seconds))
}

/// `2006-01-02 15:04:05 -0700 MST`, in the local zone.
pub(crate) fn go_string(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S %z %Z")
            .to_string(),
        Err(_) => String::new(),
    }
}

/// RFC 3339 with the local offset: `2006-01-02T15:04:05+01:00`.
pub(crate) fn rfc3339_local(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => zulu(
            &time
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%dT%H:%M:%S%:z")
                .to_string(),
        ),
        Err(_) => String::new(),
    }
}

/// RFC 3339 with nine decimals and the local offset, as `docker events` begins a line.
pub(crate) fn rfc3339_nano_local(nanoseconds: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) => zulu(
            &time
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%dT%H:%M:%S.%9f%:z")
                .to_string(),
        ),
        Err(_) => String::new(),
    }
}

/// Go writes the zero offset as `Z`.
fn zulu(text: &str) -> String {
    match text.strip_suffix("+00:00") {
        Some(head) => format!("{head}Z"),
        None => text.to_owned(),
    }
}

/// Seconds of an RFC 3339 time; zero when it is not one, or Go's zero time.
pub(crate) fn parse_rfc3339(text: &str) -> i64 {
    text.parse::<Timestamp>()
        .map_or(0, |time| time.as_second().max(0))
}

/// `Mon Jan _2 15:04:05 2006` out of RFC 3339; anything else stays.
pub(crate) fn ansic(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time
            .to_zoned(TimeZone::UTC)
            .strftime("%a %b %e %H:%M:%S %Y")
            .to_string(),
        Err(_) => text.to_owned(),
    }
}

/// What `--since` and `--until` take, as the API takes it: seconds and nanoseconds.
///
/// A duration counts back from now; a date may leave out its time, seconds or zone; digits are
/// sent as they are.
pub(crate) fn api_timestamp(text: &str) -> Result<String, String> {
    api_timestamp_at(text, Timestamp::now())
}

fn api_timestamp_at(text: &str, now: Timestamp) -> Result<String, String> {
    if let Ok(nanoseconds) = go::parse_duration(text) {
        let seconds =
            i64::try_from((now.as_nanosecond() - i128::from(nanoseconds)) / i128::from(SECOND));
        return Ok(seconds.unwrap_or(0).to_string());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(unix(time));
    }
    let zone = TimeZone::system();
    for form in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H",
        "%Y-%m-%d",
    ] {
        let civil = jiff::fmt::strtime::parse(form, text).and_then(|parsed| match form {
            "%Y-%m-%d" => Ok(parsed.to_date()?.to_datetime(jiff::civil::Time::midnight())),
            _ => parsed.to_datetime(),
        });
        if let Ok(time) = civil.and_then(|civil| civil.to_zoned(zone.clone())) {
            return Ok(unix(time.timestamp()));
        }
    }
    let digits = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.' || c == '-');
    if digits && text.matches('-').count() <= 1 {
        return Ok(text.to_owned());
    }
    Err(format!(
        "failed to parse value as time or duration: {}",
        go::quote(text)
    ))
}

fn unix(time: Timestamp) -> String {
    format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_and_absolute_times_reach_the_api_as_numbers() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(api_timestamp_at("10m", now).unwrap(), "999400");
        assert_eq!(
            api_timestamp_at("1970-01-02T00:00:00.5Z", now).unwrap(),
            "86400.500000000"
        );
        assert_eq!(
            api_timestamp_at("1970-01-02T01:00:00+01:00", now).unwrap(),
            "86400.000000000"
        );
        assert_eq!(api_timestamp_at("1763700000", now).unwrap(), "1763700000");
        assert!(
            api_timestamp_at("1970-01-02", now)
                .unwrap()
                .ends_with(".000000000")
        );
        assert!(api_timestamp_at("yesterday", now).is_err());
    }

    #[test]
    fn build_times_are_shown_as_go_does() {
        assert_eq!(
            ansic("2025-05-03T12:07:14.000000000+00:00"),
            "Sat May  3 12:07:14 2025"
        );
        assert_eq!(ansic("whenever"), "whenever");
    }
}
