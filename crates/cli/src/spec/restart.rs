//! `--restart on-failure:3`

use serde::Serialize;

/// When the daemon starts a container again.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RestartPolicy {
    pub(crate) name: String,
    pub(crate) maximum_retry_count: i64,
}

impl RestartPolicy {
    /// Does it never restart?
    pub(crate) fn is_none(&self) -> bool {
        self.name.is_empty() || self.name == "no"
    }

    pub(crate) fn parse(text: &str) -> Result<RestartPolicy, String> {
        if text.is_empty() {
            return Ok(RestartPolicy::default());
        }
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(
                "invalid restart policy format: no policy provided before colon".to_owned(),
            );
        }
        let maximum_retry_count = match count {
            None | Some("") => 0,
            Some(count) => count.parse().map_err(|_| {
                "invalid restart policy format: maximum retry count must be an integer".to_owned()
            })?,
        };
        Ok(RestartPolicy {
            name: name.to_owned(),
            maximum_retry_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_may_have_a_count() {
        assert!(RestartPolicy::parse("no").unwrap().is_none());
        assert_eq!(
            RestartPolicy::parse("on-failure:3")
                .unwrap()
                .maximum_retry_count,
            3
        );
        assert!(
            RestartPolicy::parse(":3")
                .unwrap_err()
                .contains("no policy provided")
        );
        assert!(
            RestartPolicy::parse("always:x")
                .unwrap_err()
                .contains("must be an integer")
        );
    }
}
