//! The context files: `meta/<sha256 of the name>/meta.json`, `tls/<same>/docker/*.pem`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::client::{Endpoint, TlsFiles};
use crate::failure::{Failure, file_error};
use crate::json::{Json, nullable};

/// The contexts of one client directory.
pub(crate) struct Store {
    directory: PathBuf,
}

/// `meta.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Context {
    pub(crate) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) metadata: Metadata,
    #[serde(default, deserialize_with = "nullable")]
    pub(crate) endpoints: Endpoints,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(
        rename = "Description",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub(crate) description: String,
    /// What other programs keep here.
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    #[serde(default)]
    pub(crate) docker: DockerEndpoint,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerEndpoint {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    pub(crate) skip_tls_verify: bool,
}

impl Context {
    pub(crate) fn new(name: &str) -> Context {
        Context {
            name: name.to_owned(),
            metadata: Metadata::default(),
            endpoints: Endpoints::default(),
        }
    }
}

/// The TLS files a context may have.
pub(crate) const TLS_FILES: [&str; 3] = ["ca.pem", "cert.pem", "key.pem"];

impl Store {
    pub(crate) fn new(directory: PathBuf) -> Store {
        Store { directory }
    }

    fn id(name: &str) -> String {
        Sha256::digest(name.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(crate) fn meta_directory(&self, name: &str) -> PathBuf {
        self.directory.join("meta").join(Store::id(name))
    }

    pub(crate) fn tls_directory(&self, name: &str) -> PathBuf {
        self.directory.join("tls").join(Store::id(name))
    }

    /// The stored context, in docker's words when it is not there.
    pub(crate) fn get(&self, name: &str) -> Result<Context, Failure> {
        let path = self.meta_directory(name).join("meta.json");
        let shown = path.display();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Failure::Text(format!(
                    "context {name:?}: context not found: open {shown}: no such file or directory"
                )));
            }
            Err(error) => return Err(file_error("open", &shown.to_string(), &error)),
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::Text(format!("context {name:?}: parsing {shown}: {error}")))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.meta_directory(name).join("meta.json").exists()
    }

    /// All stored contexts, by name; files that cannot be read are left out.
    pub(crate) fn list(&self) -> Vec<Context> {
        let entries = fs::read_dir(self.directory.join("meta"))
            .into_iter()
            .flatten();
        let mut contexts: Vec<Context> = entries
            .filter_map(|entry| fs::read(entry.ok()?.path().join("meta.json")).ok())
            .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
            .collect();
        contexts.sort_by(|a, b| a.name.cmp(&b.name));
        contexts
    }

    pub(crate) fn put(&self, context: &Context) -> Result<(), Failure> {
        let json = serde_json::to_vec(context).map_err(|error| Failure::Text(error.to_string()))?;
        write(&self.meta_directory(&context.name), "meta.json", &json)
    }

    pub(crate) fn put_tls(&self, name: &str, file: &str, bytes: &[u8]) -> Result<(), Failure> {
        write(&self.tls_directory(name).join("docker"), file, bytes)
    }

    /// The TLS files of a context that are there.
    pub(crate) fn tls_files(&self, name: &str) -> Vec<(&'static str, PathBuf)> {
        let directory = self.tls_directory(name).join("docker");
        TLS_FILES
            .into_iter()
            .map(|file| (file, directory.join(file)))
            .filter(|(_, path)| path.exists())
            .collect()
    }

    pub(crate) fn clear_tls(&self, name: &str) -> Result<(), Failure> {
        remove(&self.tls_directory(name))
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        remove(&self.meta_directory(name))?;
        remove(&self.tls_directory(name))
    }

    /// Where a context's daemon is.
    pub(crate) fn endpoint(&self, name: &str) -> Result<Endpoint, Failure> {
        let docker = self.get(name)?.endpoints.docker;
        let files = self.tls_files(name);
        let find = |wanted: &str| {
            files
                .iter()
                .find(|(file, _)| *file == wanted)
                .map(|(_, path)| path.clone())
        };
        let tls = (!files.is_empty() || docker.skip_tls_verify).then(|| TlsFiles {
            ca: find("ca.pem"),
            identity: find("cert.pem").zip(find("key.pem")),
            skip_verify: docker.skip_tls_verify,
        });
        Ok(Endpoint::parse(&docker.host, tls)?)
    }

    /// `docker context inspect`: the metadata with where it is kept.
    pub(crate) fn describe(&self, context: &Context) -> Json {
        let text = |key: &str, value: String| (key.to_owned(), Json::Text(value));
        let docker = &context.endpoints.docker;
        let mut metadata = Vec::new();
        if !context.metadata.description.is_empty() {
            metadata.push(text("Description", context.metadata.description.clone()));
        }
        let files: Vec<Json> = self
            .tls_files(&context.name)
            .into_iter()
            .map(|(file, _)| file.into())
            .collect();
        let material = if files.is_empty() {
            Vec::new()
        } else {
            vec![("docker".to_owned(), Json::List(files))]
        };
        let stored = context.name != crate::session::DEFAULT_CONTEXT;
        let place = |path: PathBuf| {
            if stored {
                path.display().to_string()
            } else {
                "<IN MEMORY>".to_owned()
            }
        };
        Json::Object(vec![
            text("Name", context.name.clone()),
            ("Metadata".to_owned(), Json::Object(metadata)),
            (
                "Endpoints".to_owned(),
                Json::Object(vec![(
                    "docker".to_owned(),
                    Json::Object(vec![
                        text("Host", docker.host.clone()),
                        (
                            "SkipTLSVerify".to_owned(),
                            Json::Bool(docker.skip_tls_verify),
                        ),
                    ]),
                )]),
            ),
            ("TLSMaterial".to_owned(), Json::Object(material)),
            (
                "Storage".to_owned(),
                Json::Object(vec![
                    text("MetadataPath", place(self.meta_directory(&context.name))),
                    text("TLSPath", place(self.tls_directory(&context.name))),
                ]),
            ),
        ])
    }
}

