//! `GET /events`, which goes on for as long as the client stays.

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use wharf_engine::EventStream;
use wharf_engine::model::EventQuery;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Gone, Outcome, Writer};
use crate::request::filters;
use crate::time;
use crate::version::ApiVersion;
use crate::wire::event::Event;

/// How the documents follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// One per line, under the content type that clients always got.
    Json,
    /// One per line, so called.
    Lines(&'static str),
    /// RFC 7464: a record separator before each.
    Sequence,
}

/// What is offered, best first.
const OFFERS: [(&str, Format); 3] = [
    ("application/jsonl", Format::Lines("application/jsonl")),
    (
        "application/x-ndjson",
        Format::Lines("application/x-ndjson"),
    ),
    ("application/json-seq", Format::Sequence),
];

impl Format {
    /// The one that the client likes best; one it does not name never wins over plain JSON.
    fn negotiate(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Self::Json);
        for value in headers.get_all(ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let quality = parts
                    .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
                    .unwrap_or(1.0);
                for (offered, format) in OFFERS {
                    if name.eq_ignore_ascii_case(offered) && quality > best.0 {
                        best = (quality, format);
                    }
                }
            }
        }
        best.1
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines(name) => name,
            Self::Sequence => "application/json-seq",
        }
    }

    fn encode(self, event: &Event<'_>) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(512);
        if self == Self::Sequence {
            bytes.push(0x1e);
        }
        serde_json::to_writer(&mut bytes, event).ok()?;
        bytes.push(b'\n');
        Some(bytes)
    }
}

fn query(call: &Call) -> Result<EventQuery, ApiError> {
    let since = time::read(call.query.get("since"))?;
    let until = time::read(call.query.get("until"))?;
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        return Err(ApiError::bad_request(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.get("since"),
            call.query.get("until")
        )));
    }
    Ok(EventQuery {
        since,
        until,
        filters: filters::read(&call.query)?,
    })
}

pub(super) async fn events(call: Call) -> Outcome {
    let query = query(&call)?;
    let format = Format::negotiate(&call.headers);
    let version = call.version;
    let events = call.engine().events(query).await?;
    let body = reply::written(async move |writer: Writer| {
        tokio::select! {
            _ = write(events, format, version, &writer) => {}
            () = writer.gone() => {}
        }
    });
    let kind = HeaderValue::from_static(format.content_type());
    Ok(reply::with_type(StatusCode::OK, kind, body))
}

async fn write(
    mut events: EventStream,
    format: Format,
    version: ApiVersion,
    writer: &Writer,
) -> Result<(), Gone> {
    while let Some(event) = events.recv().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "the journal of events cannot be read");
                return Ok(());
            }
        };
        // Images' create events came with 1.46.
        if version.before(46) && event.kind == "image" && event.action == "create" {
            continue;
        }
        if let Some(bytes) = format.encode(&Event::of(&event, version)) {
            writer.bytes(bytes).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        Format::negotiate(&headers).content_type()
    }

    #[test]
    fn the_clients_wish_decides_and_plain_json_is_the_default() {
        assert_eq!(Format::negotiate(&HeaderMap::new()), Format::Json);
        assert_eq!(negotiated("*/*"), "application/json");
        assert_eq!(negotiated("application/json-seq"), "application/json-seq");
        assert_eq!(
            negotiated("application/json-seq;q=0.5, application/jsonl"),
            "application/jsonl"
        );
        assert_eq!(negotiated("application/x-ndjson;q=0"), "application/json");
        assert_eq!(
            negotiated("text/html, application/x-ndjson;q=0.1"),
            "application/x-ndjson"
        );
    }

    #[test]
    fn a_sequence_has_its_separators() {
        let event = wharf_engine::model::Event {
            seq: 1,
            time: 1,
            kind: "daemon".into(),
            action: "reload".into(),
            actor: "x".into(),
            attributes: Default::default(),
        };
        let event = Event::of(&event, ApiVersion::NEWEST);
        let bytes = Format::Sequence.encode(&event).unwrap();
        assert_eq!((bytes[0], bytes.last()), (0x1e, Some(&b'\n')));
        assert_eq!(Format::Json.encode(&event).unwrap()[0], b'{');
    }
}
