//! Images in and out: `load`, `import`, `save`.
//!
//! `wharf-images` reads and writes archives in blocking code; here it is given bounded streams.
//! What a reader of the progress does not take in time is left out, except whole lines; an
//! archive is never held back by it.

use std::io::{self, Write};

use tokio::sync::{mpsc, oneshot};
use wharf_images::{ImageId, ImportRequest, LoadOptions, Loaded, Platform, Progress, fetch};

use super::{image_event, labels_of};
use crate::model::{Event, ImageImport, ImportSource, ProgressLine};
use crate::stream::{self, BlockingReader, BlockingWriter, ByteSource, ByteStream};
use crate::{Engine, Error, Result};

/// What a long operation tells; an error is the last item.
pub type ProgressStream = mpsc::Receiver<Result<ProgressLine>>;

/// Lines on their way to a reader.
const LINES: usize = 64;

impl Engine {
    /// Loads every image of an archive.
    pub async fn image_load(
        &self,
        archive: ByteSource,
        options: LoadOptions,
    ) -> Result<ProgressStream> {
        self.0.check_open()?;
        Ok(self.with_progress(move |engine, lines| {
            let images = &engine.0.images;
            let loaded = images.load(&mut BlockingReader::new(archive), &options, lines)?;
            Ok(loaded_events(images, &loaded))
        }))
    }

    /// Makes an image of the archive of a file tree. The last line is its id.
    pub async fn image_import(&self, import: ImageImport) -> Result<ProgressStream> {
        self.0.check_open()?;
        Ok(self.with_progress(move |engine, lines| {
            let images = &engine.0.images;
            let request = ImportRequest {
                name: import.name.clone(),
                changes: &import.changes,
                message: &import.message,
                platform: import.platform,
            };
            let id = match import.source {
                ImportSource::Body(body) => {
                    images.import(&mut BlockingReader::new(body), &request)?
                }
                ImportSource::Url(url) => {
                    images.import(&mut fetch::open(&url, lines)?, &request)?
                }
            };
            lines.message(&id.to_string());
            let mut told = vec![image_event("import", &id, &id.to_string(), [])];
            if let Some(name) = import.name {
                told.push(image_event("tag", &id, &name.or_latest().familiar(), []));
            }
            Ok(told)
        }))
    }

    /// Runs something that blocks, tells its progress and then its events; a failure leaves
    /// content behind that is collected.
    fn with_progress(
        &self,
        work: impl FnOnce(&Engine, &mut Lines) -> Result<Vec<Event>> + Send + 'static,
    ) -> ProgressStream {
        let (sink, stream) = mpsc::channel(LINES);
        let engine = self.clone();
        tokio::spawn(async move {
            let working = engine.clone();
            let mut lines = Lines(sink.clone());
            match crate::blocking::blocking(move || work(&working, &mut lines)).await {
                Ok(told) => {
                    for event in told {
                        engine.0.emit(event).await;
                    }
                }
                Err(error) => {
                    engine.collect_in_background();
                    let _ = sink.send(Err(error)).await;
                }
            }
        });
        stream
    }

    /// An archive of the images that `names` mean. What is wrong with the names is said before
    /// the stream begins.
    pub async fn image_save(
        &self,
        names: Vec<String>,
        platform: Option<Platform>,
    ) -> Result<ByteStream> {
        let (sink, stream) = stream::channel();
        let (began, beginning) = oneshot::channel();
        let engine = self.clone();
        let handle = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut out = Announcing {
                out: BlockingWriter::new(sink),
                began: Some(began),
            };
            let saved = engine
                .0
                .images
                .save(&names, platform.as_ref(), &mut out)
                .map_err(Error::from)
                .and_then(|saved| {
                    out.flush()
                        .map_err(|error| Error::Internal(error.to_string()))?;
                    Ok(saved)
                });
            match saved {
                Ok(saved) => {
                    for id in saved {
                        handle.block_on(engine.0.emit(saved_event(&engine, &id)));
                    }
                }
                Err(error) => out.fail(error),
            }
        });
        match beginning.await {
            Ok(Ok(())) => Ok(stream),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Internal("the archiver died".to_owned())),
        }
    }
}

fn loaded_events(images: &wharf_images::Images, loaded: &[Loaded]) -> Vec<Event> {
    let mut ids: Vec<ImageId> = Vec::new();
    for image in loaded {
        if !ids.contains(&image.id) {
            ids.push(image.id);
        }
    }
    ids.iter()
        .map(|id| image_event("load", id, &id.to_string(), labels_of(images, id)))
        .collect()
}

fn saved_event(engine: &Engine, id: &ImageId) -> Event {
    let labels = labels_of(&engine.0.images, id);
    image_event("save", id, &id.to_string(), labels)
}

/// Progress, as lines in a channel.
struct Lines(mpsc::Sender<Result<ProgressLine>>);

impl Progress for Lines {
    fn report(&mut self, id: &str, action: &str, current: u64, total: u64) {
        let _ = self.0.try_send(Ok(ProgressLine::Step {
            id: id.to_owned(),
            action: action.to_owned(),
            current,
            total,
        }));
    }

    fn message(&mut self, text: &str) {
        let _ = self
            .0
            .blocking_send(Ok(ProgressLine::Message(text.to_owned())));
    }
}

/// Says that the first byte is there, or what went wrong before.
struct Announcing {
    out: BlockingWriter,
    began: Option<oneshot::Sender<Result<()>>>,
}

impl Announcing {
    fn fail(self, error: Error) {
        match self.began {
            Some(began) => {
                let _ = began.send(Err(error));
            }
            None => self.out.fail(io::Error::other(error.to_string())),
        }
    }
}

impl Write for Announcing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(began) = self.began.take() {
            let _ = began.send(Ok(()));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
