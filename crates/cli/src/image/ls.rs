//! `docker images`

use serde::Deserialize;

use crate::client::{Call, Query};
use crate::command::{Arity, Command, Names, Run, Verb};
use crate::container::ls::FORMAT_HELP;
use crate::failure::Failure;
use crate::flags::{FlagSet, List};
use crate::image::{familiar, split_tag};
use crate::json::nullable;
use crate::session::Session;
use crate::table::{Columns, Format, Row, short_id};
use crate::{time, units};

pub(crate) const COMMAND: Command = Command::verb(
    "ls",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    Arity::AtMost(1),
    || {
        Box::new(Ls {
            filters: List::filters(),
            ..Ls::default()
        })
    },
)
.aliases(&["list"])
.paths(&["image ls", "image list", "images"])
.names(Names::FirstImage);

pub(crate) const COLUMNS: Columns = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

const TABLE: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\\t{{.Size}}";
const TABLE_DIGESTS: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\\t{{.Size}}";
const RAW: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";
const RAW_DIGESTS: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";

const NONE: &str = "<none>";

#[derive(Default)]
struct Ls {
    all: bool,
    digests: bool,
    filters: List,
    format: String,
    no_trunc: bool,
    quiet: bool,
    tree: bool,
}

impl Verb for Ls {
    fn flags<'a>(&'a mut self, set: &mut FlagSet<'a>) {
        set.short(&mut self.quiet, "quiet", 'q', "Only show image IDs");
        set.short(
            &mut self.all,
            "all",
            'a',
            "Show all images (default hides intermediate images)",
        );
        set.long(&mut self.no_trunc, "no-trunc", "Don't truncate output");
        set.long(&mut self.digests, "digests", "Show digests");
        set.long(&mut self.format, "format", FORMAT_HELP);
        set.short(
            &mut self.filters,
            "filter",
            'f',
            "Filter output based on conditions provided",
        );
        set.long(
            &mut self.tree,
            "tree",
            "List multi-platform images as a tree (EXPERIMENTAL)",
        );
    }

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            if self.tree {
                return Err(Failure::Missing(
                    "--tree is not supported: Wharf keeps one platform of an image; the plain list shows everything".to_owned(),
                ));
            }
            let mut filters = self.filters.to_vec();
            filters.extend(args.first().map(|name| format!("reference={name}")));
            let asked = match session.config().text("imagesFormat") {
                configured if self.format.is_empty() && !self.quiet => configured,
                _ => &self.format,
            };
            let format = match (self.quiet, asked, self.digests) {
                (true, "raw", _) => Format::new("image_id: {{.ID}}"),
                (true, _, _) => Format::new("{{.ID}}"),
                (_, asked, true) => Format::choose(asked, TABLE_DIGESTS, RAW_DIGESTS),
                (_, asked, false) => Format::choose(asked, TABLE, RAW),
            };
            format.check()?;
            let query = Query::new()
                .add_switch("all", self.all)
                .add_filters(&filters);
            let call = Call::get("/images/json").query(query);
            let images: Vec<Image> = session.client()?.send(call).await?.json().await?;
            let with_digests = self.digests || format.uses("Digest");
            let rows: Vec<Row> = images
                .iter()
                .flat_map(|image| image.rows(with_digests, !self.no_trunc))
                .collect();
            session.print(&format.list(COLUMNS, &rows)?)?;
            Ok(())
        })
    }
}

/// What the list of images says of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Image {
    id: String,
    #[serde(deserialize_with = "nullable")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    repo_digests: Vec<String>,
    created: i64,
    pub(crate) size: i64,
    pub(crate) shared_size: i64,
    pub(crate) containers: i64,
}

impl Image {
    fn is_dangling(&self) -> bool {
        let no_tags = self.repo_tags.is_empty() || self.repo_tags == ["<none>:<none>"];
        let no_digests = self.repo_digests.is_empty() || self.repo_digests == ["<none>@<none>"];
        no_tags && no_digests
    }

    /// A line per tag; with digests, a line per tag and digest; and one for what has a digest
    /// only.
    pub(crate) fn rows(&self, digests: bool, truncate: bool) -> Vec<Row> {
        if self.is_dangling() {
            return vec![self.row(NONE, NONE, NONE, truncate)];
        }
        let tagged: Vec<(&str, &str)> = self
            .repo_tags
            .iter()
            .filter_map(|reference| match split_tag(reference) {
                (name, Some(tag)) => Some((familiar(name), tag)),
                _ => None,
            })
            .collect();
        let digested: Vec<(&str, &str)> = self
            .repo_digests
            .iter()
            .filter_map(|reference| reference.split_once('@'))
            .map(|(name, digest)| (familiar(name), digest))
            .collect();
        let mut rows = Vec::new();
        for (name, tag) in &tagged {
            let mut own = digested
                .iter()
                .filter(|(of, _)| digests && of == name)
                .peekable();
            if own.peek().is_none() {
                rows.push(self.row(name, tag, NONE, truncate));
            }
            rows.extend(own.map(|(_, digest)| self.row(name, tag, digest, truncate)));
        }
        let mut alone = digested
            .iter()
            .filter(|(name, _)| !tagged.iter().any(|(of, _)| of == name));
        if digests {
            rows.extend(alone.map(|(name, digest)| self.row(name, NONE, digest, truncate)));
        } else {
            rows.extend(
                alone
                    .next()
                    .map(|(name, _)| self.row(name, NONE, "", truncate)),
            );
        }
        rows
    }

