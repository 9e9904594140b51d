//! Filters: JSON in the `filters` parameter, in either of the two forms clients write.

use std::collections::BTreeMap;

use serde::Deserialize;
use wharf_engine::model::Filters;

use crate::error::ApiError;
use crate::request::query::Query;

/// `{"status": {"running": true}}` as the docker CLI writes it, or `{"status": ["running"]}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Sets(BTreeMap<String, BTreeMap<String, bool>>),
    Lists(BTreeMap<String, Vec<String>>),
}

/// The filters of a request.
pub(crate) fn read(query: &Query) -> Result<Filters, ApiError> {
    let Some(text) = query.some("filters") else {
        return Ok(Filters::new());
    };
    match serde_json::from_str(text) {
        Ok(Some(Wire::Lists(lists))) => Ok(lists),
        Ok(Some(Wire::Sets(sets))) => Ok(sets
            .into_iter()
            .map(|(name, values)| {
                let wanted = values.into_iter().filter(|(_, wanted)| *wanted);
                (name, wanted.map(|(value, _)| value).collect())
            })
            .collect()),
        Ok(None) => Ok(Filters::new()),
        Err(_) => Err(ApiError::bad_request("invalid filter")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Filters, ApiError> {
        let text = form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", json)
            .finish();
        read(&Query::parse(&text))
    }

    #[test]
    fn both_forms_mean_the_same() {
        let sets = parse(r#"{"label":{"a=b":true,"c":true},"status":{"exited":false}}"#).unwrap();
        assert_eq!(sets["label"], ["a=b", "c"]);
        assert!(sets["status"].is_empty());
        let lists = parse(r#"{"label":["a=b","c"]}"#).unwrap();
        assert_eq!(lists["label"], sets["label"]);
    }

    #[test]
    fn nothing_filters_nothing() {
        for json in ["", "{}", "null"] {
            assert!(parse(json).unwrap().is_empty(), "{json}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_in_dockers_words() {
        for json in ["[", "[]", "\"x\"", r#"{"a":1}"#, r#"{"a":{"b":"c"}}"#] {
            assert_eq!(
                parse(json).unwrap_err(),
                ApiError::bad_request("invalid filter"),
                "{json}"
            );
        }
    }
}
