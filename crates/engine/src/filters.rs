//! Filters of listings, prunes and events: the rules that all of them share.

use std::collections::BTreeMap;

use crate::model::Filters;
use crate::{Error, Result};

/// Refuses a filter that the listing does not know, in dockerd's words.
pub(crate) fn check(filters: &Filters, known: &[&str]) -> Result<()> {
    match filters.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::InvalidArgument(format!("invalid filter '{name}'"))),
    }
}

/// The values of one filter, `None` when it is not used.
pub(crate) fn values<'a>(filters: &'a Filters, name: &str) -> Option<&'a [String]> {
    filters
        .get(name)
        .map(Vec::as_slice)
        .filter(|values| !values.is_empty())
}

/// A filter that takes one truth value (`dangling=true`).
pub(crate) fn truth(filters: &Filters, name: &str) -> Result<Option<bool>> {
    let Some(values) = values(filters, name) else {
        return Ok(None);
    };
    let has = |words: [&str; 2]| values.iter().any(|value| words.contains(&value.as_str()));
    match (has(["1", "true"]), has(["0", "false"])) {
        (true, false) => Ok(Some(true)),
        (false, true) => Ok(Some(false)),
        _ => Err(Error::InvalidArgument(format!(
            "invalid filter '{name}=[{}]'",
            values.join(" ")
        ))),
    }
}

/// Whether labels satisfy `label` (every one of them) and `label!` (not every one of them, which
/// is how dockerd reads several).
pub(crate) fn labels_match(filters: &Filters, labels: &BTreeMap<String, String>) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    };
    let all = filters.get("label").is_none_or(|l| l.iter().all(has));
    let excluded = values(filters, "label!").is_some_and(|l| l.iter().all(has));
    all && !excluded
}

/// A point in time as `until` and `since` take it: seconds since 1970 with a fraction, RFC 3339
/// (also cut short), or a Go duration before `now`. Nanoseconds since 1970.
pub(crate) fn timestamp(text: &str, now: i64) -> Option<i64> {
    if let Some(seconds) = unix(text) {
        return Some(seconds);
    }
    if let Some(duration) = go_duration(text) {
        return now.checked_sub(duration);
    }
    rfc3339(text)
}

/// Like [`timestamp`], for a filter of that name.
pub(crate) fn time_filter(filters: &Filters, name: &str, now: i64) -> Result<Option<i64>> {
    match values(filters, name) {
        None => Ok(None),
        Some([value]) => timestamp(value, now).map(Some).ok_or_else(|| {
            Error::InvalidArgument(format!(
                "failed to parse value as time or duration: \"{value}\""
            ))
        }),
        Some(_) => Err(Error::InvalidArgument(format!(
            "more than one {name} filter specified"
        ))),
    }
}

fn unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanoseconds: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// `1h30m`, `1.5h`, `300ms`.
fn go_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let mut rest = text;
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == &rest[..unit])?;
        total += number * scale;
        rest = &rest[unit..];
    }
    // Beyond this a duration is older than any event.
    (total < 9.0e18).then_some(total as i64)
}

fn rfc3339(text: &str) -> Option<i64> {
    let nanoseconds = |stamp: jiff::Timestamp| i64::try_from(stamp.as_nanosecond()).ok();
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return nanoseconds(stamp);
    }
    // Without a zone it is local time; without a time it is midnight.
    let short = text.strip_suffix('Z').unwrap_or(text);
    let padded = match short.len() {
        10 => format!("{short}T00:00:00"),
        13 => format!("{short}:00:00"),
        16 => format!("{short}:00"),
        _ => short.to_owned(),
    };
    let civil: jiff::civil::DateTime = padded.parse().ok()?;
    let zone = if text.ends_with('Z') {
        jiff::tz::TimeZone::UTC
    } else {
        jiff::tz::TimeZone::system()
    };
    nanoseconds(civil.to_zoned(zone).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(pairs: &[(&str, &str)]) -> Filters {
        let mut filters = Filters::new();
        for (name, value) in pairs {
            filters
                .entry((*name).to_owned())
                .or_default()
                .push((*value).to_owned());
        }
        filters
    }

    #[test]
    fn an_unknown_filter_is_refused_by_name() {
        let error = check(&filters(&[("nope", "1")]), &["name"]).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'nope'");
    }

    #[test]
    fn a_truth_value_is_one_of_dockers_four_words_and_not_both() {
        for (given, expected) in [
            (&[("dangling", "true")][..], Some(true)),
            (&[("dangling", "1"), ("dangling", "true")], Some(true)),
            (&[("dangling", "0")], Some(false)),
            (&[], None),
        ] {
            assert_eq!(truth(&filters(given), "dangling").unwrap(), expected);
        }
        let error = truth(&filters(&[("dangling", "x")]), "dangling").unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'dangling=[x]'");
        let both = filters(&[("dangling", "0"), ("dangling", "1")]);
        assert!(truth(&both, "dangling").is_err());
    }

    #[test]
    fn labels_must_all_be_there_and_negated_ones_not_all() {
        let labels = [
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), String::new()),
        ]
        .into();
        for (pairs, expected) in [
            (&[("label", "a")][..], true),
            (&[("label", "a=1"), ("label", "b")], true),
            (&[("label", "a=2")], false),
            (&[("label", "a"), ("label", "c")], false),
            (&[("label!", "c")], true),
            (&[("label!", "a=2")], true),
            (&[("label!", "b")], false),
            (&[("label!", "b"), ("label!", "c")], true),
            (&[("label!", "b"), ("label!", "a")], false),
        ] {
            assert_eq!(
                labels_match(&filters(pairs), &labels),
                expected,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_time_may_be_seconds_a_date_or_a_duration_ago() {
        const NOW: i64 = 2_000_000_000_000_000_000;
        assert_eq!(timestamp("1.5", NOW), Some(1_500_000_000));
        assert_eq!(timestamp("1h30m", NOW), Some(NOW - 5400 * 1_000_000_000));
        assert_eq!(timestamp("1.5s", NOW), Some(NOW - 1_500_000_000));
        assert_eq!(timestamp("1970-01-01T00:00:01Z", NOW), Some(1_000_000_000));
        assert_eq!(
            timestamp("1970-01-01T01:00:01.5+01:00", NOW),
            Some(1_500_000_000)
        );
        assert_eq!(timestamp("1970-01-02Z", NOW), Some(86_400_000_000_000));
        for bad in ["", "x", "1x", "h", "--1"] {
            assert_eq!(timestamp(bad, NOW), None, "{bad}");
        }
    }
}
