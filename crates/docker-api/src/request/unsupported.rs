//! Fields that Wharf reads and does not act on yet.
//!
//! One that is set to anything but its default is refused with 501 and its name. What older daemons
//! dropped for older clients, and what means nothing on Linux (`CpuCount`, `IOMaximumIOps`,
//! `KernelMemory`), is ignored as dockerd ignores it.

use super::create::{HostConfigBody, RestartPolicyBody};
use crate::error::ApiError;
use crate::version::ApiVersion;

/// What a create may not set.
pub(crate) fn check_create(host: &HostConfigBody, version: ApiVersion) -> Result<(), ApiError> {
    check_restart_policy(&host.restart_policy, "HostConfig.")?;
    refuse(
        "HostConfig.",
        &[
            ("Cgroup", !host.cgroup.is_empty()),
            ("StorageOpt", !host.storage_opt.is_empty()),
            ("Sysctls", !host.sysctls.is_empty()),
            // Added in 1.40; older daemons did not see it.
            (
                "KernelMemoryTCP",
                host.kernel_memory_tcp != 0 && version.at_least(40),
            ),
        ],
    )?;
    check_userns(&host.userns_mode)?;
    check_isolation(&host.isolation)?;
    check_resources(host, "HostConfig.")
}

/// What an update may not set.
pub(crate) fn check_update(body: &HostConfigBody) -> Result<(), ApiError> {
    check_restart_policy(&body.restart_policy, "")?;
    refuse(
        "",
        &[
            ("Ulimits", !body.ulimits.is_empty()),
            ("Init", body.init.is_some()),
            ("CgroupParent", !body.cgroup_parent.is_empty()),
        ],
    )?;
    check_resources(body, "")
}

fn check_resources(host: &HostConfigBody, prefix: &str) -> Result<(), ApiError> {
    refuse(
        prefix,
        &[
            ("BlkioWeight", host.blkio_weight != 0),
            ("BlkioWeightDevice", !host.blkio_weight_device.is_empty()),
            ("BlkioDeviceReadBps", !host.blkio_device_read_bps.is_empty()),
            (
                "BlkioDeviceWriteBps",
                !host.blkio_device_write_bps.is_empty(),
            ),
            (
                "BlkioDeviceReadIOps",
                !host.blkio_device_read_iops.is_empty(),
            ),
            (
                "BlkioDeviceWriteIOps",
                !host.blkio_device_write_iops.is_empty(),
            ),
            ("CpuRealtimePeriod", host.cpu_realtime_period != 0),
            ("CpuRealtimeRuntime", host.cpu_realtime_runtime != 0),
            ("Devices", !host.devices.is_empty()),
            ("DeviceCgroupRules", !host.device_cgroup_rules.is_empty()),
            ("DeviceRequests", !host.device_requests.is_empty()),
        ],
    )
}

fn refuse(prefix: &str, fields: &[(&str, bool)]) -> Result<(), ApiError> {
    match fields.iter().find(|(_, set)| *set) {
        Some((name, _)) => Err(ApiError::missing(format_args!("{prefix}{name}"))),
        None => Ok(()),
    }
}

