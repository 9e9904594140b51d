//! The specification, checked as a whole before anything is done, in the form init works from.
//!
//! What is not understood is refused by name, never ignored.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Hook, Linux, LinuxNamespaceType, Mount, Spec};
use rustix::mount::MountPropagationFlags;
use wharf_sys::clone::Namespaces as Kinds;
use wharf_sys::mount::Depth;

use super::devices::{self, DevicePlan};
use super::error::LaunchError;
use super::id_map::IdMaps;
use super::mount_options::{self, MountOptions};
use super::process::ProcessPlan;
use super::sysctl;

/// A checked specification.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Namespaces that are made.
    pub(crate) new: Kinds,
    /// Namespaces that are joined, by path.
    pub(crate) joined: Vec<(Kinds, PathBuf)>,
    pub(crate) id_maps: Option<IdMaps>,
    pub(crate) host_name: Option<String>,
    pub(crate) domain_name: Option<String>,
    pub(crate) read_only_root: bool,
    pub(crate) root_propagation: Option<MountPropagationFlags>,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<DevicePlan>,
    pub(crate) masked: Vec<PathBuf>,
    pub(crate) read_only: Vec<PathBuf>,
    /// Paths below `sys` of a procfs, and values.
    pub(crate) sysctls: Vec<(PathBuf, String)>,
    pub(crate) personality: Option<u32>,
    pub(crate) process: ProcessPlan,
    pub(crate) hooks: HookPlan,
}

/// One mount.
#[derive(Debug, Clone)]
pub(crate) struct MountPlan {
    pub(crate) destination: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) what: MountKind,
    pub(crate) options: MountOptions,
    /// Show owners mapped, this mount's or those of all below it.
    pub(crate) id_map: Option<(IdMaps, Depth)>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountKind {
    /// Something that is already mounted elsewhere.
    Bind(mount_options::Bind),
    /// The container's view of the cgroup hierarchies, whatever they are on this host.
    Cgroup,
    /// A file system of this type.
    FileSystem(String),
}

/// The hooks that run between `clone3` and `execve`.
#[derive(Debug, Default)]
pub(crate) struct HookPlan {
    /// Run by the caller, in its namespaces (`prestart` and `createRuntime`).
    pub(crate) of_caller: Vec<Hook>,
    /// Run by init before it changes to the new root.
    pub(crate) create_container: Vec<Hook>,
    /// Run by init inside the container, when it is started.
    pub(crate) start_container: Vec<Hook>,
}

