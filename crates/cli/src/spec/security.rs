//! `--security-opt`: profiles are files here, text for the daemon.

use crate::failure::Failure;
use crate::json::Json;

/// The paths `systempaths=unconfined` stops hiding.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) options: Vec<String>,
    /// Masked and read-only paths are to be empty lists, not the daemon's defaults.
    pub(crate) open_system_paths: bool,
}

pub(crate) fn parse(options: &[String]) -> Result<Security, Failure> {
    let mut security = Security::default();
    for option in options {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            // `label:disable` is the old spelling.
            None => match option.split_once(':') {
                Some((key, value)) => (key, Some(value)),
                None => (option.as_str(), None),
            },
        };
        if value.is_none() && key != "no-new-privileges" {
            return Err(Failure::Text(format!(
                "Invalid --security-opt: {}",
                crate::go::quote(option)
            )));
        }
        match (key, value) {
            ("systempaths", Some("unconfined")) if option.contains('=') => {
                security.open_system_paths = true;
            }
            ("seccomp", Some(file)) if !matches!(file, "unconfined" | "builtin") => {
                security.options.push(format!("seccomp={}", profile(file)?));
            }
            _ => security.options.push(option.clone()),
        }
    }
    Ok(security)
}

/// The profile in `file`, on one line.
fn profile(file: &str) -> Result<String, Failure> {
    let bytes = std::fs::read(file).map_err(|error| {
        let text = error.to_string();
        let why = text
            .split(" (os error")
            .next()
            .unwrap_or_default()
            .to_lowercase();
        Failure::Text(format!(
            "opening seccomp profile ({file}) failed: open {file}: {why}"
        ))
    })?;
    match Json::parse(&bytes) {
        Ok(json) => Ok(json.compact()),
        Err(error) => Err(Failure::Text(format!(
            "compacting json for seccomp profile ({file}) failed: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seccomp_profile_is_sent_and_not_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}").unwrap();
        let options = [
            format!("seccomp={}", file.path().display()),
            "no-new-privileges".to_owned(),
        ];
        let security = parse(&options).unwrap();
        assert_eq!(
            security.options,
            [
                "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
                "no-new-privileges"
            ]
        );
    }

    #[test]
    fn system_paths_are_opened_and_bad_options_refused() {
        let security = parse(&["systempaths=unconfined".to_owned()]).unwrap();
        assert!(security.open_system_paths && security.options.is_empty());
        assert!(parse(&["nonsense".to_owned()]).is_err());
    }
}
