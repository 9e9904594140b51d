//! Making a container: everything is checked and prepared, then one row says that it exists.
//!
//! ```text
//!  image, held by a lease -> merged, checked -> name reserved -> directories -> volumes, filled
//!      -> row and event, one fsync -> task spawned, found by name
//! ```
//! Until the row is there each step has its undo; after it nothing can fail.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FileType;
use wharf_images::{Image, Platform};
use wharf_store::{Batch, Lease};
use wharf_sys::rooted::Root;

use super::record::{Paths, Record};
use super::snapshot::Snapshot;
use super::{log_options, merge, network, task, validate};
use crate::blocking::{blocking, to_the_end};
use crate::model::{
    ContainerSpec, ContainerState, CreateRequest, Created, MountPoint, NamespaceMode, NetworkMode,
    Volume, VolumeCreate,
};
use crate::mounts::{self, Mount, MountSource, Wanted, WantedSource};
use crate::undo::Undo;
use crate::volumes::{self, Backing, Hold};
use crate::{Engine, Error, Result, clock, copy_up, events, ids, names};

/// Tries before a free random name is given up on.
const NAME_TRIES: usize = 8;

impl Engine {
    /// Makes a container. Nothing runs yet.
    pub async fn create(&self, request: CreateRequest) -> Result<Created> {
        self.0.check_open()?;
        let engine = self.clone();
        to_the_end(async move {
            let preparing = engine.clone();
            let prepared = blocking(move || Prepared::new(&preparing, request)).await?;
            prepared.commit(&engine).await
        })
        .await
    }
}

/// A container that exists but for its row.
struct Prepared {
    record: Record,
    paths: Paths,
    warnings: Vec<String>,
    /// Numbers of volume events that were journalled on the way.
    journalled: Option<u64>,
    undo: Undo,
    /// Until the row names the layers and volumes itself.
    holds: (Lease, Hold),
}

impl Prepared {
    /// Blocks.
    fn new(engine: &Engine, request: CreateRequest) -> Result<Prepared> {
        let inner = &engine.0;
        if let Some(name) = &request.name {
            validate::name(name)?;
        }
        let lease = inner.store.lease();
        let (image, mut warnings) = find_image(engine, &request, &lease)?;
        let mut spec = request.spec;
        merge::image_defaults(&mut spec, &image.config.config.clone().unwrap_or_default());
        merge::fill_limits(&mut spec.host.resources);
        validate::spec(&spec, inner.host.cpus)?;
        warnings.extend(inner.host.drop_unsupported(&mut spec.host.resources));
        merge::host_defaults(engine, &mut spec);
        log_options::bounds(&spec.host)?;
        resolve_references(engine, &mut spec)?;
        warnings.extend(network::settle(engine, &mut spec)?);
        let wanted = mounts::wanted(&spec, inherited(engine, &spec)?)?;

        let id = ids::generate();
        // Given up after what is undone under it.
        let mut hold = inner.volumes.hold();
        let mut undo = Undo::new();
        let name = reserve_name(engine, request.name, &id, &mut undo)?;
        let paths = Paths::new(&inner.options.data_root, &inner.options.exec_root, &id);
        make_dirs(engine, &paths, &mut undo)?;
        let mut filling = Filling::new(engine, &image, &mut undo);
        let mounts = wanted
            .into_iter()
            .map(|wanted| filling.mount(wanted, &mut hold))
            .collect::<Result<Vec<Mount>>>()?;
        let journalled = filling.journalled;
        Ok(Prepared {
            record: Record {
                id,
                name,
                created: clock::now(),
                image: image.id,
                manifest: image.manifest,
                layers: image.diff_ids(),
                spec,
                mounts,
            },
            paths,
            warnings,
            journalled,
            undo,
            holds: (lease, hold),
        })
    }

    async fn commit(self, engine: &Engine) -> Result<Created> {
        let inner = &engine.0;
        let state = ContainerState::default();
        let mut batch = Batch::new();
        self.record.put(&mut batch, &state);
        let committed = match events::add(&mut batch, &self.record.event("create", [])) {
            Ok(()) => inner.commit(batch).await,
            Err(error) => Err(error),
        };
        if let Some(number) = self.journalled {
            inner.events.grew_to(number);
        }
        if let Err(error) = committed {
            let undo = self.undo;
            blocking(move || {
                drop(undo);
                Ok(())
            })
            .await?;
            return Err(error);
        }
        let id = self.record.id.clone();
        task::spawn(engine, self.record, state, self.paths, None);
        self.undo.keep();
        drop(self.holds);
        Ok(Created {
            id,
            warnings: self.warnings,
        })
    }
}

