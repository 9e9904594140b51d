//! `docker context export` and `import`: a tar of `meta.json` and `tls/docker/*.pem`.

use std::fs;
use std::io::{Read, Write as _};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

use crate::command::{Arity, Command, Names, Run, Verb};
use crate::context::store::{Context, TLS_FILES, check_name};
use crate::failure::{Failure, file_error};
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const EXPORT: Command = Command::verb(
    "export",
    "[OPTIONS] CONTEXT [FILE|-]",
    "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    Arity::Between(1, 2),
    || Box::new(Export),
)
.names(Names::Contexts);

pub(crate) const IMPORT: Command = Command::verb(
    "import",
    "CONTEXT FILE|-",
    "Import a context from a tar or zip file",
    Arity::Exactly(2),
    || Box::new(Import),
)
.names(Names::Files);

/// A context is a few kilobytes; this is docker's own limit.
const LARGEST: u64 = 10 << 20;

struct Export;

impl Verb for Export {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let name = args[0].as_str();
            check_name(name)?;
            let default_file = format!("{name}.dockercontext");
            let file = args.get(1).map_or(default_file.as_str(), String::as_str);
            let bytes = pack(session, name)?;
            if file == "-" {
                if session.out.is_terminal() {
                    return Err(
                        "cowardly refusing to export to a terminal, specify a file path".into(),
                    );
                }
                session.out.write(&bytes)?;
                return Ok(());
            }
            use std::os::unix::fs::OpenOptionsExt as _;
            // It may hold a key, and an export that is there is not written over.
            let mut out = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file)
                .map_err(|error| file_error("open", file, &error))?;
            out.write_all(&bytes)
                .map_err(|error| file_error("write", file, &error))?;
            session.complain(&format!("Written file {file:?}"));
            Ok(())
        })
    }
}

fn pack(session: &Session, name: &str) -> Result<Vec<u8>, Failure> {
    let store = session.contexts();
    let meta =
        serde_json::to_vec(&store.get(name)?).map_err(|error| Failure::Text(error.to_string()))?;
    let mut builder = Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, body: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(body.len() as u64);
        builder.append_data(&mut header, path, body)
    };
    add("meta.json", EntryType::Regular, 0o644, &meta)?;
    let files = store.tls_files(name);
    if !files.is_empty() {
        add("tls", EntryType::Directory, 0o700, &[])?;
        add("tls/docker", EntryType::Directory, 0o700, &[])?;
    }
    for (file, path) in files {
        let bytes = fs::read(&path)
            .map_err(|error| file_error("open", &path.display().to_string(), &error))?;
        add(
            &format!("tls/docker/{file}"),
            EntryType::Regular,
            0o600,
            &bytes,
        )?;
    }
    Ok(builder.into_inner()?)
}

struct Import;

impl Verb for Import {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, args: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let (name, file) = (args[0].as_str(), args[1].as_str());
            check_name(name)?;
            let store = session.contexts();
            if store.exists(name) {
                return Err(Failure::Text(format!("context {name:?} already exists")));
            }
            let mut bytes = Vec::new();
            let mut source: Box<dyn Read> = if file == "-" {
                Box::new(std::io::stdin())
            } else {
                Box::new(fs::File::open(file).map_err(|error| file_error("open", file, &error))?)
            };
            source.by_ref().take(LARGEST).read_to_end(&mut bytes)?;
            if bytes.starts_with(b"PK") {
                return Err(Failure::Missing(
                    "contexts in zip files cannot be imported; export it again as a tar archive"
                        .to_owned(),
                ));
            }
            let (mut context, files) = unpack(&bytes)?;
            name.clone_into(&mut context.name);
            store.put(&context)?;
            for (file, bytes) in files {
                store.put_tls(name, file, &bytes)?;
            }
            session.print(&format!("{name}\n"))?;
            session.complain(&format!("Successfully imported context {name:?}"));
            Ok(())
        })
    }
}

type Files = Vec<(&'static str, Vec<u8>)>;

/// Only the names that belong in a context are taken.
fn unpack(bytes: &[u8]) -> Result<(Context, Files), Failure> {
    let mut context = None;
    let mut files = Vec::new();
    for entry in Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let mut body = Vec::new();
        entry.read_to_end(&mut body)?;
        if path == Path::new("meta.json") {
            context = Some(serde_json::from_slice(&body).map_err(|error| {
                Failure::Text(format!("unexpected context file: meta.json: {error}"))
            })?);
            continue;
        }
        let known = TLS_FILES
            .into_iter()
            .find(|file| path == Path::new("tls/docker").join(file));
        match known {
            Some(file) => files.push((file, body)),
            None => {
                return Err(Failure::Text(format!(
                    "unexpected context file: {}",
                    path.display()
                )));
            }
        }
    }
    match context {
        Some(context) => Ok((context, files)),
        None => Err("invalid context: no metadata found".into()),
    }
}