    /// The line of the first tag only, for `system df -v`.
    pub(crate) fn first_row(&self) -> Row {
        let (name, tag) = match self.repo_tags.first() {
            Some(reference) if !self.is_dangling() => match split_tag(reference) {
                (name, Some(tag)) => (familiar(name), tag),
                _ => (NONE, NONE),
            },
            _ => (NONE, NONE),
        };
        self.row(name, tag, NONE, true)
    }

    fn row(&self, repository: &str, tag: &str, digest: &str, truncate: bool) -> Row {
        let known = |size: i64| match size {
            -1 => "N/A".to_owned(),
            size => units::human_size(size as f64),
        };
        let id = if truncate {
            short_id(&self.id)
        } else {
            &self.id
        };
        let unique = match (self.size, self.shared_size) {
            (-1, _) | (_, -1) => -1,
            (size, shared) => size - shared,
        };
        let containers = match self.containers {
            -1 => "N/A".to_owned(),
            count => count.to_string(),
        };
        let size = units::human_size_with(self.size as f64, 3);
        Row::new(vec![
            ("ID", id.into()),
            ("Repository", repository.into()),
            ("Tag", tag.into()),
            ("Digest", digest.into()),
            ("CreatedSince", time::ago(self.created).into()),
            ("CreatedAt", time::go_string(self.created).into()),
            ("Size", size.as_str().into()),
            ("Containers", containers.into()),
            ("VirtualSize", units::human_size(self.size as f64).into()),
            ("SharedSize", known(self.shared_size).into()),
            ("UniqueSize", known(unique).into()),
        ])
    }
}

/// `os[/arch[/variant]]` as the JSON the API takes; empty stays empty.
pub(crate) fn platform_json(text: &str) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    #[derive(serde::Serialize)]
    struct Platform<'p> {
        #[serde(skip_serializing_if = "str::is_empty")]
        architecture: &'p str,
        #[serde(skip_serializing_if = "str::is_empty")]
        os: &'p str,
        #[serde(skip_serializing_if = "str::is_empty")]
        variant: &'p str,
    }
    let parts: Vec<&str> = text.split('/').collect();
    let platform = match parts.as_slice() {
        [os] => Platform {
            os,
            architecture: "",
            variant: "",
        },
        [os, architecture] => Platform {
            os,
            architecture,
            variant: "",
        },
        [os, architecture, variant] => Platform {
            os,
            architecture,
            variant,
        },
        _ => {
            return Err(Failure::Text(format!(
                "invalid platform: {text:?} is an invalid OS component"
            )));
        }
    };
    serde_json::to_string(&platform).map_err(|error| Failure::Text(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(json: &str) -> Image {
        serde_json::from_str(json).unwrap()
    }

    fn shown(image: &Image, digests: bool) -> String {
        Format::new("{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}} {{.Size}}")
            .list(COLUMNS, &image.rows(digests, true))
            .unwrap()
    }

    #[test]
    fn every_tag_has_its_line() {
        let two = image(
            r#"{"Id":"sha256:0123456789abcdef","RepoTags":["busybox:1","localhost:5000/b:2"],"RepoDigests":["busybox@sha256:ff"],"Size":4260000}"#,
        );
        assert_eq!(
            shown(&two, false),
            "busybox 1 <none> 0123456789ab 4.26MB\nlocalhost:5000/b 2 <none> 0123456789ab 4.26MB\n"
        );
        assert!(shown(&two, true).starts_with("busybox 1 sha256:ff 0123456789ab"));
    }

    #[test]
    fn an_image_without_names_is_none() {
        let dangling =
            image(r#"{"Id":"sha256:0123456789abcdef","RepoTags":null,"RepoDigests":[]}"#);
        assert_eq!(
            shown(&dangling, false),
            "<none> <none> <none> 0123456789ab 0B\n"
        );
        let digest_only =
            image(r#"{"Id":"sha256:0123456789abcdef","RepoDigests":["a@sha256:ff"]}"#);
        assert_eq!(
            shown(&digest_only, true),
            "a <none> sha256:ff 0123456789ab 0B\n"
        );
    }

    #[test]
    fn platforms_are_sent_as_json() {
        assert_eq!(
            platform_json("linux/arm/v7").unwrap(),
            r#"{"architecture":"arm","os":"linux","variant":"v7"}"#
        );
        assert_eq!(platform_json("").unwrap(), "");
        assert!(platform_json("a/b/c/d").is_err());
    }
}
