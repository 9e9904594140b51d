//! "Up 3 minutes (Paused)": the words of `ps`.

use crate::model::{ContainerState, Status};

/// The status line of a container at `now` (nanoseconds since 1970).
pub(crate) fn status_text(state: &ContainerState, now: i64) -> String {
    match state.status {
        Status::Running => format!("Up {}", human_duration(now - state.started_at)),
        Status::Paused => format!("Up {} (Paused)", human_duration(now - state.started_at)),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created => "Created".to_owned(),
        Status::Exited if state.finished_at == 0 => String::new(),
        Status::Exited => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            human_duration(now - state.finished_at)
        ),
    }
}

/// go-units' `HumanDuration`: the largest unit that says enough.
pub(crate) fn human_duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds.max(0) / 1_000_000_000;
    let minutes = seconds / 60;
    // Rounded, as Go does from 46 minutes on.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, _, _) => "Less than a second".to_owned(),
        (1, _, _) => "1 second".to_owned(),
        (s, _, _) if s < 60 => format!("{s} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, m, _) if m < 60 => format!("{m} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, h) if h < 48 => format!("{h} hours"),
        (_, _, h) if h < 24 * 7 * 2 => format!("{} days", h / 24),
        (_, _, h) if h < 24 * 30 * 2 => format!("{} weeks", h / 24 / 7),
        (_, _, h) if h < 24 * 365 * 2 => format!("{} months", h / 24 / 30),
        (_, _, h) => format!("{} years", h / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn durations_read_as_dockers_do() {
        for (duration, text) in [
            (SECOND / 2, "Less than a second"),
            (SECOND, "1 second"),
            (59 * SECOND, "59 seconds"),
            (61 * SECOND, "About a minute"),
            (45 * 60 * SECOND, "45 minutes"),
            (HOUR, "About an hour"),
            (90 * 60 * SECOND, "2 hours"),
            (47 * HOUR, "47 hours"),
            (72 * HOUR, "3 days"),
            (15 * 24 * HOUR, "2 weeks"),
            (90 * 24 * HOUR, "3 months"),
            (3 * 365 * 24 * HOUR, "3 years"),
        ] {
            assert_eq!(human_duration(duration), text);
        }
    }

    #[test]
    fn each_state_has_its_words() {
        let now = 100 * SECOND;
        let state = |status| ContainerState {
            status,
            started_at: now - 5 * SECOND,
            finished_at: now - 3 * SECOND,
            exit_code: 7,
            ..ContainerState::default()
        };
        for (status, text) in [
            (Status::Created, "Created"),
            (Status::Running, "Up 5 seconds"),
            (Status::Paused, "Up 5 seconds (Paused)"),
            (Status::Exited, "Exited (7) 3 seconds ago"),
            (Status::Removing, "Removal In Progress"),
            (Status::Dead, "Dead"),
        ] {
            assert_eq!(status_text(&state(status), now), text);
        }
    }
}
