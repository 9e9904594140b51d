//! `GET /containers/{id}/logs`

use std::collections::BTreeMap;

use hyper::StatusCode;
use hyper::header::HeaderValue;
use wharf_engine::Error;
use wharf_engine::model::{LogLine, LogOptions, LogStream, StdStream};

use crate::call::Call;
use crate::error::ApiError;
use crate::frame::Framing;
use crate::reply::{self, Outcome, Writer};
use crate::request::query::Query;
use crate::time;

/// How a line is printed.
struct Style {
    timestamps: bool,
    /// `details`: what the log driver was told to note with each line.
    details: Option<String>,
    framing: Framing,
}

fn options(query: &Query) -> Result<LogOptions, ApiError> {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::bad_request(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    Ok(LogOptions {
        follow: query.flag("follow"),
        stdout,
        stderr,
        since: time::read(query.get("since"))?.filter(|time| *time != 0),
        until: time::read(query.get("until"))?.filter(|time| *time != 0),
        // What is no number is all, as in dockerd.
        tail: query.get("tail").parse().ok(),
    })
}

pub(super) async fn logs(call: Call, id: &str) -> Outcome {
    let options = options(&call.query)?;
    let details = if call.query.flag("details") {
        let view = call.engine().inspect(id, false).await?;
        Some(details(
            &view.spec.host.log_options,
            &view.spec.labels,
            &view.spec.env,
        ))
    } else {
        None
    };
    let log = call.engine().logs(id, options).await?;
    let style = Style {
        timestamps: call.query.flag("timestamps"),
        details,
        framing: Framing::of(log.tty),
    };
    let kind = style.framing.content_type(call.version.at_least(42));
    let body = reply::written(async move |writer| write(log, style, writer).await);
    Ok(reply::with_type(
        StatusCode::OK,
        HeaderValue::from_static(kind),
        body,
    ))
}

/// Lines that are there already go out together, up to this much.
const TOGETHER: usize = 32 * 1024;

async fn write(mut log: LogStream, style: Style, writer: Writer) {
    loop {
        let first = tokio::select! {
            line = log.lines.recv() => line,
            () = writer.gone() => return,
        };
        let Some(first) = first else { return };
        let mut bytes = style.print_or_say(first);
        while bytes.len() < TOGETHER
            && let Ok(line) = log.lines.try_recv()
        {
            bytes.append(&mut style.print_or_say(line));
        }
        if writer.bytes(bytes).await.is_err() {
            return;
        }
    }
}

impl Style {
    /// A line, or in its place what went wrong with it.
    fn print_or_say(&self, line: Result<LogLine, Error>) -> Vec<u8> {
        match line {
            Ok(line) => self.print(line),
            Err(error) => self.framing.encode(
                StdStream::System,
                format!("Error grabbing logs: {error}\n").into_bytes(),
            ),
        }
    }

    fn print(&self, line: LogLine) -> Vec<u8> {
        if !self.timestamps && self.details.is_none() {
            return self.framing.encode(line.stream, line.data);
        }
        let mut text = Vec::with_capacity(line.data.len() + 40);
        if self.timestamps {
            text.extend_from_slice(time::rfc3339_fixed(line.time).as_bytes());
            text.push(b' ');
        }
        if let Some(details) = &self.details {
            text.extend_from_slice(details.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(&line.data);
        self.framing.encode(line.stream, text)
    }
}

/// `key=value,...` of the labels and variables that the log's options name, sorted and escaped.
fn details(
    log_options: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    env: &[String],
) -> String {
    let named = |option: &str| {
        let names = log_options.get(option).map(String::as_str);
        names
            .unwrap_or_default()
            .split(',')
            .filter(|name| !name.is_empty())
    };
    let mut pairs: BTreeMap<&str, &str> = BTreeMap::new();
    for name in named("labels") {
        if let Some((key, value)) = labels.get_key_value(name) {
            pairs.insert(key, value);
        }
    }
    for name in named("env") {
        let found = env.iter().filter_map(|entry| entry.split_once('='));
        pairs.extend(found.filter(|(key, _)| *key == name));
    }
    if let Some(tag) = log_options.get("tag") {
        pairs.insert("tag", tag);
    }
    let escape = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    pairs
        .into_iter()
        .map(|(key, value)| format!("{}={}", escape(key), escape(value)))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        LogLine {
            stream: StdStream::Stdout,
            time: 1_700_000_000_500_000_000,
            data: b"hi\n".to_vec(),
        }
    }

    #[test]
    fn a_line_is_framed_with_its_time_inside() {
        let style = Style {
            timestamps: true,
            details: Some("a=b".into()),
            framing: Framing::Multiplexed,
        };
        let text = b"2023-11-14T22:13:20.500000000Z a=b hi\n";
        let printed = style.print(line());
        assert_eq!(
            printed[..8],
            [1, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()]
        );
        assert_eq!(&printed[8..], text);
    }

    #[test]
    fn a_terminals_line_is_bare() {
        let style = Style {
            timestamps: false,
            details: None,
            framing: Framing::Raw,
        };
        assert_eq!(style.print(line()), b"hi\n");
    }

    #[test]
    fn at_least_one_stream_must_be_chosen() {
        assert_eq!(
            options(&Query::parse("follow=1")).unwrap_err().message,
            "Bad parameters: you must choose at least one stream"
        );
    }

    #[test]
    fn the_tail_is_a_number_or_all() {
        let tail = |text: &str| {
            options(&Query::parse(&format!("stdout=1&tail={text}")))
                .unwrap()
                .tail
        };
        assert_eq!(
            (tail("5"), tail("all"), tail(""), tail("-1"), tail("0")),
            (Some(5), None, None, None, Some(0))
        );
    }

    #[test]
    fn zero_is_no_time() {
        let read = options(&Query::parse("stdout=1&since=0&until=1700000000.5")).unwrap();
        assert_eq!(
            (read.since, read.until),
            (None, Some(1_700_000_000_500_000_000))
        );
    }

    #[test]
    fn details_are_what_the_options_name() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let options = map(&[("labels", "b,absent"), ("env", "A"), ("max-size", "1m")]);
        let labels = map(&[("b", "x y"), ("c", "z")]);
        assert_eq!(
            details(&options, &labels, &["A=1".into(), "B=2".into()]),
            "A=1,b=x+y"
        );
    }
}
