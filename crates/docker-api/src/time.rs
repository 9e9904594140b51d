//! Times, as Go prints and clients write them.

use jiff::Timestamp;

use crate::error::ApiError;

/// What Go prints for a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

const NANOSECONDS: i64 = 1_000_000_000;

/// RFC 3339 with as many digits as needed; 0 nanoseconds since 1970 means never.
pub(crate) fn rfc3339(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return NEVER.into();
    }
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_or_else(|_| NEVER.into(), |time| time.to_string())
}

/// RFC 3339 with nine digits, always, as in the lines of a log.
pub(crate) fn rfc3339_fixed(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(nanoseconds.into())
        .map_or_else(|_| NEVER.into(), |time| format!("{time:.9}"))
}

/// RFC 3339 in whole seconds.
pub(crate) fn rfc3339_seconds(nanoseconds: i64) -> String {
    rfc3339(nanoseconds - nanoseconds.rem_euclid(NANOSECONDS))
}

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Seconds since 1970.
pub(crate) fn seconds(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(NANOSECONDS)
}

/// Reads `since` or `until`: seconds since 1970 with up to nine digits of fraction, which is what
/// docker's clients send, or RFC 3339, which people type into curl.
pub(crate) fn read(text: &str) -> Result<Option<i64>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    read_unix(text)
        .or_else(|| {
            let time: Timestamp = text.parse().ok()?;
            i64::try_from(time.as_nanosecond()).ok()
        })
        .map(Some)
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "failed to parse value as time or duration: {text:?}"
            ))
        })
}

fn read_unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: i64 = whole.parse().ok()?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(NANOSECONDS)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_gos_rfc3339nano() {
        assert_eq!(rfc3339(0), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_700_000_000_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(
            rfc3339(1_700_000_000_120_000_000),
            "2023-11-14T22:13:20.12Z"
        );
        assert_eq!(
            rfc3339(1_700_000_000_000_000_001),
            "2023-11-14T22:13:20.000000001Z"
        );
        assert_eq!(
            rfc3339_fixed(1_700_000_000_120_000_000),
            "2023-11-14T22:13:20.120000000Z"
        );
        assert_eq!(
            rfc3339_seconds(1_700_000_000_999_999_999),
            "2023-11-14T22:13:20Z"
        );
    }

    #[test]
    fn seconds_with_a_fraction_are_read_to_the_nanosecond() {
        assert_eq!(read("1700000000").unwrap(), Some(1_700_000_000_000_000_000));
        assert_eq!(
            read("1700000000.5").unwrap(),
            Some(1_700_000_000_500_000_000)
        );
        assert_eq!(
            read("1700000000.000000001").unwrap(),
            Some(1_700_000_000_000_000_001)
        );
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn rfc3339_is_read_too_and_nonsense_is_refused() {
        assert_eq!(
            read("2023-11-14T22:13:20Z").unwrap(),
            Some(1_700_000_000_000_000_000)
        );
        for text in [
            "yesterday",
            "1.x",
            "1.0000000001",
            "99999999999999999999",
            "9223372036854775807",
        ] {
            assert_eq!(read(text).unwrap_err().status, 400, "{text}");
        }
    }
}
