//! The daemon's progress messages: bars on a terminal, plain lines elsewhere.
//!
//! Messages about the same id share a line; the cursor moves up to it and back. A message that
//! is no progress ends the block, and the lines above stay as they are.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::client::Reply;
use crate::failure::Failure;
use crate::session::Sink;
use crate::units;

/// Wider terminals get the bar, narrower only the figures.
const BAR_FROM: u16 = 110;
const BAR: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message {
    id: String,
    status: String,
    stream: String,
    progress_detail: Option<Detail>,
    error_detail: Option<ErrorDetail>,
    error: String,
    aux: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    current: i64,
    total: i64,
    start: i64,
    hidecounts: bool,
    units: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    message: String,
}

/// Shows a stream of messages; without a sink they are only read for the error at the end.
pub(crate) async fn show(sink: Option<&Sink>, reply: Reply<'_>) -> Result<(), Failure> {
    let mut reply = reply;
    let terminal = sink.is_some_and(Sink::is_terminal);
    let width = sink.and_then(Sink::size).map_or(200, |size| size.columns);
    let mut display = Display {
        lines: HashMap::new(),
        terminal,
        width,
    };
    while let Some(document) = reply.document().await? {
        let message: Message =
            serde_json::from_slice(&document).map_err(crate::client::ClientError::BadReply)?;
        let text = display.take(message)?;
        if let Some(sink) = sink {
            sink.write(text.as_bytes())?;
        }
    }
    Ok(())
}

struct Display {
    /// Line of each id in the current block, counted from its top.
    lines: HashMap<String, usize>,
    terminal: bool,
    width: u16,
}

impl Display {
    /// What to write for a message; the daemon's error as one.
    fn take(&mut self, message: Message) -> Result<String, Failure> {
        if message.aux.is_some() {
            return Ok(String::new());
        }
        if let Some(detail) = message.error_detail {
            return Err(Failure::Text(detail.message));
        }
        if !message.error.is_empty() {
            return Err(Failure::Text(message.error));
        }
        // An empty `progressDetail` comes with "Pull complete": the line's last word.
        let mut out = String::new();
        let mut down = 0;
        if message.id.is_empty() || message.progress_detail.is_none() {
            self.lines.clear();
        } else {
            let next = self.lines.len();
            let line = *self.lines.entry(message.id.clone()).or_insert(next);
            if line == next && self.terminal {
                out.push('\n');
            }
            down = self.lines.len() - line;
            if self.terminal {
                let _ = write!(out, "\x1b[{down}A");
            }
        }
        self.line(&mut out, &message);
        if down > 0 && self.terminal {
            let _ = write!(out, "\x1b[{down}B");
        }
        Ok(out)
    }

    fn line(&self, out: &mut String, message: &Message) {
        let bar = message
            .progress_detail
            .as_ref()
            .map(|detail| self.bar(detail));
        let mut end = "";
        match &bar {
            Some(_) if self.terminal && message.stream.is_empty() => {
                out.push_str("\x1b[2K\r");
                end = "\r";
            }
            // Figures that change are of no use in a file.
            Some(bar) if !bar.is_empty() => return,
            _ => {}
        }
        if !message.id.is_empty() {
            let _ = write!(out, "{}: ", message.id);
        }
        match bar {
            Some(bar) if self.terminal => {
                let _ = write!(out, "{} {bar}{end}", message.status);
            }
            _ if !message.stream.is_empty() => {
                let _ = write!(out, "{}{end}", message.stream);
            }
            _ => {
                let _ = writeln!(out, "{}{end}", message.status);
            }
        }
    }

    fn bar(&self, detail: &Detail) -> String {
        if detail.current <= 0 && detail.total <= 0 {
            return String::new();
        }
        let size = |bytes: i64| units::human_size(bytes as f64);
        if detail.total <= 0 {
            return if detail.units.is_empty() {
                format!("{:>8}", size(detail.current))
            } else {
                format!("{} {}", detail.current, detail.units)
            };
        }
        let share = detail.current as f64 / detail.total as f64 * 100.0;
        let done = ((share as usize) / 2).min(BAR);
        let mut out = String::new();
        if self.width > BAR_FROM {
            let _ = write!(out, "[{}>{}] ", "=".repeat(done), " ".repeat(BAR - done));
        }
        if !detail.hidecounts {
            if !detail.units.is_empty() {
                let _ = write!(out, "{}/{} {}", detail.current, detail.total, detail.units);
            } else if detail.current > detail.total {
                let _ = write!(out, "{:>8}", size(detail.current));
            } else {
                let _ = write!(out, "{:>8}/{}", size(detail.current), size(detail.total));
            }
        }
        if self.width > BAR_FROM / 2 && detail.current > 0 && detail.start > 0 && done < BAR {
            let passed = crate::time::now() - detail.start;
            let left = passed * (detail.total - detail.current) / detail.current;
            let _ = write!(out, " {left}s");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(terminal: bool, messages: &[&str]) -> Result<String, Failure> {
        let mut display = Display {
            lines: HashMap::new(),
            terminal,
            width: 200,
        };
        messages
            .iter()
            .map(|text| display.take(serde_json::from_str(text).unwrap()))
            .collect()
    }

    #[test]
    fn without_a_terminal_figures_are_left_out() {
        let text = shown(
            false,
            &[
                r#"{"status":"Loading layer","progressDetail":{"current":1,"total":2},"progress":"x","id":"abc"}"#,
                r#"{"status":"Pull complete","progressDetail":{},"id":"abc"}"#,
                r#"{"stream":"Loaded image: busybox:latest\n"}"#,
            ],
        );
        assert_eq!(
            text.unwrap(),
            "abc: Pull complete\nLoaded image: busybox:latest\n"
        );
    }

    #[test]
    fn on_a_terminal_a_line_is_drawn_over() {
        let message = r#"{"status":"Loading layer","progressDetail":{"current":512,"total":1024},"id":"abc"}"#;
        let bar = format!("[{}>{}]     512B/1.024kB", "=".repeat(25), " ".repeat(25));
        let drawn = format!("\x1b[1A\x1b[2K\rabc: Loading layer {bar}\r\x1b[1B");
        assert_eq!(
            shown(true, &[message, message]).unwrap(),
            format!("\n{drawn}{drawn}")
        );
    }

    #[test]
    fn the_daemons_error_ends_it() {
        let failed = shown(
            false,
            &[r#"{"errorDetail":{"message":"no space"},"error":"no space"}"#],
        );
        assert!(matches!(failed, Err(Failure::Text(text)) if text == "no space"));
    }
}
