//! The time, as the engine keeps it.

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    // The year 2262 is out of reach.
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
