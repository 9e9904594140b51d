//! The lines of a long operation: one document each, ended as docker ends them.

use serde::Serialize;
use wharf_engine::model::ProgressLine;

/// What a whole line is called: it depends on the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// `load`
    Stream,
    /// `import`
    Status,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_detail: Option<Detail>,
    /// The same for people; newer clients draw their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<ErrorDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ErrorDetail<'a> {
    message: &'a str,
}

fn line(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A line of progress.
pub(crate) fn encode(from: &ProgressLine, says: Says) -> Vec<u8> {
    let message = match from {
        ProgressLine::Message(text) => Message {
            stream: (says == Says::Stream).then_some(text),
            status: (says == Says::Status).then_some(text),
            ..Message::default()
        },
        ProgressLine::Step {
            id,
            action,
            current,
            total,
        } => Message {
            status: Some(action),
            progress_detail: Some(Detail {
                current: (*current > 0).then_some(*current),
                total: (*total > 0).then_some(*total),
            }),
            progress: (*current > 0).then(|| bar(*current, *total)),
            id: Some(id),
            ..Message::default()
        },
    };
    line(&message)
}

/// An error in the middle of a stream.
pub(crate) fn error(text: &str) -> Vec<u8> {
    line(&Message {
        error_detail: Some(ErrorDetail { message: text }),
        error: Some(text),
        ..Message::default()
    })
}

/// Docker's bar: `[====>    ]  1.5MB/3MB`.
fn bar(current: u64, total: u64) -> String {
    const WIDTH: u64 = 50;
    if total == 0 || current > total {
        return human(current);
    }
    let done = usize::try_from(current * WIDTH / total).unwrap_or(0);
    let (full, empty) = (50 - done.min(50), done.min(50));
    let arrow = if full > 0 { ">" } else { "" };
    format!(
        "[{}{arrow}{}]  {}/{}",
        "=".repeat(empty),
        " ".repeat(full.saturating_sub(1)),
        human(current),
        human(total)
    )
}

/// Four digits and a unit, in powers of 1000.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut unit = 0;
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut value = bytes as f64;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value >= 100.0 {
        1
    } else if value >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_whole_line_is_a_stream_or_a_status() {
        let message = ProgressLine::Message("Loaded image: x\n".into());
        assert_eq!(
            text(encode(&message, Says::Stream)),
            "{\"stream\":\"Loaded image: x\\n\"}\r\n"
        );
        assert_eq!(
            text(encode(&message, Says::Status)),
            "{\"status\":\"Loaded image: x\\n\"}\r\n"
        );
    }

    #[test]
    fn a_step_has_its_numbers_and_a_bar() {
        let step = ProgressLine::Step {
            id: "abc".into(),
            action: "Loading layer".into(),
            current: 512_000,
            total: 1_024_000,
        };
        assert_eq!(
            text(encode(&step, Says::Stream)),
            format!(
                "{{\"status\":\"Loading layer\",\"progressDetail\":{{\"current\":512000,\"total\":1024000}},\"progress\":\"[{}>{}]  512kB/1.024MB\",\"id\":\"abc\"}}\r\n",
                "=".repeat(25),
                " ".repeat(24)
            )
        );
    }

    #[test]
    fn the_bar_is_full_at_the_end_and_absent_without_a_total() {
        assert_eq!(bar(2, 2), format!("[{}]  2B/2B", "=".repeat(50)));
        assert_eq!(bar(1500, 0), "1.5kB");
    }

    #[test]
    fn an_error_is_said_twice_as_old_and_new_clients_read_it() {
        assert_eq!(
            text(error("no")),
            "{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n"
        );
    }
}