impl Plan {
    /// Check `spec`, whose relative paths start at `bundle`.
    pub(crate) fn of(spec: &Spec, bundle: &Path) -> Result<Plan, LaunchError> {
        let missing = |field: &str| LaunchError::spec(field, "missing");
        let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
        let root = spec.root().as_ref().ok_or_else(|| missing("root"))?;
        let nothing = Linux::default();
        let linux = spec.linux().as_ref().unwrap_or(&nothing);
        refuse_unsupported(spec, linux)?;
        let (new, joined) = namespaces(linux)?;
        if !new.contains(Kinds::MOUNT) {
            return Err(LaunchError::spec(
                "linux.namespaces",
                "a new mount namespace is required",
            ));
        }
        let uts = new.contains(Kinds::UTS) || joined.iter().any(|(kind, _)| *kind == Kinds::UTS);
        for (field, name) in [
            ("hostname", spec.hostname()),
            ("domainname", spec.domainname()),
        ] {
            if name.is_some() && !uts {
                return Err(LaunchError::spec(
                    field,
                    "cannot be set without a UTS namespace",
                ));
            }
        }
        let id_maps = IdMaps::of_container(linux, new)?;
        let mounts = spec
            .mounts()
            .iter()
            .flatten()
            .map(|mount| mount_plan(mount, bundle, id_maps.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Plan {
            id_maps,
            sysctls: sysctl::plan(linux, new, &joined)?,
            new,
            joined,
            host_name: spec.hostname().clone().filter(|name| !name.is_empty()),
            domain_name: spec.domainname().clone().filter(|name| !name.is_empty()),
            read_only_root: root.readonly().unwrap_or(false),
            root_propagation: root_propagation(linux)?,
            devices: devices::plan(linux, &mounts)?,
            mounts,
            masked: inner_paths("linux.maskedPaths", linux.masked_paths())?,
            read_only: inner_paths("linux.readonlyPaths", linux.readonly_paths())?,
            personality: personality(linux)?,
            process: ProcessPlan::of(process)?,
            hooks: hooks(spec),
        })
    }
}

/// Fields that would change what the container may do or get, and that are not built.
fn refuse_unsupported(spec: &Spec, linux: &Linux) -> Result<(), LaunchError> {
    let some = |wanted: bool, field: &str| {
        if wanted {
            Err(LaunchError::unsupported(field))
        } else {
            Ok(())
        }
    };
    some(spec.vm().is_some(), "vm")?;
    some(linux.intel_rdt().is_some(), "linux.intelRdt")?;
    some(linux.memory_policy().is_some(), "linux.memoryPolicy")?;
    some(
        linux
            .time_offsets()
            .as_ref()
            .is_some_and(|all| !all.is_empty()),
        "linux.timeOffsets",
    )?;
    some(
        linux
            .net_devices()
            .as_ref()
            .is_some_and(|all| !all.is_empty()),
        "linux.netDevices",
    )?;
    some(
        linux
            .mount_label()
            .as_ref()
            .is_some_and(|label| !label.is_empty()),
        "linux.mountLabel",
    )
}

fn namespaces(linux: &Linux) -> Result<(Kinds, Vec<(Kinds, PathBuf)>), LaunchError> {
    let (mut new, mut joined) = (Kinds::empty(), Vec::new());
    let mut seen = Kinds::empty();
    for namespace in linux.namespaces().iter().flatten() {
        let kind = kind_of(namespace.typ());
        if seen.contains(kind) {
            return Err(LaunchError::spec(
                "linux.namespaces",
                format!("{} is given twice", namespace.typ()),
            ));
        }
        seen |= kind;
        match namespace
            .path()
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
        {
            None => new |= kind,
            Some(_) if kind == Kinds::MOUNT || kind == Kinds::USER => {
                return Err(LaunchError::unsupported(format!(
                    "joining a {} namespace by path",
                    namespace.typ()
                )));
            }
            Some(path) => joined.push((kind, path.clone())),
        }
    }
    Ok((new, joined))
}

pub(super) fn kind_of(kind: LinuxNamespaceType) -> Kinds {
    match kind {
        LinuxNamespaceType::Mount => Kinds::MOUNT,
        LinuxNamespaceType::Cgroup => Kinds::CGROUP,
        LinuxNamespaceType::Uts => Kinds::UTS,
        LinuxNamespaceType::Ipc => Kinds::IPC,
        LinuxNamespaceType::User => Kinds::USER,
        LinuxNamespaceType::Pid => Kinds::PID,
        LinuxNamespaceType::Network => Kinds::NETWORK,
        LinuxNamespaceType::Time => Kinds::TIME,
    }
}

fn mount_plan(
    mount: &Mount,
    bundle: &Path,
    of_container: Option<&IdMaps>,
) -> Result<MountPlan, LaunchError> {
    let destination = mount.destination();
    let field = || format!("mounts: {}", destination.display());
    let options = mount_options::parse(mount.options().as_deref().unwrap_or_default())
        .map_err(|option| LaunchError::unsupported(format!("{}: {option}", field())))?;
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = mount.source().clone().unwrap_or_default();
    let what = match (kind, options.bind) {
        (_, Some(bind)) => MountKind::Bind(bind),
        ("bind", None) => MountKind::Bind(mount_options::Bind::Plain),
        ("cgroup" | "cgroup2", None) => MountKind::Cgroup,
        ("", None) => return Err(LaunchError::spec(field(), "no type")),
        (kind, None) => MountKind::FileSystem(kind.to_owned()),
    };
    if options.copy_up && what != MountKind::FileSystem("tmpfs".to_owned()) {
        return Err(LaunchError::spec(field(), "tmpcopyup is for tmpfs"));
    }
    let source = if matches!(what, MountKind::Bind(_)) {
        if source.as_os_str().is_empty() {
            return Err(LaunchError::spec(field(), "no source"));
        }
        bundle.join(source)
    } else {
        source
    };
    let id_map = mount_id_map(&field(), mount, &options, of_container)?;
    if id_map.is_some() && !matches!(what, MountKind::Bind(_)) {
        return Err(LaunchError::spec(
            field(),
            "id-mapped mounts are only supported for bind-mounts",
        ));
    }
    Ok(MountPlan {
        // A relative destination was always taken to start at the root.
        destination: inner_path(&field(), &Path::new("/").join(destination))?,
        source,
        what,
        options,
        id_map,
    })
}

/// A mount's own maps, or the container's where it is to be mapped without saying how.
fn mount_id_map(
    field: &str,
    mount: &Mount,
    options: &MountOptions,
    of_container: Option<&IdMaps>,
) -> Result<Option<(IdMaps, Depth)>, LaunchError> {
    let own = IdMaps::of_mount(field, mount)?;
    let depth = match (options.id_map, &own) {
        (None, None) => return Ok(None),
        (None, Some(_)) => Depth::One,
        (Some(depth), _) => depth,
    };
    match own.or_else(|| of_container.cloned()) {
        Some(maps) => Ok(Some((maps, depth))),
        None => Err(LaunchError::spec(
            field,
            "an id-mapped mount without mappings, in a container without a user namespace",
        )),
    }
}

/// A path inside the container, absolute, as components without `.` and `..`.
///
/// Removing `..` by its text alone is right here: it is what other runtimes do, so that a mount
/// on `/a/../b` is one on `/b` whatever `/a` is.
pub(super) fn inner_path(field: &str, path: &Path) -> Result<PathBuf, LaunchError> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(LaunchError::spec(field, "a path with a zero byte"));
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

fn inner_paths(field: &str, paths: &Option<Vec<String>>) -> Result<Vec<PathBuf>, LaunchError> {
    paths
        .iter()
        .flatten()
        .map(|path| inner_path(field, Path::new(path)))
        .collect()
}

fn root_propagation(linux: &Linux) -> Result<Option<MountPropagationFlags>, LaunchError> {
    match linux.rootfs_propagation().as_deref() {
        None | Some("") => Ok(None),
        Some(name) => mount_options::propagation(name)
            .map(Some)
            .ok_or_else(|| LaunchError::spec("linux.rootfsPropagation", name)),
    }
}

fn personality(linux: &Linux) -> Result<Option<u32>, LaunchError> {
    use oci_spec::runtime::LinuxPersonalityDomain as Domain;
    let Some(personality) = linux.personality() else {
        return Ok(None);
    };
    if personality
        .flags()
        .as_ref()
        .is_some_and(|flags| !flags.is_empty())
    {
        return Err(LaunchError::unsupported("linux.personality.flags"));
    }
    Ok(Some(match personality.domain() {
        Domain::PerLinux => 0,
        Domain::PerLinux32 => 8,
    }))
}

fn hooks(spec: &Spec) -> HookPlan {
    let Some(hooks) = spec.hooks() else {
        return HookPlan::default();
    };
    let list = |hooks: &Option<Vec<Hook>>| hooks.clone().unwrap_or_default();
    #[allow(
        deprecated,
        reason = "callers still use it, and it runs where createRuntime does"
    )]
    let mut of_caller = list(hooks.prestart());
    of_caller.extend(list(hooks.create_runtime()));
    HookPlan {
        of_caller,
        create_container: list(hooks.create_container()),
        start_container: list(hooks.start_container()),
    }
}

