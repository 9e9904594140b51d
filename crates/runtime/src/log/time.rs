//! Times as Docker writes them in logs: RFC 3339 in UTC, nanoseconds without trailing zeros.
//!
//! By hand, as the shim needs only this and must stay small.

const NS: i64 = 1_000_000_000;

/// Appends the time, nanoseconds since 1970.
pub(crate) fn write(out: &mut Vec<u8>, time_ns: i64) {
    let (seconds, nanos) = (time_ns.div_euclid(NS), time_ns.rem_euclid(NS));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, of_day / 3600, 2);
    out.push(b':');
    digits(out, of_day / 60 % 60, 2);
    out.push(b':');
    digits(out, of_day % 60, 2);
    if nanos > 0 {
        out.push(b'.');
        digits(out, nanos, 9);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// Reads such a time; an offset other than `Z` is not one.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (whole, fraction) = match text.strip_suffix('Z')?.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text.strip_suffix('Z')?, ""),
    };
    let bytes = whole.as_bytes();
    if bytes.len() != 19 || fraction.len() > 9 || !whole.is_ascii() {
        return None;
    }
    for (at, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if bytes[at] != mark {
            return None;
        }
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = &whole[range];
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())?
    };
    let seconds = days(number(0..4)?, number(5..7)?, number(8..10)?)? * 86_400
        + number(11..13)? * 3600
        + number(14..16)? * 60
        + number(17..19)?;
    let mut nanos = 0;
    for at in 0..9 {
        let digit = fraction.as_bytes().get(at).copied().unwrap_or(b'0');
        nanos = nanos * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    seconds.checked_mul(NS)?.checked_add(nanos)
}

fn digits(out: &mut Vec<u8>, mut value: i64, width: usize) {
    let from = out.len();
    out.resize(from + width, b'0');
    for at in (from..from + width).rev() {
        out[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// Days since 1970 to a date (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A date to days since 1970 (`days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(time: i64) -> String {
        let mut out = Vec::new();
        write(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123Z");
        assert_eq!(
            text(1_709_164_800_000_000_001),
            "2024-02-29T00:00:00.000000001Z"
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for bad in [
            "",
            "Z",
            "2023-11-14",
            "2023-13-01T00:00:00Z",
            "2023-11-14T22:13:20+01:00",
            "2023-11-14T22:13:20.1234567890Z",
            "2023-11-14T2x:13:20Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_back(time in 0_i64..4_000_000_000_000_000_000) {
            prop_assert_eq!(parse(&text(time)), Some(time));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
