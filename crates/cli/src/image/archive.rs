//! Archives between the daemon and a file or standard stream.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::client::Reply;
use crate::failure::{Failure, file_error};
use crate::session::Session;

const CHUNK: usize = 256 * 1024;
/// Chunks read ahead of the connection: 1 MiB.
const AHEAD: usize = 4;

/// Refuses an output whose directory is not there, before anything is asked for.
pub(crate) fn check_output(output: &str, what: &str) -> Result<(), Failure> {
    if output.is_empty() {
        return Ok(());
    }
    let parent = match Path::new(output).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => return Ok(()),
    };
    match parent.metadata() {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = file_error("stat", &parent.display().to_string(), &error);
            let Failure::Text(why) = why else {
                return Err(why);
            };
            Err(Failure::Text(format!("{what}: invalid output path: {why}")))
        }
    }
}

/// Writes a body to a file, or to stdout when there is none. A file appears whole or not at
/// all.
pub(crate) async fn save_to(
    session: &Session,
    reply: Reply<'_>,
    output: &str,
) -> Result<(), Failure> {
    let mut reply = reply;
    if output.is_empty() {
        while let Some(chunk) = reply.chunk().await? {
            session.out.send(&chunk).await?;
        }
        return Ok(());
    }
    let path = Path::new(output);
    // A device or pipe is written to; only a file can be put in place by a rename.
    let in_place = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let temporary = if in_place {
        path.to_owned()
    } else {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        path.with_file_name(format!(".tmp-{name}{}", std::process::id()))
    };
    let written = write_file(reply, &temporary).await;
    if in_place {
        return written;
    }
    let renamed = written.and_then(|()| {
        std::fs::rename(&temporary, path).map_err(|error| file_error("rename", output, &error))
    });
    if renamed.is_err() {
        // Half an archive is worse than none.
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

async fn write_file(reply: Reply<'_>, path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    use tokio::io::AsyncWriteExt as _;
    let mut reply = reply;
    let fault = |error: std::io::Error| file_error("open", &path.display().to_string(), &error);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(fault)?;
    let mut file = tokio::io::BufWriter::with_capacity(CHUNK, tokio::fs::File::from_std(file));
    while let Some(chunk) = reply.chunk().await? {
        file.write_all(&chunk).await.map_err(fault)?;
    }
    file.flush().await.map_err(fault)
}

/// Reads a file, or stdin for `-` and the empty name, into a request body.
pub(crate) fn body_of(path: &str) -> Result<mpsc::Receiver<std::io::Result<Bytes>>, Failure> {
    let mut source: Box<dyn Read + Send> = if path.is_empty() || path == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(|error| file_error("open", path, &error))?)
    };
    let (send, receive) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = source.read(&mut chunk).map(|count| {
                chunk.truncate(count);
                chunk
            });
            let last = !matches!(&read, Ok(chunk) if !chunk.is_empty());
            let failed = read.is_err();
            if (!last || failed) && send.blocking_send(read.map(Bytes::from)).is_err() {
                // The daemon has refused the rest.
                return;
            }
            if last {
                return;
            }
        }
    });
    Ok(receive)
}
