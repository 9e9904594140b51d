//! `config.json` in the client's directory (`~/.docker`), shared with docker.
//!
//! Only what we understand is read; saving changes one key and keeps every other as it was.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, file_error};
use crate::json::{self, Json};

/// The client's directory and the file in it.
pub(crate) struct Config {
    pub(crate) directory: PathBuf,
    values: Json,
}

impl Config {
    /// Reads the file; one that is not there is empty, one that is broken is said.
    pub(crate) fn load(directory: &Path) -> (Config, Option<String>) {
        let path = directory.join("config.json");
        let empty = || Json::Object(Vec::new());
        let (values, warning) = match std::fs::read(&path) {
            Ok(bytes) => match Json::parse(&bytes) {
                Ok(values) => (values, None),
                Err(error) => (
                    empty(),
                    Some(format!(
                        "WARNING: Error loading config file: {}: {error}",
                        path.display()
                    )),
                ),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (empty(), None),
            Err(error) => (
                empty(),
                Some(format!(
                    "WARNING: Error loading config file: open {}: {error}",
                    path.display()
                )),
            ),
        };
        (
            Config {
                directory: directory.to_owned(),
                values,
            },
            warning,
        )
    }

    /// A text setting such as `psFormat`; empty when not set.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.values.text(key)
    }

    /// `HttpHeaders`.
    pub(crate) fn http_headers(&self) -> Vec<(String, String)> {
        self.values
            .entries("HttpHeaders")
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned())))
            // Ours to set.
            .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
            .collect()
    }

    /// The proxy variables for containers made through `host`: `proxies` of config.json.
    pub(crate) fn proxies(&self, host: &str) -> Vec<(String, String)> {
        const VARIABLES: &[(&str, &str)] = &[
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ];
        let Some(proxies) = self.values.get("proxies") else {
            return Vec::new();
        };
        let Some(chosen) = proxies.get(host).or_else(|| proxies.get("default")) else {
            return Vec::new();
        };
        VARIABLES
            .iter()
            .filter(|(key, _)| !chosen.text(key).is_empty())
            .flat_map(|(key, variable)| {
                let value = chosen.text(key).to_owned();
                [
                    ((*variable).to_owned(), value.clone()),
                    (variable.to_lowercase(), value),
                ]
            })
            .collect()
    }

    /// Sets one text key (an empty value removes it) and writes the file in one rename.
    pub(crate) fn set_text(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        let mut entries = match std::mem::replace(&mut self.values, Json::Null) {
            Json::Object(entries) => entries,
            _ => Vec::new(),
        };
        entries.retain(|(name, _)| name != key);
        if !value.is_empty() {
            entries.push((key.to_owned(), value.into()));
        }
        // docker's file always has this key.
        if !entries.iter().any(|(name, _)| name == "auths") {
            entries.insert(0, ("auths".to_owned(), Json::Object(Vec::new())));
        }
        self.values = Json::Object(entries);
        let path = self.directory.join("config.json");
        self.write(&path)
            .map_err(|error| file_error("write", &path.display().to_string(), &error))
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        // A link to a file elsewhere stays a link: the file behind it is replaced.
        let target = match std::fs::read_link(path) {
            Ok(link) => self.directory.join(link),
            Err(_) => path.to_owned(),
        };
        let temporary = target.with_extension(format!("json.{}", std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&json::indent(self.values.compact().as_bytes(), "", "\t"))?;
        file.sync_all()?;
        std::fs::rename(&temporary, &target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_key_keeps_the_others_and_their_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"zed":{"b":1,"a":2},"auths":{},"detachKeys":"ctrl-a"}"#,
        )
        .unwrap();
        let (mut config, warning) = Config::load(directory.path());
        assert_eq!(warning, None);
        assert_eq!(config.text("detachKeys"), "ctrl-a");
        config.set_text("currentContext", "far").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("{\n\t\"zed\": {\n\t\t\"b\": 1,\n\t\t\"a\": 2\n"),
            "{text}"
        );
        assert!(text.ends_with("\"currentContext\": \"far\"\n}"), "{text}");
        config.set_text("currentContext", "").unwrap();
        assert!(
            !std::fs::read_to_string(&path)
                .unwrap()
                .contains("currentContext")
        );
    }

    #[test]
    fn a_broken_file_is_said_and_read_as_empty() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), "{").unwrap();
        let (config, warning) = Config::load(directory.path());
        assert!(warning.unwrap().contains("Error loading config file"));
        assert_eq!(config.text("psFormat"), "");
    }

    #[test]
    fn proxies_are_the_hosts_or_the_default() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("config.json"),
            r#"{"proxies":{"default":{"httpProxy":"http://p:1"},"tcp://x":{"noProxy":"a"}}}"#,
        )
        .unwrap();
        let (config, _) = Config::load(directory.path());
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            config.proxies("unix:///s"),
            [
                pair("HTTP_PROXY", "http://p:1"),
                pair("http_proxy", "http://p:1")
            ]
        );
        assert_eq!(
            config.proxies("tcp://x"),
            [pair("NO_PROXY", "a"), pair("no_proxy", "a")]
        );
    }
}