/// Refuses a name that cannot be a context's.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err("context name cannot be empty".into());
    }
    if name == crate::session::DEFAULT_CONTEXT {
        return Err("\"default\" is a reserved context name".into());
    }
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() > 1
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.+-".contains(c));
    if good {
        return Ok(());
    }
    Err(Failure::Text(format!(
        "context name {name:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
    )))
}

fn write(directory: &Path, file: &str, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let path = directory.join(file);
    let fault = |error: io::Error| file_error("write", &path.display().to_string(), &error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(fault)?;
    let temporary = directory.join(format!(".{file}.{}", std::process::id()));
    // Keys are among these files.
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(fault)?;
    out.write_all(bytes).map_err(fault)?;
    fs::rename(&temporary, &path).map_err(fault)
}

#[allow(
    clippy::disallowed_methods,
    reason = "the user's own directory, named by a hash"
)]
fn remove(directory: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(
            "remove",
            &directory.display().to_string(),
            &error,
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_dockers() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let mut context = Context::new("nope");
        context.endpoints.docker.host = "tcp://h:1".to_owned();
        store.put(&context).unwrap();
        store.put_tls("nope", "ca.pem", b"x").unwrap();
        // The id docker itself uses for that name.
        let id = "ca3704aa0b06f5954c79ee837faa152d84d6b2d42838f0637a15eda8337dbdce";
        let meta =
            fs::read_to_string(directory.path().join("meta").join(id).join("meta.json")).unwrap();
        assert_eq!(
            meta,
            r#"{"Name":"nope","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":false}}}"#
        );
        assert_eq!(store.endpoint("nope").unwrap().to_string(), "tcp://h:1");
        store.remove("nope").unwrap();
        assert!(store.list().is_empty() && !store.exists("nope"));
    }

    #[test]
    fn fields_of_others_are_kept() {
        let text = r#"{"Name":"a","Metadata":{"Description":"d","x":1},"Endpoints":{"docker":{"Host":"h","SkipTLSVerify":true},"k":{}}}"#;
        let context: Context = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&context).unwrap(), text);
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("my-context.1").is_ok());
        for bad in ["", "default", "-x", "a/b", "x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
