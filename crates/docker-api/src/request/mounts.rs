//! `Mounts` of a create.

use wharf_engine::model::{MountKind, MountSpec};

use super::create::{HostConfigBody, MountBody, plain};
use crate::error::ApiError;
use crate::version::ApiVersion;

/// Converts the list.
pub(crate) fn read(
    mounts: Vec<MountBody>,
    version: ApiVersion,
) -> Result<Vec<MountSpec>, ApiError> {
    mounts
        .into_iter()
        .map(|mount| read_one(mount, version))
        .collect()
}

fn read_one(mut mount: MountBody, version: ApiVersion) -> Result<MountSpec, ApiError> {
    check_options(&mut mount, version)?;
    let kind = match mount.kind.as_str() {
        "bind" => {
            let options = mount.bind_options.unwrap_or_default();
            if options.read_only_force_recursive {
                if version.before(44) {
                    return Err(ApiError::bad_request(
                        "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
                    ));
                }
                return Err(ApiError::missing(
                    "HostConfig.Mounts.BindOptions.ReadOnlyForceRecursive",
                ));
            }
            MountKind::Bind {
                propagation: options.propagation,
                non_recursive: options.non_recursive && version.at_least(40),
                create_mountpoint: options.create_mountpoint && version.at_least(42),
            }
        }
        "volume" => {
            let options = mount.volume_options.unwrap_or_default();
            if !options.subpath.is_empty() && version.before(45) {
                return Err(ApiError::bad_request(
                    "VolumeOptions.Subpath needs API v1.45 or newer",
                ));
            }
            if !matches!(options.driver_config.name.as_str(), "" | "local") {
                let driver = options.driver_config.name;
                // Not 404: clients would take it for a missing image, and pull.
                return Err(ApiError::bad_request(format!(
                    "create {}: error looking up volume plugin {driver}: plugin {driver:?} not found",
                    mount.source
                )));
            }
            MountKind::Volume {
                no_copy: options.no_copy,
                labels: plain(options.labels),
                driver_options: plain(options.driver_config.options),
                subpath: options.subpath,
            }
        }
        "tmpfs" => {
            let options = mount.tmpfs_options.unwrap_or_default();
            if !options.options.is_empty() {
                return Err(ApiError::missing("HostConfig.Mounts.TmpfsOptions.Options"));
            }
            MountKind::Tmpfs {
                size: options.size_bytes,
                mode: options.mode,
            }
        }
        "image" if version.before(48) => {
            return Err(ApiError::bad_request(
                "Mount type \"Image\" needs API v1.48 or newer",
            ));
        }
        "image" | "cluster" => {
            return Err(ApiError::missing(format_args!(
                "HostConfig.Mounts of type {:?}",
                mount.kind
            )));
        }
        "" => {
            return Err(ApiError::bad_request(
                "invalid mount config: mount type unknown: \"\"",
            ));
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid mount config for type {other:?}: mount type unknown: {other:?}"
            )));
        }
    };
    Ok(MountSpec {
        kind,
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        consistency: mount.consistency,
    })
}

/// Options of another type: an error since 1.42, dropped before.
fn check_options(mount: &mut MountBody, version: ApiVersion) -> Result<(), ApiError> {
    if version.before(42) {
        if mount.kind != "volume" {
            mount.volume_options = None;
        }
        if mount.kind != "tmpfs" {
            mount.tmpfs_options = None;
        }
        return Ok(());
    }
    for (name, kind, set) in [
        ("VolumeOptions", "volume", mount.volume_options.is_some()),
        ("BindOptions", "bind", mount.bind_options.is_some()),
        ("TmpfsOptions", "tmpfs", mount.tmpfs_options.is_some()),
        ("ImageOptions", "image", mount.image_options.is_some()),
        ("ClusterOptions", "cluster", mount.cluster_options.is_some()),
    ] {
        if set && mount.kind != kind {
            return Err(ApiError::bad_request(format!(
                "{name} must not be specified on mount type {:?}",
                mount.kind
            )));
        }
    }
    Ok(())
}

/// dockerd's warning about a volume driver that does not reach the volumes in `Mounts`.
pub(crate) fn check_volume_driver_warning(
    body: &HostConfigBody,
    version: ApiVersion,
    warnings: &mut Vec<String>,
) {
    let unnamed = |mount: &MountBody| {
        mount.kind == "volume"
            && mount
                .volume_options
                .as_ref()
                .is_none_or(|options| options.driver_config.name.is_empty())
    };
    if !body.volume_driver.is_empty() && version.at_least(48) && body.mounts.iter().any(unnamed) {
        warnings.push("WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::lenient;

    fn read_with(json: &str, version: u32) -> Result<Vec<MountSpec>, ApiError> {
        let body: HostConfigBody =
            lenient::from_slice(format!(r#"{{"Mounts":[{json}]}}"#).as_bytes())?;
        read(body.mounts, ApiVersion::v1(version))
    }

    #[test]
    fn the_three_kinds_are_read_with_their_options() {
        let mounts = read_with(
            r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}},
               {"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"Subpath":"s"}},
               {"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1024,"Mode":448}}"#,
            50,
        )
        .unwrap();
        assert!(mounts[0].read_only);
        assert!(
            matches!(&mounts[0].kind, MountKind::Bind { propagation, .. } if propagation == "rslave")
        );
        assert!(
            matches!(&mounts[1].kind, MountKind::Volume { no_copy: true, subpath, .. } if subpath == "s")
        );
        assert_eq!(
            mounts[2].kind,
            MountKind::Tmpfs {
                size: 1024,
                mode: 448
            }
        );
    }

    #[test]
    fn options_of_another_type_are_an_error_since_1_42() {
        let json = r#"{"Type":"bind","Source":"/a","Target":"/b","VolumeOptions":{}}"#;
        assert_eq!(
            read_with(json, 42).unwrap_err().message,
            "VolumeOptions must not be specified on mount type \"bind\""
        );
        read_with(json, 41).unwrap();
    }

    #[test]
    fn what_a_version_did_not_have_is_refused_or_dropped_as_dockerd_did() {
        let image = r#"{"Type":"image","Source":"x","Target":"/x"}"#;
        assert_eq!(read_with(image, 47).unwrap_err().status, 400);
        assert_eq!(read_with(image, 48).unwrap_err().status, 501);
        let subpath = r#"{"Type":"volume","Target":"/x","VolumeOptions":{"Subpath":"s"}}"#;
        assert_eq!(
            read_with(subpath, 44).unwrap_err().message,
            "VolumeOptions.Subpath needs API v1.45 or newer"
        );
        let bind = r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"CreateMountpoint":true,"NonRecursive":true}}"#;
        assert!(matches!(
            read_with(bind, 39).unwrap()[0].kind,
            MountKind::Bind {
                create_mountpoint: false,
                non_recursive: false,
                ..
            }
        ));
        assert!(matches!(
            read_with(bind, 42).unwrap()[0].kind,
            MountKind::Bind {
                create_mountpoint: true,
                non_recursive: true,
                ..
            }
        ));
    }

    #[test]
    fn an_unknown_type_is_refused() {
        assert_eq!(
            read_with(r#"{"Type":"floppy","Target":"/x"}"#, 50)
                .unwrap_err()
                .status,
            400
        );
        assert_eq!(read_with(r#"{"Target":"/x"}"#, 50).unwrap_err().status, 400);
    }
}
