//! `docker events`

use crate::client::{Call, ClientError, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::go::SECOND;
use crate::inspect::FORMAT_HELP;
use crate::json::Json;
use crate::session::Session;
use crate::template::{Functions, Missing, Parsed};
use crate::time;

pub(crate) const COMMAND: Command = Command::verb(
    "events",
    "[OPTIONS]",
    "Get real time events from the server",
    Arity::None,
    || {
        Box::new(Events {
            filters: List::filters(),
            format: String::new(),
            since: String::new(),
            until: String::new(),
        })
    },
)
.paths(&["system events", "events"]);

struct Events {
    filters: List,
    format: String,
    since: String,
    until: String,
}

impl Verb for Events {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.long(
            &mut self.since,
            "since",
            "Show all events created since timestamp",
        );
        set.long(
            &mut self.until,
            "until",
            "Stream events until this timestamp",
        );
        set.short(
            &mut self.filters,
            "filter",
            'f',
            "Filter output based on conditions provided",
        );
        set.long(&mut self.format, "format", FORMAT_HELP);
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let template = match self.format.as_str() {
                "" | "json" => None,
                // Checked before anything is asked for.
                template => Some(Parsed::new("", template, Functions::Data).map_err(|error| {
                    Failure::Status(64, format!("Error parsing format: {error}"))
                })?),
            };
            let mut query = Query::new().add_filters(&self.filters);
            for (name, text) in [("since", &self.since), ("until", &self.until)] {
                if !text.is_empty() {
                    query = query.add(name, time::api_timestamp(text)?);
                }
            }
            let mut reply = session
                .client()?
                .send(Call::get("/events").query(query))
                .await?;
            while let Some(document) = reply.document().await? {
                let event = Json::parse(&document).map_err(ClientError::BadReply)?;
                let line = match &template {
                    Some(template) => template.render(&event, Missing::Error)?,
                    None if self.format == "json" => {
                        String::from_utf8_lossy(document.trim_ascii()).into_owned()
                    }
                    None => line(&event),
                };
                session.print(&format!("{line}\n"))?;
            }
            Ok(())
        })
    }
}

/// `2025-01-01T00:00:00.000000000Z container start 0123 (image=busybox, name=web)`
fn line(event: &Json) -> String {
    let at = match event.int("timeNano") {
        0 => event.int("time").saturating_mul(SECOND),
        nanoseconds => nanoseconds,
    };
    let actor = event.get("Actor").unwrap_or(&Json::Null);
    let mut line = format!(
        "{} {} {} {}",
        time::rfc3339_nano_local(at),
        event.text("Type"),
        event.text("Action"),
        actor.text("ID")
    );
    let mut attributes: Vec<String> = actor
        .entries("Attributes")
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_text().unwrap_or_default()))
        .collect();
    if !attributes.is_empty() {
        attributes.sort();
        line.push_str(&format!(" ({})", attributes.join(", ")));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_attributes_sorted() {
        let event = Json::parse(br#"{"Type":"container","Action":"exec_start: sh","Actor":{"ID":"01","Attributes":{"name":"web","image":"b"}},"time":1,"timeNano":1000000005}"#).unwrap();
        let line = line(&event);
        assert!(
            line.starts_with("1970-01-0") || line.starts_with("1969-12-31"),
            "{line}"
        );
        assert!(line.contains(":01.000000005"), "{line}");
        assert!(
            line.ends_with(" container exec_start: sh 01 (image=b, name=web)"),
            "{line}"
        );
    }
}
