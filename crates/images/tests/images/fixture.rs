//! A store in a temporary directory, and archives of every form.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "fixtures of tests")]

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use wharf_images::{ImageError, Images, LoadOptions, Loaded, Progress};
use wharf_store::tar::{Entry, Kind, Reader, Writer};
use wharf_store::{DiffId, Digest, LayerForm, Store, StoreOptions};

/// Images in a store of their own.
pub(crate) struct Lab {
    pub(crate) images: Images,
    directory: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let directory = tempfile::tempdir().unwrap();
        Lab {
            images: open(&directory),
            directory,
        }
    }

    /// As after a restart of the daemon.
    pub(crate) fn reopen(self) -> Lab {
        let Lab { images, directory } = self;
        drop(images);
        Lab {
            images: open(&directory),
            directory,
        }
    }

    pub(crate) fn load(&self, archive: &[u8]) -> Result<Vec<Loaded>, ImageError> {
        self.images.load(
            &mut &*archive,
            &LoadOptions::default(),
            &mut Lines::default(),
        )
    }

    pub(crate) fn save(&self, names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut archive = Vec::new();
        self.images.save(&names, None, &mut archive).unwrap();
        archive
    }

    /// Collect garbage; how many blobs and layers that were.
    pub(crate) fn collect(&self) -> (usize, usize) {
        let roots = || Ok::<_, ImageError>(self.images.roots());
        let collected = self.images.store().collect(roots).unwrap();
        (collected.blobs.len(), collected.layers.len())
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Nothing is named and, after a collection, nothing is there.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.images.count(), 0);
        self.collect();
        assert_eq!(self.images.store().blobs().list().unwrap(), []);
        assert_eq!(self.images.store().layers().list().unwrap(), []);
        assert_eq!(self.images.store().blobs().total_bytes(), 0);
    }
}

/// The form of layers is the kernel's choice, or that of `WHARF_TEST_LAYERS`.
fn open(directory: &tempfile::TempDir) -> Images {
    let layers = match std::env::var("WHARF_TEST_LAYERS").as_deref() {
        Ok("directory") => LayerForm::Directory,
        Ok("index") => LayerForm::Index,
        _ => LayerForm::Auto,
    };
    let root = directory.path().join("wharf");
    Images::open(Store::open(&root, &StoreOptions { layers }).unwrap()).unwrap()
}

/// Progress, as lines.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) messages: Vec<String>,
    pub(crate) reports: Vec<(String, u64, u64)>,
}

impl Progress for Lines {
    fn report(&mut self, id: &str, _action: &str, current: u64, total: u64) {
        self.reports.push((id.to_owned(), current, total));
    }
    fn message(&mut self, text: &str) {
        self.messages.push(text.to_owned());
    }
}

/// An archive in the making.
pub(crate) struct Tar(Writer<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar(Writer::new(Vec::new()))
    }

    pub(crate) fn file(mut self, name: &str, content: &[u8]) -> Tar {
        let mut entry = Entry::new(name, Kind::File);
        entry.mode = 0o644;
        entry.size = content.len() as u64;
        self.0.entry(&entry).unwrap();
        self.0.write_data(content).unwrap();
        self
    }

    pub(crate) fn directory(self, name: &str) -> Tar {
        self.entry(name, Kind::Directory, "")
    }

    pub(crate) fn link(self, name: &str, kind: Kind, target: &str) -> Tar {
        self.entry(name, kind, target)
    }

    fn entry(mut self, name: &str, kind: Kind, target: &str) -> Tar {
        let mut entry = Entry::new(name, kind);
        entry.mode = 0o755;
        entry.link = target.as_bytes().to_vec();
        self.0.entry(&entry).unwrap();
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }
}

/// The regular files of an archive.
pub(crate) fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut reader = Reader::new(archive);
    let mut files = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.kind == Kind::File {
            let mut content = Vec::new();
            std::io::copy(&mut reader.content(&entry), &mut content).unwrap();
            files.insert(String::from_utf8(entry.path.clone()).unwrap(), content);
        }
    }
    files
}

/// A layer with these files.
pub(crate) fn layer(contents: &[(&str, &str)]) -> Vec<u8> {
    let tar = contents.iter().fold(Tar::new(), |tar, (name, text)| {
        tar.file(name, text.as_bytes())
    });
    tar.finish()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub(crate) fn diff_id(layer: &[u8]) -> DiffId {
    DiffId(Digest::of(layer))
}

/// An image: its configuration and its layers, uncompressed.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) config: Value,
    pub(crate) layers: Vec<Vec<u8>>,
}