/// The image, with its layers held: held first, then looked at again, so that a removal in
/// between is seen.
fn find_image(
    engine: &Engine,
    request: &CreateRequest,
    lease: &Lease,
) -> Result<(Image, Vec<String>)> {
    let images = &engine.0.images;
    let name = &request.spec.image;
    let image = match request.platform.as_deref().filter(|p| !p.is_empty()) {
        Some(platform) => {
            let platform: Platform = platform
                .parse()
                .map_err(|error| Error::InvalidArgument(format!("{error}")))?;
            images.resolve_for(name, &platform)?
        }
        None => images.resolve(name)?,
    };
    for layer in image.diff_ids() {
        lease.hold_layer(layer);
    }
    let image = images.get(&image.id)?;
    let mut warnings = Vec::new();
    if image
        .config
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref())
        .is_some_and(|check| check.test.first().is_some_and(|word| word != "NONE"))
    {
        warnings.push(
            "The image's HEALTHCHECK is not run: health checks are not supported yet.".to_owned(),
        );
    }
    let host = Platform::host();
    if request.platform.is_none() && host.suits(&image.platform).is_none() {
        warnings.push(format!(
            "The requested image's platform ({}) does not match the detected host platform ({host}) and no specific platform was requested",
            image.platform
        ));
    }
    Ok((image, warnings))
}

/// Names of other containers become their ids, so that a later rename changes nothing.
fn resolve_references(engine: &Engine, spec: &mut ContainerSpec) -> Result<()> {
    let id = |reference: &str| {
        named_container(engine, reference).map(|snapshot| snapshot.id().to_owned())
    };
    if let NetworkMode::Container(reference) = &mut spec.host.network {
        *reference = id(reference)?;
    }
    for mode in [&mut spec.host.ipc, &mut spec.host.pid] {
        if let NamespaceMode::Container(reference) = mode {
            *reference = id(reference)?;
        }
    }
    Ok(())
}

/// A container that a specification names. That it is not there is the specification's mistake:
/// "not found" would be said of the image, and clients would pull it.
fn named_container(engine: &Engine, reference: &str) -> Result<Arc<Snapshot>> {
    engine
        .0
        .containers
        .resolve(reference)
        .map_err(|error| match error {
            Error::NoSuchContainer(_) => Error::InvalidArgument(error.to_string()),
            error => error,
        })
}

/// The mounts of the `volumes-from` containers.
fn inherited(engine: &Engine, spec: &ContainerSpec) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for raw in &spec.host.volumes_from {
        let (reference, rw, mode) = mounts::parse_volumes_from(raw)?;
        let donor = named_container(engine, reference)?;
        for mount in &donor.record.mounts {
            let mut mount = mount.clone();
            mount.point.rw &= rw;
            all.push(Wanted {
                destination: mount.point.destination.clone(),
                rw: mount.point.rw,
                mode: mode.to_owned(),
                source: WantedSource::Inherited(mount),
            });
        }
    }
    Ok(all)
}

fn reserve_name(
    engine: &Engine,
    wanted: Option<String>,
    id: &str,
    undo: &mut Undo,
) -> Result<String> {
    let registry = &engine.0.containers;
    let name = match wanted {
        Some(name) => {
            registry.reserve(&name, id)?;
            name
        }
        None => (0..NAME_TRIES)
            .map(names::generate)
            .find(|name| registry.reserve(name, id).is_ok())
            .map_or_else(
                || {
                    let name = id.get(..12).unwrap_or(id).to_owned();
                    registry.reserve(&name, id).map(|()| name)
                },
                Ok,
            )?,
    };
    let back = (engine.clone(), name.clone(), id.to_owned());
    undo.push("reserve the name", move || {
        let (engine, name, id) = back;
        engine.0.containers.release(&name, &id);
        Ok(())
    });
    Ok(name)
}

fn make_dirs(engine: &Engine, paths: &Paths, undo: &mut Undo) -> Result<()> {
    let root = engine.0.options.data_root.join("containers");
    let name = paths.data.clone();
    undo.push("make the directories", move || remove_dir(&root, &name));
    make_dir(&paths.data, 0o700)?;
    ensure_dirs(paths)
}

/// The directories of a container, also when a crash of the host lost them.
pub(super) fn ensure_dirs(paths: &Paths) -> Result<()> {
    make_dir(&paths.data, 0o700)?;
    // The mode of the upper layer's root is the mode of `/` inside.
    make_dir(&paths.upper(), 0o755)?;
    make_dir(&paths.work(), 0o700)?;
    make_dir(&paths.log_dir(), 0o700)
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::Internal(format!("make {}: {error}", path.display()))),
    }
}

