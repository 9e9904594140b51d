//! The corners of Go's standard library that docker's users can see: how numbers, switches,
//! durations and quoted text are read and written.

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quote(text)
        )),
    }
}

/// Go's `strconv.ParseInt` with base 0: decimal, `0x`, `0o`, `0b`, and a leading zero for octal.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = parse_magnitude(digits);
    let value = match magnitude {
        Ok(value) if negative => 0_i128 - i128::from(value),
        Ok(value) => i128::from(value),
        Err(Magnitude::Range) => i128::MAX,
        Err(Magnitude::Syntax) => {
            return Err(format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                quote(text)
            ));
        }
    };
    i64::try_from(value).map_err(|_| {
        format!(
            "strconv.ParseInt: parsing {}: value out of range",
            quote(text)
        )
    })
}

/// Go's `strconv.ParseUint` with base 0 and a largest value.
pub(crate) fn parse_uint(text: &str, max: u64) -> Result<u64, String> {
    match parse_magnitude(text) {
        Ok(value) if value <= max => Ok(value),
        Ok(_) | Err(Magnitude::Range) => Err(format!(
            "strconv.ParseUint: parsing {}: value out of range",
            quote(text)
        )),
        Err(Magnitude::Syntax) => Err(format!(
            "strconv.ParseUint: parsing {}: invalid syntax",
            quote(text)
        )),
    }
}

enum Magnitude {
    Syntax,
    Range,
}

fn parse_magnitude(text: &str) -> Result<u64, Magnitude> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(Magnitude::Syntax);
    }
    u64::from_str_radix(digits, radix).map_err(|_| Magnitude::Range)
}

/// Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            low if u32::from(low) < 0x20 || low == '\x7f' => {
                out.push_str(&format!("\\x{:02x}", u32::from(low)));
            }
            // Format characters and unassigned spaces are escaped by Go; these are the common ones.
            odd if ('\u{80}'..='\u{a0}').contains(&odd) || odd == '\u{ad}' || odd == '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(odd)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Go's `time.ParseDuration`, in nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: f64 = 0.0;
    let mut exact: i128 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number = &rest[..end];
        if number.is_empty() || number == "." {
            return Err(invalid());
        }
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = &rest[..end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        rest = &rest[end..];
        let scale: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    quote(unit),
                    quote(text)
                ));
            }
        };
        match number.parse::<i64>() {
            Ok(whole) => exact += i128::from(whole) * i128::from(scale),
            Err(_) => total += number.parse::<f64>().map_err(|_| invalid())? * scale as f64,
        }
    }
    let nanoseconds = exact + total as i128;
    let nanoseconds = if negative {
        0 - nanoseconds
    } else {
        nanoseconds
    };
    i64::try_from(nanoseconds).map_err(|_| invalid())
}

/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Go's `strconv.FormatFloat(value, 'g', precision)` as `%.{precision}g` prints sizes: that many
/// significant digits, no trailing zeros, no exponent in the ranges sizes have.
pub(crate) fn significant(value: f64, precision: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent_form = format!("{:.*e}", precision.saturating_sub(1), value);
    let exponent: i32 = exponent_form
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    let precision = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= precision {
        let (mantissa, _) = exponent_form
            .split_once('e')
            .unwrap_or((&exponent_form, ""));
        let mantissa = trim_zeros(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let decimals = usize::try_from(precision - 1 - exponent).unwrap_or(0);
    trim_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_every_base_go_reads() {
        assert_eq!(parse_int("0x10"), Ok(16));
        assert_eq!(parse_int("-010"), Ok(-8));
        assert_eq!(parse_int("0"), Ok(0));
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        assert!(
            parse_int("9223372036854775808")
                .unwrap_err()
                .ends_with("value out of range")
        );
        assert!(parse_int("08").unwrap_err().ends_with("invalid syntax"));
        assert!(
            parse_uint("70000", 65535)
                .unwrap_err()
                .ends_with("value out of range")
        );
    }

    #[test]
    fn durations_add_their_units_up() {
        assert_eq!(parse_duration("1h30m"), Ok(5400 * SECOND));
        assert_eq!(parse_duration("-1.5s"), Ok(-1_500_000_000));
        assert_eq!(parse_duration("0"), Ok(0));
        assert_eq!(
            parse_duration("3"),
            Err("time: missing unit in duration \"3\"".to_owned())
        );
        assert_eq!(
            parse_duration("x"),
            Err("time: invalid duration \"x\"".to_owned())
        );
        assert_eq!(
            parse_duration("3d"),
            Err("time: unknown unit \"d\" in duration \"3d\"".to_owned())
        );
    }

    #[test]
    fn quoting_is_gos() {
        assert_eq!(quote("a\"b\\\n\x01é"), "\"a\\\"b\\\\\\n\\x01é\"");
    }

    #[test]
    fn sizes_keep_their_significant_digits() {
        assert_eq!(significant(1.5, 3), "1.5");
        assert_eq!(significant(123.4, 3), "123");
        assert_eq!(significant(999.96, 4), "1000");
        assert_eq!(significant(0.0, 4), "0");
        assert_eq!(significant(1234.0, 3), "1.23e+03");
    }
}