impl Sample {
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Sample {
        let ids: Vec<String> = layers
            .iter()
            .map(|layer| diff_id(layer).to_string())
            .collect();
        let history: Vec<Value> = (0..layers.len())
            .map(|step| json!({"created": "2024-01-01T00:00:00Z", "created_by": format!("step {step}")}))
            .collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05.000000006Z",
            "config": {"Cmd": ["sh"], "Labels": {"made": "here"}},
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": history,
        });
        Sample { config, layers }
    }

    /// Two layers that have something in them.
    pub(crate) fn two_layers(what: &str) -> Sample {
        Sample::new(vec![
            layer(&[("base", "the same")]),
            layer(&[("own", what)]),
        ])
    }

    pub(crate) fn for_machine(mut self, architecture: &str) -> Sample {
        self.config["architecture"] = json!(architecture);
        self
    }

    pub(crate) fn created(mut self, time: &str) -> Sample {
        self.config["created"] = json!(time);
        self
    }

    pub(crate) fn labelled(mut self, labels: Value) -> Sample {
        self.config["config"]["Labels"] = labels;
        self
    }

    pub(crate) fn raw_config(&self) -> Vec<u8> {
        serde_json::to_vec(&self.config).unwrap()
    }

    pub(crate) fn id(&self) -> wharf_images::ImageId {
        wharf_images::ImageId(Digest::of(&self.raw_config()))
    }

    /// As `docker save` wrote it between versions 1.10 and 24: the layer of the second image is
    /// a link to that of the first if they are the same.
    pub(crate) fn docker_archive(&self, names: &[&str]) -> Vec<u8> {
        let config = format!("{}.json", self.id().0.hex());
        let mut tar = Tar::new();
        let mut paths = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let path = format!("layer{number}/layer.tar");
            tar = tar.directory(&format!("layer{number}/")).file(&path, layer);
            paths.push(path);
        }
        let manifest = json!([{"Config": config, "RepoTags": names, "Layers": paths}]);
        tar.file(&config, &self.raw_config())
            .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
            .finish()
    }
}

/// How layers are packed in an OCI layout.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// An OCI layout in the making.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) manifests: Vec<Value>,
}

impl Layout {
    /// Add a blob; its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest.hex(), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    /// Add an image; its manifest's descriptor.
    pub(crate) fn image(&mut self, sample: &Sample, packing: Packing) -> Value {
        let config = self.blob(
            "application/vnd.oci.image.config.v1+json",
            &sample.raw_config(),
        );
        let layers: Vec<Value> = sample
            .layers
            .iter()
            .map(|layer| {
                let plain = "application/vnd.oci.image.layer.v1.tar";
                match packing {
                    Packing::Plain => self.blob(plain, layer),
                    Packing::Gzip => self.blob(&format!("{plain}+gzip"), &gzip(layer)),
                    Packing::Zstd => self.blob(&format!("{plain}+zstd"), &zstd(layer)),
                }
            })
            .collect();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut descriptor = self.blob(kind, &serde_json::to_vec(&manifest).unwrap());
        let platform = json!({"os": "linux", "architecture": sample.config["architecture"]});
        descriptor["platform"] = platform;
        descriptor
    }

    /// Add an index of these descriptors; its own.
    pub(crate) fn index(&mut self, manifests: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests});
        self.blob(kind, &serde_json::to_vec(&index).unwrap())
    }

    /// List a descriptor in `index.json`, under a name if it is to have one.
    pub(crate) fn list(mut self, mut descriptor: Value, name: Option<&str>) -> Layout {
        if let Some(name) = name {
            descriptor["annotations"] = json!({"io.containerd.image.name": name});
        }
        self.manifests.push(descriptor);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        let tar = Tar::new()
            .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", &serde_json::to_vec(&index).unwrap());
        let add = |tar: Tar, (hex, bytes): (&String, &Vec<u8>)| {
            tar.file(&format!("blobs/sha256/{hex}"), bytes)
        };
        self.blobs.iter().fold(tar, add).finish()
    }
}

/// One image as an OCI layout.
pub(crate) fn oci_archive(sample: &Sample, packing: Packing, name: Option<&str>) -> Vec<u8> {
    let mut layout = Layout::default();
    let descriptor = layout.image(sample, packing);
    layout.list(descriptor, name).finish()
}
