//! The daemon's log on standard error, line by line as dockerd writes it, so that whoever reads
//! dockerd's reads ours.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::LogFormat;

/// The log, whose level may change.
pub(super) struct Logging(reload::Handle<LevelFilter, Registry>);

impl Logging {
    /// Writes the log from now on.
    pub(super) fn start(level: LevelFilter, format: LogFormat) -> Self {
        let (filter, handle) = reload::Layer::new(level);
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Lines(format))
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        // A second log in one process is nobody's; tests may have one.
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        Self(handle)
    }

    /// Changes the level.
    pub(super) fn set(&self, level: LevelFilter) {
        let _ = self.0.reload(level);
    }
}

struct Lines(LogFormat);

/// An event's fields, the message apart.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.put(field, text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            name => self.others.push((name, text)),
        }
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Quoted where a reader of `key=value` would stumble.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("{text:?}")
    }
}

impl Lines {
    fn print(&self, time: &str, level: Level, fields: Fields) -> String {
        match self.0 {
            LogFormat::Text => {
                let mut line = format!(
                    "time=\"{time}\" level={} msg={:?}",
                    word(level),
                    fields.message
                );
                for (name, text) in fields.others {
                    let _ = write!(line, " {name}={}", value(&text));
                }
                line
            }
            LogFormat::Json => {
                let mut object = Map::new();
                for (name, text) in fields.others {
                    object.insert(name.into(), Value::from(text));
                }
                object.insert("level".into(), Value::from(word(level)));
                object.insert("msg".into(), Value::from(fields.message));
                object.insert("time".into(), Value::from(time));
                Value::Object(object).to_string()
            }
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = self.print(&time, *event.metadata().level(), fields);
        writeln!(writer, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            message: "it said \"no\"".into(),
            others: vec![("path", "/a/b".into()), ("error", "no such file".into())],
        }
    }

    #[test]
    fn text_is_logrus_text() {
        assert_eq!(
            Lines(LogFormat::Text).print("T", Level::WARN, fields()),
            r#"time="T" level=warning msg="it said \"no\"" path=/a/b error="no such file""#
        );
    }

    #[test]
    fn json_is_an_object_per_line() {
        let line = Lines(LogFormat::Json).print("T", Level::INFO, fields());
        let object: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["msg"], "it said \"no\"");
        assert_eq!(object["level"], "info");
        assert_eq!(object["error"], "no such file");
        assert!(!line.contains('\n'));
    }
}
