//! Signals by name or number.

use crate::{Error, Result};

/// The Linux signals; the real-time ones are computed.
const NAMES: [(&str, i32); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// First and last real-time signal that the C library leaves to programs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// SIGTERM
pub(crate) const TERM: i32 = 15;
/// SIGKILL
pub(crate) const KILL: i32 = 9;

/// `KILL`, `SIGKILL`, `sigkill`, `9`, `RTMIN+3`.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::InvalidArgument(format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) {
            Ok(number)
        } else {
            Err(invalid())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let number = match name {
        "POLL" => Some(29),
        "RTMIN" => Some(RTMIN),
        "RTMAX" => Some(RTMAX),
        name => real_time(name),
    };
    number
        .filter(|number| (RTMIN..=RTMAX).contains(number) || *number == 29)
        .ok_or_else(invalid)
}

fn real_time(name: &str) -> Option<i32> {
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        return offset.parse::<u8>().ok().map(|n| RTMIN + i32::from(n));
    }
    let offset = name.strip_prefix("RTMAX-")?;
    offset.parse::<u8>().ok().map(|n| RTMAX - i32::from(n))
}

/// The signal that asks a container to end.
pub(crate) fn of_stop(spec: &crate::model::ContainerSpec) -> i32 {
    // Checked when the container was created.
    parse(&spec.stop_signal).unwrap_or(TERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_many_spellings() {
        for text in ["KILL", "SIGKILL", "sigkill", "9"] {
            assert_eq!(parse(text).unwrap(), KILL);
        }
        assert_eq!(parse("RTMIN+3").unwrap(), 37);
        assert_eq!(parse("SIGRTMAX-1").unwrap(), 63);
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        for text in ["", "NOPE", "0", "65", "-1", "RTMIN+31", "RTMIN+-1"] {
            assert_eq!(
                parse(text).unwrap_err().to_string(),
                format!("invalid signal: {text}")
            );
        }
    }
}
