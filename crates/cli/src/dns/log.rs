//! `wharf dns log`

use crate::client::{Call, ClientError, Query};
use crate::command::{Arity, Command, Run, Verb};
use crate::flags::{FlagSet, List};
use crate::json::Json;
use crate::session::Session;
use crate::table::short_id;

pub(crate) const COMMAND: Command = Command::verb(
    "log",
    "[OPTIONS]",
    "Show the names that containers asked for, and which of them left the machine",
    Arity::None,
    || Box::new(Log::default()),
);

#[derive(Default)]
struct Log {
    containers: List,
    follow: bool,
    forwarded: bool,
    json: bool,
}

impl Verb for Log {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.follow, "follow", 'f', "Go on as questions come");
        set.long(
            &mut self.forwarded,
            "forwarded",
            "Only the questions that servers elsewhere were asked",
        );
        set.long(
            &mut self.containers,
            "container",
            "Only the questions of this container (id or the beginning of one)",
        );
        set.long(&mut self.json, "json", "Lines as the daemon keeps them");
    }

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let query = Query::new().add_switch("follow", self.follow);
            let call = Call::get("/wharf/dns/log").query(query);
            let mut reply = session.client()?.send(call).await?;
            while let Some(document) = reply.document().await? {
                let asked = Json::parse(&document).map_err(ClientError::BadReply)?;
                if !self.shows(&asked) {
                    continue;
                }
                let line = if self.json {
                    String::from_utf8_lossy(document.trim_ascii()).into_owned()
                } else {
                    line(&asked)
                };
                session.print(&format!("{line}\n"))?;
            }
            Ok(())
        })
    }
}

impl Log {
    fn shows(&self, asked: &Json) -> bool {
        let container = asked.text("Container");
        let of_these = self.containers.is_empty()
            || self
                .containers
                .iter()
                .any(|wanted| container.starts_with(wanted.as_str()));
        of_these && (!self.forwarded || !asked.texts("Upstreams").is_empty())
    }
}

/// `2025-01-01T00:00:00Z 0123456789ab A example.com. Forwarded 10.0.0.1:53`
fn line(asked: &Json) -> String {
    let mut line = format!(
        "{} {} {} {} {}",
        asked.text("Time"),
        short_id(asked.text("Container")),
        asked.text("Type"),
        asked.text("Name"),
        asked.text("Outcome").to_lowercase(),
    );
    for server in asked.texts("Upstreams") {
        line.push(' ');
        line.push_str(server);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line_and_says_who_was_asked() {
        let asked = Json::parse(br#"{"Time":"2026-01-02T03:04:05Z","Container":"0123456789abcdef","Name":"example.com.","Type":"A","Outcome":"Forwarded","Upstreams":["10.0.0.1:53"]}"#).unwrap();
        assert_eq!(
            line(&asked),
            "2026-01-02T03:04:05Z 0123456789ab A example.com. forwarded 10.0.0.1:53"
        );
        let log = Log {
            forwarded: true,
            ..Log::default()
        };
        assert!(log.shows(&asked));
        let kept = Json::parse(br#"{"Container":"0","Outcome":"Kept"}"#).unwrap();
        assert!(!log.shows(&kept));
    }
}
