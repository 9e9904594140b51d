//! `docker tag`

use crate::client::{Call, Query, escape};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::perform;
use crate::flags::FlagSet;
use crate::image::{reference, split_tag, with_default_tag};
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "tag",
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    Arity::Exactly(2),
    || Box::new(Tag),
)
.paths(&["image tag", "tag"])
.names(Names::Images);

struct Tag;

impl Verb for Tag {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            for (reference, wrong) in [
                (&args[0], reference::check_any(&args[0])),
                (&args[1], reference::check_name(&args[1])),
            ] {
                wrong.map_err(|why| {
                    format!(
                        "Error parsing reference: {reference:?} is not a valid repository/tag: {why}"
                    )
                })?;
            }
            let target = with_default_tag(&args[1]);
            // A digest cannot be given; whole, it is refused by name.
            let (repository, tag) = if target.contains('@') {
                (target.as_str(), None)
            } else {
                split_tag(&target)
            };
            let query = Query::new()
                .add("repo", repository)
                .add_text("tag", tag.unwrap_or_default());
            let call = Call::post(format!("/images/{}/tag", escape(&args[0]))).query(query);
            perform(session.client()?, call).await
        })
    }
}
