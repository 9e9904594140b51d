//! `--format` for lists: a table, one JSON object a line, or a template a row.
//!
//! A listing gives its columns (field name and heading) and its rows; nothing here knows what
//! a container or an image is.

use crate::failure::Failure;
use crate::json::Json;
use crate::tabwriter;
use crate::template::{Functions, LABELS, Missing, Parsed};

/// Every field a template may name, with its heading.
pub(crate) type Columns = &'static [(&'static str, &'static str)];

/// Where a row keeps its JSON line for `{{json .}}`; not a name a template can write.
const LINE: &str = " json";

/// One line of a list: the value of every field, and the labels for `.Label "key"`.
pub(crate) struct Row {
    pub(crate) fields: Vec<(&'static str, Json)>,
    pub(crate) labels: Vec<(String, String)>,
}

impl Row {
    pub(crate) fn new(fields: Vec<(&'static str, Json)>) -> Row {
        Row {
            fields,
            labels: Vec::new(),
        }
    }

    /// All fields as one JSON line, sorted by name, with `<`, `>` and `&` escaped as Go does.
    fn line(&self) -> String {
        let mut fields: Vec<(String, Json)> = self
            .fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        escape_html(&Json::Object(fields).compact())
    }

    fn data(&self) -> Json {
        let mut fields: Vec<(String, Json)> = self
            .fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let labels = self
            .labels
            .iter()
            .map(|(k, v)| (k.clone(), Json::Text(v.clone())))
            .collect();
        fields.push((LABELS.to_owned(), Json::Object(labels)));
        fields.push((LINE.to_owned(), Json::Text(self.line())));
        Json::Object(fields)
    }
}

/// Go's JSON encoder keeps these out of HTML.
pub(crate) fn escape_html(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// What `--format` asks for, once `table` and `raw` are replaced by a listing's own templates.
pub(crate) struct Format(String);

impl Format {
    pub(crate) fn new(source: impl Into<String>) -> Format {
        Format(source.into())
    }

    /// `table`, `raw`, `json` or a template: the first two are the listing's own.
    pub(crate) fn choose(asked: &str, table: &str, raw: &str) -> Format {
        Format::new(match asked {
            "" | "table" => table,
            "raw" => raw,
            other => other,
        })
    }

    /// Does the template use this field? `{{json .}}` uses all.
    pub(crate) fn uses(&self, field: &str) -> bool {
        self.0.contains(&format!(".{field}")) || self.0.contains("json .}")
    }

    /// Refuses a template that cannot be parsed, before the daemon is asked for anything.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0 == "json" {
            return Ok(());
        }
        parse(&self.source(), Functions::Data).map(|_| ())
    }

    /// The template, with its escapes read and without the word `table`.
    fn source(&self) -> String {
        let source = self
            .0
            .strip_prefix("table")
            .map_or(self.0.as_str(), str::trim);
        source
            .trim_matches(' ')
            .replace("\\t", "\t")
            .replace("\\n", "\n")
            .replace("{{json .}}", &format!("{{{{index . {LINE:?}}}}}"))
    }

    /// Lays rows out, one under the other.
    pub(crate) fn list(&self, columns: Columns, rows: &[Row]) -> Result<String, Failure> {
        if self.0 == "json" {
            return Ok(rows.iter().map(|row| row.line() + "\n").collect());
        }
        let source = self.source();
        let table = self.0.starts_with("table");
        let template = parse(&source, Functions::Data)?;
        let failed = |error| Failure::Text(format!("failed to execute template: {error}"));
        let mut out = String::new();
        if table {
            let heading = parse(&source, Functions::Heading)?;
            let names = columns
                .iter()
                .map(|(field, heading)| ((*field).to_owned(), Json::from(*heading)))
                .collect();
            out.push_str(
                &heading
                    .render(&Json::Object(names), Missing::NoValue)
                    .map_err(failed)?,
            );
            out.push('\n');
        }
        for row in rows {
            out.push_str(
                &template
                    .render(&row.data(), Missing::Error)
                    .map_err(failed)?,
            );
            out.push('\n');
        }
        Ok(if table {
            tabwriter::align(&out, tabwriter::TABLE)
        } else {
            out
        })
    }
}

fn parse(source: &str, functions: Functions) -> Result<Parsed, Failure> {
    Parsed::new("", source, functions)
        .map_err(|error| Failure::Text(format!("failed to parse template: {error}")))
}

/// The first twelve characters of an id, without its algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.get(..12).unwrap_or(id)
}

/// At most `max` columns, the last an ellipsis when something is cut.
pub(crate) fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `a=1,b=2`, sorted.
pub(crate) fn joined_labels(labels: &[(String, String)]) -> String {
    let mut pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.sort();
    pairs.join(",")
}

/// Labels out of a JSON object.
pub(crate) fn labels_of(json: &Json, key: &str) -> Vec<(String, String)> {
    json.entries(key)
        .iter()
        .map(|(name, value)| (name.clone(), value.as_text().unwrap_or_default().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = &[("ID", "CONTAINER ID"), ("Names", "NAMES")];

    fn rows() -> Vec<Row> {
        let mut row = Row::new(vec![("Names", "a<b".into()), ("ID", "0123456789ab".into())]);
        row.labels.push(("com.x.my-key".to_owned(), "7".to_owned()));
        vec![row]
    }

    #[test]
    fn a_table_has_headings_and_three_spaces_between_columns() {
        let table = Format::new("table {{.ID}}\\t{{.Names}}")
            .list(COLUMNS, &rows())
            .unwrap();
        assert_eq!(table, "CONTAINER ID   NAMES\n0123456789ab   a<b\n");
    }

    #[test]
    fn a_label_column_is_named_after_the_label() {
        let format = Format::new("table {{.Names}}\\t{{.Label \"com.x.my-key\"}}\\t{{upper .ID}}");
        assert_eq!(
            format.list(COLUMNS, &rows()).unwrap(),
            "NAMES     my key    CONTAINER ID\na<b       7         0123456789AB\n"
        );
    }

    #[test]
    fn json_rows_are_sorted_and_escaped() {
        let expected = "{\"ID\":\"0123456789ab\",\"Names\":\"a\\u003cb\"}\n";
        assert_eq!(
            Format::new("json").list(COLUMNS, &rows()).unwrap(),
            expected
        );
        assert_eq!(
            Format::new("{{json .}}").list(COLUMNS, &rows()).unwrap(),
            expected
        );
        assert_eq!(
            Format::new("{{json .Names}}")
                .list(COLUMNS, &rows())
                .unwrap(),
            "\"a<b\"\n"
        );
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        assert!(Format::new("{{.Nope}}").list(COLUMNS, &rows()).is_err());
    }

    #[test]
    fn text_is_cut_with_an_ellipsis() {
        assert_eq!(
            ellipsis("sh -c 'echo hello world'", 20),
            "sh -c 'echo hello w…"
        );
        assert_eq!(ellipsis("short", 20), "short");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
    }
}