/// A string for the kernel.
pub(super) fn c_string(field: &str, text: impl AsRef<OsStr>) -> Result<CString, LaunchError> {
    CString::new(text.as_ref().as_bytes())
        .map_err(|_| LaunchError::spec(field, "a string with a zero byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: &str) -> Result<Plan, LaunchError> {
        let mut spec: serde_json::Value = serde_json::from_str(
            r#"{"ociVersion":"1.2.0","root":{"path":"r"},
                "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["true"]},
                "linux":{"namespaces":[{"type":"mount"}]}}"#,
        )
        .unwrap();
        let change: serde_json::Value = serde_json::from_str(change).unwrap();
        merge(&mut spec, change);
        let spec = serde_json::from_value(spec).unwrap();
        Plan::of(&spec, Path::new("/bundle"))
    }

    fn merge(into: &mut serde_json::Value, change: serde_json::Value) {
        match (into, change) {
            (serde_json::Value::Object(into), serde_json::Value::Object(change)) => {
                for (key, value) in change {
                    merge(into.entry(key).or_insert(serde_json::Value::Null), value);
                }
            }
            (into, change) => *into = change,
        }
    }

    #[test]
    fn a_host_name_without_its_namespace_would_change_the_hosts_and_is_refused() {
        let error = plan(r#"{"hostname":"x"}"#).unwrap_err();
        assert!(error.to_string().contains("UTS namespace"), "{error}");
        plan(r#"{"hostname":"x","linux":{"namespaces":[{"type":"mount"},{"type":"uts"}]}}"#)
            .unwrap();
    }

    #[test]
    fn a_user_namespace_without_a_root_of_its_own_is_refused() {
        let error =
            plan(r#"{"linux":{"namespaces":[{"type":"mount"},{"type":"user"}]}}"#).unwrap_err();
        assert!(error.to_string().contains("0 is not mapped"), "{error}");
    }

    #[test]
    fn a_mapped_mount_has_maps_of_its_own_or_the_containers_or_is_refused() {
        let mount = |extra: &str| {
            plan(&format!(
                r#"{{"mounts":[{{"destination":"/d","source":"s","type":"bind"{extra}}}]}}"#
            ))
        };
        let maps = r#"[{"containerID":0,"hostID":7,"size":1}]"#;
        let one = mount(&format!(r#","uidMappings":{maps},"gidMappings":{maps}"#)).unwrap();
        assert_eq!(one.mounts[0].id_map.as_ref().unwrap().1, Depth::One);
        for refused in [
            mount(&format!(r#","uidMappings":{maps}"#)),
            mount(r#","options":["idmap"]"#),
            plan(&format!(
                r#"{{"mounts":[{{"destination":"/d","type":"tmpfs",
                    "uidMappings":{maps},"gidMappings":{maps}}}]}}"#
            )),
        ] {
            assert!(refused.unwrap_err().to_string().contains("mount"));
        }
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let error = plan(r#"{"linux":{"intelRdt":{"closID":"x"}}}"#).unwrap_err();
        assert_eq!(error.to_string(), "linux.intelRdt is not supported");
    }

    #[test]
    fn a_bind_mounts_relative_source_starts_at_the_bundle() {
        let plan = plan(
            r#"{"mounts":[{"destination":"/a/../etc/./hosts","source":"hosts","type":"bind"}]}"#,
        )
        .unwrap();
        let mount = plan.mounts.first().unwrap();
        assert_eq!(mount.source, Path::new("/bundle/hosts"));
        assert_eq!(mount.destination, Path::new("/etc/hosts"));
        assert_eq!(mount.what, MountKind::Bind(mount_options::Bind::Plain));
    }

    #[test]
    fn one_namespace_given_twice_is_refused() {
        assert!(
            plan(r#"{"linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"pid"}]}}"#)
                .is_err()
        );
    }
}