/// Removes a container's directory below `root`, by handle: what is inside is the container's.
pub(super) fn remove_dir(root: &Path, dir: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::Internal(format!("remove {}: {error}", dir.display()))
    };
    let Some(name) = dir.file_name() else {
        return Ok(());
    };
    let root = Root::open(root).map_err(|error| failed(&error))?;
    match root.remove_all(name) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// Turns wanted mounts into stored ones, making and filling volumes.
struct Filling<'a> {
    engine: &'a Engine,
    image: &'a Image,
    undo: &'a mut Undo,
    /// The image's tree, mounted when the first volume needs it.
    root: Option<Root>,
    journalled: Option<u64>,
}

impl<'a> Filling<'a> {
    fn new(engine: &'a Engine, image: &'a Image, undo: &'a mut Undo) -> Filling<'a> {
        Filling {
            engine,
            image,
            undo,
            root: None,
            journalled: None,
        }
    }

    fn mount(&mut self, wanted: Wanted, hold: &mut Hold) -> Result<Mount> {
        let point = MountPoint {
            destination: wanted.destination,
            mode: wanted.mode,
            rw: wanted.rw,
            ..MountPoint::default()
        };
        Ok(match wanted.source {
            WantedSource::Inherited(mount) => {
                if mount.point.kind == "volume" {
                    hold.add(&mount.point.name);
                }
                mount
            }
            WantedSource::Tmpfs { options } => Mount {
                point: MountPoint {
                    kind: "tmpfs".to_owned(),
                    ..point
                },
                source: MountSource::Tmpfs { options },
            },
            WantedSource::Bind {
                path,
                propagation,
                recursive,
                create,
            } => {
                if !create && !Path::new(&path).exists() {
                    return Err(Error::InvalidArgument(format!(
                        "invalid mount config for type \"bind\": bind source path does not exist: {path}"
                    )));
                }
                Mount {
                    point: MountPoint {
                        kind: "bind".to_owned(),
                        source: path,
                        propagation,
                        ..point
                    },
                    source: MountSource::Bind { recursive, create },
                }
            }
            WantedSource::Volume {
                name,
                copy,
                subpath,
                labels,
                options,
            } => {
                let name = name.unwrap_or_default();
                let request = VolumeCreate {
                    name,
                    driver: String::new(),
                    options,
                    labels,
                };
                self.volume(request, copy, subpath, point, hold)?
            }
        })
    }

    fn volume(
        &mut self,
        request: VolumeCreate,
        copy: bool,
        subpath: String,
        point: MountPoint,
        hold: &mut Hold,
    ) -> Result<Mount> {
        if !request.name.is_empty() {
            hold.add(&request.name);
        }
        let volumes = self.engine.0.volumes.clone();
        let (volume, created) = volumes.create(request)?;
        if created.is_some() {
            self.journalled = created;
        }
        if volume.anonymous {
            // Nobody else knows its name; one that has a name stays, as with dockerd.
            let name = volume.name.clone();
            self.undo
                .push("make a volume", move || volumes.remove(&name).map(drop));
        }
        if copy {
            self.fill(&volume, &subpath, &point.destination)?;
        }
        Ok(Mount {
            point: MountPoint {
                kind: "volume".to_owned(),
                name: volume.name,
                source: volume.mountpoint,
                driver: "local".to_owned(),
                ..point
            },
            source: if subpath.is_empty() {
                MountSource::Volume
            } else {
                MountSource::Subpath { path: subpath }
            },
        })
    }

    /// What the image has where the volume goes. A volume in memory has no place for it, and a
    /// part that is not there is an error of the start's.
    fn fill(&mut self, volume: &Volume, subpath: &str, destination: &str) -> Result<()> {
        let Some(mut target) = Backing::of(volume).open(volume)? else {
            return Ok(());
        };
        if !subpath.is_empty() {
            match volumes::beneath(&target, &volume.mountpoint, subpath) {
                Ok(part) if is_directory(&part) => target = Root::from_fd(part),
                _ => return Ok(()),
            }
        }
        let mark = volumes::mark(volume);
        copy_up::copy_up(self.image_root()?, destination, &target, &mark)
    }

    fn image_root(&mut self) -> Result<&Root> {
        let root = match self.root.take() {
            Some(root) => root,
            None => Root::from_fd(
                self.engine
                    .0
                    .store
                    .layers()
                    .overlay(&self.image.diff_ids(), None)?,
            ),
        };
        Ok(self.root.insert(root))
    }
}

fn is_directory(handle: &OwnedFd) -> bool {
    rustix::fs::fstat(handle)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