fn check_restart_policy(policy: &RestartPolicyBody, prefix: &str) -> Result<(), ApiError> {
    let count = policy.maximum_retry_count;
    let bad = |message: String| {
        Err(ApiError::bad_request(format!(
            "invalid restart policy: {message}"
        )))
    };
    match policy.name.as_str() {
        "" => Ok(()),
        "no" if count < 0 => bad(
            "maximum retry count can only be used with 'on-failure' and cannot be negative".into(),
        ),
        "no" if count > 0 => bad("maximum retry count can only be used with 'on-failure'".into()),
        "no" => Ok(()),
        "always" | "on-failure" | "unless-stopped" => {
            Err(ApiError::missing(format_args!("{prefix}RestartPolicy")))
        }
        other => bad(format!(
            "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}

/// There is no remapping of users yet, so the host's name space is the only one.
fn check_userns(mode: &str) -> Result<(), ApiError> {
    match mode {
        "" | "host" => Ok(()),
        _ => Err(ApiError::bad_request(format!(
            "invalid userns mode: {mode}"
        ))),
    }
}

fn check_isolation(isolation: &str) -> Result<(), ApiError> {
    if isolation.is_empty() || isolation.eq_ignore_ascii_case("default") {
        Ok(())
    } else {
        Err(ApiError::bad_request(format!(
            "invalid isolation '{isolation}' on linux"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::lenient;

    fn refusal(json: &str) -> Option<(u16, String)> {
        let host = lenient::from_slice(json.as_bytes()).unwrap();
        let error = check_create(&host, ApiVersion::NEWEST).err()?;
        Some((error.status.as_u16(), error.message))
    }

    #[test]
    fn every_unsupported_field_is_refused_by_its_name() {
        for (json, name) in [
            (r#"{"BlkioWeight":10}"#, "BlkioWeight"),
            (
                r#"{"BlkioWeightDevice":[{"Path":"/dev/sda","Weight":1}]}"#,
                "BlkioWeightDevice",
            ),
            (r#"{"BlkioDeviceReadBps":[{}]}"#, "BlkioDeviceReadBps"),
            (r#"{"BlkioDeviceWriteBps":[{}]}"#, "BlkioDeviceWriteBps"),
            (r#"{"BlkioDeviceReadIOps":[{}]}"#, "BlkioDeviceReadIOps"),
            (r#"{"BlkioDeviceWriteIOps":[{}]}"#, "BlkioDeviceWriteIOps"),
            (r#"{"CpuRealtimePeriod":1}"#, "CpuRealtimePeriod"),
            (r#"{"CpuRealtimeRuntime":1}"#, "CpuRealtimeRuntime"),
            (r#"{"Devices":[{"PathOnHost":"/dev/kvm"}]}"#, "Devices"),
            (
                r#"{"DeviceCgroupRules":["c 1:3 rwm"]}"#,
                "DeviceCgroupRules",
            ),
            (r#"{"DeviceRequests":[{"Count":-1}]}"#, "DeviceRequests"),
            (r#"{"KernelMemoryTCP":1}"#, "KernelMemoryTCP"),
            (r#"{"Cgroup":"x"}"#, "Cgroup"),
            (r#"{"StorageOpt":{"size":"1G"}}"#, "StorageOpt"),
            (r#"{"Sysctls":{"net.ipv4.ip_forward":"1"}}"#, "Sysctls"),
            (r#"{"RestartPolicy":{"Name":"always"}}"#, "RestartPolicy"),
        ] {
            assert_eq!(
                refusal(json),
                Some((501, format!("HostConfig.{name} is not supported yet"))),
                "{json}"
            );
        }
    }

    #[test]
    fn defaults_and_what_means_nothing_on_linux_pass() {
        for json in [
            "{}",
            r#"{"BlkioWeight":0,"Devices":[],"DeviceRequests":null,"PortBindings":{},"RestartPolicy":{"Name":"no"}}"#,
            r#"{"CpuCount":2,"CpuPercent":10,"IOMaximumIOps":1,"IOMaximumBandwidth":1,"KernelMemory":1}"#,
            r#"{"UsernsMode":"host","Isolation":"default"}"#,
        ] {
            assert_eq!(refusal(json), None, "{json}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_400_not_501() {
        assert_eq!(
            refusal(r#"{"UsernsMode":"x"}"#),
            Some((400, "invalid userns mode: x".into()))
        );
        assert_eq!(
            refusal(r#"{"Isolation":"hyperv"}"#),
            Some((400, "invalid isolation 'hyperv' on linux".into()))
        );
        let (status, message) = refusal(r#"{"RestartPolicy":{"Name":"perhaps"}}"#).unwrap();
        assert_eq!(status, 400);
        assert!(
            message.starts_with("invalid restart policy: unknown policy 'perhaps'"),
            "{message}"
        );
    }

    #[test]
    fn an_update_names_its_fields_without_a_prefix() {
        let body: HostConfigBody = lenient::from_slice(br#"{"BlkioWeight":5}"#).unwrap();
        assert_eq!(
            check_update(&body).unwrap_err().message,
            "BlkioWeight is not supported yet"
        );
        let body = lenient::from_slice(br#"{"RestartPolicy":{"Name":"always"}}"#).unwrap();
        assert_eq!(
            check_update(&body).unwrap_err().message,
            "RestartPolicy is not supported yet"
        );
    }
}
