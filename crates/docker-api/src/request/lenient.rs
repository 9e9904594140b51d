//! JSON as Go reads it: names in any case, unknown ones ignored, `null` for "not set".
//!
//! Docker's clients are written against Go's decoder and lean on all three. [`lenient!`] makes a
//! structure that decodes so; what it does not name is skipped without being kept, so a large body
//! costs no more than the fields that are known.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};

use crate::error::ApiError;

/// Declares a structure that decodes leniently: `field: Type = "JsonName"`.
macro_rules! lenient {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$doc:meta])* $field:ident: $type:ty = $key:literal, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $vis struct $name {
            $( $(#[$doc])* pub(crate) $field: $type, )*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        let mut value = $name::default();
                        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                            $(
                                if key.eq_ignore_ascii_case($key) {
                                    value.$field = map
                                        .next_value::<Option<$type>>()
                                        .map_err(|error| $crate::request::lenient::inside($key, &error))?
                                        .unwrap_or_default();
                                    continue;
                                }
                            )*
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok(value)
                    }
                }
                deserializer.deserialize_map(Fields)
            }
        }
    )*};
}

pub(crate) use lenient;

/// Says in which field an error is.
pub(crate) fn inside<E: de::Error>(key: &str, error: &E) -> E {
    E::custom(format_args!("{key}: {error}"))
}

/// A list, or a string that stands for a list of one: `Cmd` and `Entrypoint`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Option<Vec<String>>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(Some(vec![text.into()])))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Words, E> {
                Ok(Words(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element::<Option<String>>()? {
                    words.push(word.unwrap_or_default());
                }
                Ok(Words(Some(words)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The keys of a map whose values mean nothing: `{"80/tcp": {}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, de::IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(map.into_keys().collect()))
    }
}

/// Decodes a document, with dockerd's words for what is wrong with it.
pub(crate) fn from_slice<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request(
            "invalid JSON: got EOF while reading request body",
        ));
    }
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Option<T>>();
    let value = match documents.next() {
        Some(Ok(value)) => value.unwrap_or_default(),
        Some(Err(error)) => return Err(ApiError::bad_request(format!("invalid JSON: {error}"))),
        None => return Ok(T::default()),
    };
    let rest = &bytes[documents.byte_offset()..];
    if rest.iter().all(u8::is_ascii_whitespace) {
        Ok(value)
    } else {
        Err(ApiError::bad_request("unexpected content after JSON"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    lenient! {
        struct Inner {
            memory: i64 = "Memory",
        }
        struct Outer {
            name: String = "Name",
            tags: Vec<String> = "Tags",
            inner: Inner = "Inner",
            limit: Option<i64> = "Limit",
            cmd: Words = "Cmd",
            labels: BTreeMap<String, String> = "Labels",
            ports: Keys = "Ports",
        }
    }

    fn read(json: &str) -> Outer {
        from_slice(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_may_be_in_any_case_and_unknown_ones_are_skipped() {
        let outer = read(r#"{"name":"x","TAGS":["a"],"Else":{"deep":[1,2]},"inner":{"MEMORY":5}}"#);
        assert_eq!(
            (outer.name.as_str(), outer.tags.len(), outer.inner.memory),
            ("x", 1, 5)
        );
        // The keys of a map of the user's are left as they are.
        assert_eq!(read(r#"{"labels":{"NAME":"v"}}"#).labels["NAME"], "v");
    }

    #[test]
    fn null_means_not_set() {
        let json = r#"{"Name":null,"Tags":null,"Inner":null,"Limit":null,"Cmd":null,"Labels":null,"Ports":null}"#;
        assert_eq!(read(json), Outer::default());
        assert_eq!(read("null"), Outer::default());
        assert_eq!(read(r#"{"Limit":0}"#).limit, Some(0));
    }

    #[test]
    fn a_string_stands_for_a_list_of_one() {
        assert_eq!(read(r#"{"Cmd":"a b"}"#).cmd.0.unwrap(), ["a b"]);
        assert_eq!(read(r#"{"Cmd":["a","b"]}"#).cmd.0.unwrap(), ["a", "b"]);
        assert_eq!(read(r#"{"Cmd":[]}"#).cmd.0, Some(vec![]));
        assert_eq!(
            read(r#"{"Ports":{"80/tcp":{},"53/udp":null}}"#).ports.0,
            ["53/udp", "80/tcp"]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_the_way_to_it() {
        let refused = |json: &str| from_slice::<Outer>(json.as_bytes()).unwrap_err().message;
        let message = refused(r#"{"Inner":{"Memory":"much"}}"#);
        assert!(
            message.starts_with("invalid JSON: Inner: Memory: invalid type: string \"much\""),
            "{message}"
        );
        assert_eq!(
            refused("  "),
            "invalid JSON: got EOF while reading request body"
        );
        assert_eq!(refused("{} x"), "unexpected content after JSON");
        assert!(refused("{").starts_with("invalid JSON: "));
        assert!(refused("[1]").starts_with("invalid JSON: "));
        assert!(refused("nonsense").starts_with("invalid JSON: "));
    }

    #[test]
    fn a_document_nested_without_end_is_refused() {
        let bomb = format!("{{\"Else\":{}", "[".repeat(100_000));
        assert_eq!(
            from_slice::<Outer>(bomb.as_bytes()).unwrap_err().status,
            400
        );
    }
}
