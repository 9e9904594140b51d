//! Sizes and ages for people, in docker's wording.

use crate::go::{self, SECOND};

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

fn scaled(size: f64, base: f64, units: &[&'static str; 9]) -> (f64, &'static str) {
    let mut size = size;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    (size, units[unit])
}

/// `1.5kB`, with four significant digits.
pub(crate) fn human_size(size: f64) -> String {
    human_size_with(size, 4)
}

/// `1.5kB`, with as many significant digits as asked.
pub(crate) fn human_size_with(size: f64, precision: usize) -> String {
    let (size, unit) = scaled(size, 1000.0, &DECIMAL);
    format!("{}{unit}", go::significant(size, precision))
}

/// `1.5KiB`, with four significant digits.
pub(crate) fn bytes_size(size: f64) -> String {
    let (size, unit) = scaled(size, 1024.0, &BINARY);
    format!("{}{unit}", go::significant(size, 4))
}

/// `About a minute`, `3 weeks`: an age in seconds, to one unit.
pub(crate) fn human_duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Go rounds hours half away from zero.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `512m`, `1.5GiB`, `100`: a size in powers of 1024, as docker's memory flags take it.
pub(crate) fn ram_in_bytes(text: &str) -> Result<i64, String> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    let Some(split) = split else {
        return Err(format!("invalid size: '{text}'"));
    };
    let (mut number, suffix) = text.split_at(split + 1);
    // "1 m" has one space between; a trailing space belongs to the number.
    if let Some(trimmed) = number.strip_suffix(' ') {
        number = trimmed;
    }
    let value: f64 = match number.parse() {
        Ok(value) if f64::is_finite(value) => value,
        _ => return Err(format!("invalid size: '{text}'")),
    };
    if value < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let lower = suffix.to_lowercase();
    let power = match lower.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    Ok((value * 1024_f64.powi(power)) as i64)
}

/// `1.5` CPUs in billionths.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits_only = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits_only(unsigned)
        || !digits_only(fraction)
        || (unsigned.is_empty() && fraction.is_empty())
    {
        return Err(invalid());
    }
    if fraction.trim_end_matches('0').len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: i64 = if unsigned.is_empty() {
        0
    } else {
        unsigned.parse().map_err(|_| invalid())?
    };
    let nanos: i64 = format!("{fraction:0<9.9}").parse().map_err(|_| invalid())?;
    let total = whole
        .checked_mul(SECOND)
        .and_then(|n| n.checked_add(nanos))
        .ok_or_else(invalid)?;
    Ok(if text.starts_with('-') { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_docker_prints_them() {
        assert_eq!(human_size_with(0.0, 3), "0B");
        assert_eq!(human_size_with(1_234.0, 3), "1.23kB");
        assert_eq!(human_size_with(4_260_000.0, 3), "4.26MB");
        assert_eq!(human_size(1_113_412_000.0), "1.113GB");
        assert_eq!(bytes_size(2_095_775_744.0), "1.952GiB");
        assert_eq!(bytes_size(1024.0), "1KiB");
    }

    #[test]
    fn ages_read_as_docker_prints_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (179, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (2 * 365 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds} s");
        }
    }

    #[test]
    fn memory_flags_take_docker_suffixes() {
        assert_eq!(ram_in_bytes("512m"), Ok(512 << 20));
        assert_eq!(ram_in_bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(ram_in_bytes("4 k"), Ok(4096));
        assert_eq!(ram_in_bytes("1x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(ram_in_bytes("x"), Err("invalid size: 'x'".to_owned()));
        assert_eq!(ram_in_bytes("-1"), Err("invalid size: '-1'".to_owned()));
    }

    #[test]
    fn cpus_are_exact_billionths() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus(".1"), Ok(100_000_000));
        assert_eq!(
            nano_cpus("0.0000000001"),
            Err("value is too precise".to_owned())
        );
        assert_eq!(
            nano_cpus("x"),
            Err("failed to parse x as a rational number".to_owned())
        );
    }
}
