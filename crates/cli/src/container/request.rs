//! What the flags of `run` and `create` mean: the body of `POST /containers/create`.
//!
//! Only what was asked for is written; a field that is left out has the daemon's default.

mod body;

use std::collections::BTreeMap;

use crate::container::options::Options;
use crate::failure::Failure;
use crate::session::Session;
use crate::spec::device::{self, Throttle};
use crate::spec::gpus::DeviceRequest;
use crate::spec::mount::absolute;
use crate::spec::network::{Attachment, is_user_defined};
use crate::spec::port::{self, Nothing};
use crate::spec::restart::RestartPolicy;
use crate::spec::{checks, files, security};

pub(crate) use body::CreateRequest;
use body::{EndpointSettings, Healthcheck, HostConfig, IpamConfig, LogConfig, Resources};

/// Builds the request; reads the files that flags name.
pub(crate) fn build(
    session: &Session,
    options: &Options,
    image: &str,
    command: &[String],
) -> Result<CreateRequest, Failure> {
    let mut request = config(session, options, image, command)?;
    let ports = port::parse(&options.publish, &options.expose)?;
    request.exposed_ports = ports.exposed;
    request.host_config = host_config(options)?;
    request.host_config.port_bindings = ports.bindings;
    for volume in options.volumes.iter() {
        match volume.split_once(':') {
            Some((source, rest)) => {
                request
                    .host_config
                    .binds
                    .push(format!("{}:{rest}", absolute(source)));
            }
            None => {
                request.volumes.insert(volume.clone(), Nothing {});
            }
        }
    }
    request.networking_config.endpoints_config = endpoints(options)?;
    Ok(request)
}

fn config(
    session: &Session,
    options: &Options,
    image: &str,
    command: &[String],
) -> Result<CreateRequest, Failure> {
    if !options.mac_address.is_empty() && !checks::is_mac_address(options.mac_address.trim()) {
        return Err(Failure::Text(format!(
            "{} is not a valid mac address",
            options.mac_address
        )));
    }
    let attached = |name: &str| options.attach.iter().any(|stream| stream == name);
    let attach_all = options.attach.is_empty();
    let attach_stdin = attached("stdin") || options.interactive;
    let mut env = proxies(session, options);
    env.extend(files::environment(
        &options.env_file,
        &options.env,
        &session.environment,
    )?);
    Ok(CreateRequest {
        hostname: options.hostname.clone(),
        domainname: options.domainname.clone(),
        user: options.user.clone(),
        attach_stdin,
        attach_stdout: attach_all || attached("stdout"),
        attach_stderr: attach_all || attached("stderr"),
        tty: options.tty,
        open_stdin: options.interactive,
        stdin_once: options.interactive && attach_stdin,
        env,
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        healthcheck: healthcheck(options)?,
        image: image.to_owned(),
        working_dir: options.workdir.clone(),
        // `--entrypoint ''` takes the image's away.
        entrypoint: options
            .entrypoint
            .given()
            .map(|entrypoint| vec![entrypoint.clone()]),
        labels: files::labels(&options.label_file, &options.labels)?,
        stop_signal: options.stop_signal.clone(),
        stop_timeout: options.stop_timeout.given().copied(),
        ..CreateRequest::default()
    })
}

/// Proxy variables of config.json that no flag sets.
fn proxies(session: &Session, options: &Options) -> Vec<String> {
    let host = session
        .client()
        .map(|client| client.endpoint().to_string())
        .unwrap_or_default();
    let set = |name: &str| {
        options
            .env
            .iter()
            .any(|flag| flag.split('=').next() == Some(name))
    };
    session
        .config()
        .proxies(&host)
        .into_iter()
        .filter(|(name, _)| !set(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn healthcheck(options: &Options) -> Result<Option<Healthcheck>, Failure> {
    let any = !options.health_cmd.is_empty()
        || options.health_interval.0 != 0
        || options.health_timeout.0 != 0
        || options.health_start_period.0 != 0
        || options.health_retries != 0
        || options.health_start_interval.0 != 0;
    if options.no_healthcheck {
        if any {
            return Err("--no-healthcheck conflicts with --health-* options".into());
        }
        let test = vec!["NONE".to_owned()];
        return Ok(Some(Healthcheck {
            test,
            ..Healthcheck::default()
        }));
    }
    if !any {
        return Ok(None);
    }
    for (flag, value) in [
        ("--health-interval", options.health_interval.0),
        ("--health-timeout", options.health_timeout.0),
        ("--health-retries", options.health_retries),
        ("--health-start-period", options.health_start_period.0),
        ("--health-start-interval", options.health_start_interval.0),
    ] {
        if value < 0 {
            return Err(format!("{flag} cannot be negative").into());
        }
    }
    let test = if options.health_cmd.is_empty() {
        Vec::new()
    } else {
        vec!["CMD-SHELL".to_owned(), options.health_cmd.clone()]
    };
    Ok(Some(Healthcheck {
        test,
        interval: options.health_interval.0,
        timeout: options.health_timeout.0,
        start_period: options.health_start_period.0,
        start_interval: options.health_start_interval.0,
        retries: options.health_retries,
    }))
}

fn host_config(options: &Options) -> Result<HostConfig, Failure> {
    check_modes(options)?;
    let restart_policy = RestartPolicy::parse(&options.restart)?;
    if options.rm && !restart_policy.is_none() {
        return Err("conflicting options: cannot specify both --restart and --rm".into());
    }
    let security = security::parse(&options.security_opts)?;
    // What is both added and dropped is dropped.
    let dropped: Vec<String> = options
        .cap_drop
        .iter()
        .map(|name| checks::capability(name))
        .collect();
    let opened = || security.open_system_paths.then(Vec::new);
    Ok(HostConfig {
        container_id_file: options.cidfile.clone(),
        log_config: log_config(options)?,
        network_mode: options.networks.mode().to_owned(),
        restart_policy,
        auto_remove: options.rm,
        volume_driver: options.volume_driver.clone(),
        volumes_from: options.volumes_from.to_vec(),
        annotations: options.annotations.entries.clone(),
        cap_add: options
            .cap_add
            .iter()
            .map(|name| checks::capability(name))
            .filter(|name| !dropped.contains(name))
            .collect(),
        cap_drop: dropped.clone(),
        cgroupns_mode: options.cgroupns.clone(),
        dns: options.dns.to_vec(),
        dns_options: options.dns_options.to_vec(),
        dns_search: options.dns_search.to_vec(),
        extra_hosts: options.add_host.to_vec(),
        group_add: options.group_add.to_vec(),
        ipc_mode: options.ipc.clone(),
        links: options.links.to_vec(),
        oom_score_adj: options.oom_score_adj,
        pid_mode: options.pid.clone(),
        privileged: options.privileged,
        publish_all_ports: options.publish_all,
        readonly_rootfs: options.read_only,
        security_opt: security.options.clone(),
        storage_opt: pairs(&options.storage_opts, "storage option")?,
        tmpfs: tmpfs(&options.tmpfs),
        uts_mode: options.uts.clone(),
        userns_mode: options.userns.clone(),
        shm_size: options.shm_size.0,
        sysctls: options.sysctls.entries.clone(),
        runtime: options.runtime.clone(),
        isolation: options.isolation.clone(),
        resources: resources(options)?,
        mounts: options.mounts.0.clone(),
        masked_paths: opened(),
        readonly_paths: opened(),
        init: options.init.given().copied(),
        ..HostConfig::default()
    })
}

fn check_modes(options: &Options) -> Result<(), Failure> {
    let of_container = |mode: &str| {
        mode.strip_prefix("container:")
            .is_some_and(|name| !name.is_empty())
    };
    if !(matches!(options.pid.as_str(), "" | "host") || of_container(&options.pid)) {
        return Err("--pid: invalid PID mode".into());
    }
    if !matches!(options.uts.as_str(), "" | "host") {
        return Err("--uts: invalid UTS mode".into());
    }
    if !matches!(options.userns.as_str(), "" | "host") {
        return Err("--userns: invalid USER mode".into());
    }
    if !matches!(options.cgroupns.as_str(), "" | "host" | "private") {
        return Err("--cgroupns: invalid CGROUP mode".into());
    }
    if options.memory_swappiness != -1 && !(0..=100).contains(&options.memory_swappiness) {
        return Err(format!(
            "invalid value: {}. Valid memory swappiness range is 0-100",
            options.memory_swappiness
        )
        .into());
    }
    for (flag, given) in [
        ("cpu-count", options.cpu_count != 0),
        ("cpu-percent", options.cpu_percent != 0),
        ("io-maxbandwidth", options.io_max_bandwidth.0 != 0),
        ("io-maxiops", options.io_max_iops != 0),
    ] {
        if given {
            return Err(format!(
                "\"--{flag}\" is only supported on a daemon running on windows, but the daemon is running on linux"
            )
            .into());
        }
    }
    Ok(())
}

fn log_config(options: &Options) -> Result<LogConfig, Failure> {
    let config = options
        .log_opts
        .iter()
        .map(|option| {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect::<BTreeMap<_, _>>();
    if options.log_driver == "none" && !config.is_empty() {
        return Err("invalid logging opts for driver none".into());
    }
    Ok(LogConfig {
        driver: options.log_driver.clone(),
        config,
    })
}

fn pairs(list: &[String], what: &str) -> Result<BTreeMap<String, String>, Failure> {
    list.iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failure::Text(format!("invalid {what}"))),
        })
        .collect()
}

fn tmpfs(list: &[String]) -> BTreeMap<String, String> {
    list.iter()
        .map(|text| {
            let (path, options) = text.split_once(':').unwrap_or((text, ""));
            (path.to_owned(), options.to_owned())
        })
        .collect()
}

fn resources(options: &Options) -> Result<Resources, Failure> {
    let (named, paths): (Vec<&String>, Vec<&String>) = options
        .devices
        .iter()
        .partition(|text| device::is_qualified(text));
    let mut device_requests = options.gpus.0.clone();
    if !named.is_empty() {
        device_requests.push(DeviceRequest::named(named.into_iter().cloned().collect()));
    }
    let throttles = |list: &[String], read: fn(&str) -> Result<Throttle, String>| {
        list.iter()
            .map(|text| read(text))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(Resources {
        cpu_shares: options.cpu_shares,
        memory: options.memory.0,
        nano_cpus: options.cpus.0,
        cgroup_parent: options.cgroup_parent.clone(),
        blkio_weight: options.blkio_weight,
        blkio_weight_device: options
            .blkio_weight_device
            .iter()
            .map(|text| device::weight(text))
            .collect::<Result<_, _>>()?,
        blkio_device_read_bps: throttles(&options.device_read_bps, device::bytes_per_second)?,
        blkio_device_write_bps: throttles(&options.device_write_bps, device::bytes_per_second)?,
        blkio_device_read_iops: throttles(
            &options.device_read_iops,
            device::operations_per_second,
        )?,
        blkio_device_write_iops: throttles(
            &options.device_write_iops,
            device::operations_per_second,
        )?,
        cpu_period: options.cpu_period,
        cpu_quota: options.cpu_quota,
        cpu_realtime_period: options.cpu_rt_period,
        cpu_realtime_runtime: options.cpu_rt_runtime,
        cpuset_cpus: options.cpuset_cpus.clone(),
        cpuset_mems: options.cpuset_mems.clone(),
        devices: paths
            .into_iter()
            .map(|text| device::parse(text))
            .collect::<Result<_, _>>()?,
        device_cgroup_rules: options.device_cgroup_rules.to_vec(),
        device_requests,
        memory_reservation: options.memory_reservation.0,
        memory_swap: options.memory_swap.0,
        memory_swappiness: (options.memory_swappiness != -1).then_some(options.memory_swappiness),
        oom_kill_disable: options.oom_kill_disable,
        pids_limit: options.pids_limit,
        ulimits: options.ulimits.0.clone(),
    })
}

/// Settings for the networks; the flags without a network's name belong to the first.
fn endpoints(options: &Options) -> Result<BTreeMap<String, EndpointSettings>, Failure> {
    let mut endpoints = BTreeMap::new();
    let mut attachments = options.networks.0.clone();
    let named_default = Attachment {
        target: "default".to_owned(),
        ..Attachment::default()
    };
    if attachments.is_empty() {
        attachments.push(named_default);
    }
    let several = attachments.len() > 1;
    if several && attachments.iter().any(|one| !is_user_defined(&one.target)) {
        return Err("conflicting options: cannot attach both user-defined and non-user-defined network-modes".into());
    }
    for (index, mut attachment) in attachments.into_iter().enumerate() {
        if index == 0 {
            add_plain_flags(&mut attachment, options)?;
        }
        if attachment.target.trim().is_empty() {
            return Err("no name set for network".into());
        }
        let settings = settings(&attachment)?;
        if endpoints.contains_key(&attachment.target) {
            return Err(format!(
                "network {} is specified multiple times",
                crate::go::quote(&attachment.target)
            )
            .into());
        }
        match settings {
            None if !several => {}
            settings => {
                endpoints.insert(attachment.target.clone(), settings.unwrap_or_default());
            }
        }
    }
    Ok(endpoints)
}

fn add_plain_flags(attachment: &mut Attachment, options: &Options) -> Result<(), Failure> {
    let conflict = |what: &str| -> Failure {
        format!("conflicting options: cannot specify both {what}").into()
    };
    if !attachment.aliases.is_empty() && !options.network_aliases.is_empty() {
        return Err(conflict("--network-alias and per-network alias"));
    }
    if !options.network_aliases.is_empty() {
        attachment.aliases = options.network_aliases.to_vec();
    }
    if !options.links.is_empty() && is_user_defined(&attachment.target) {
        attachment.links = options.links.to_vec();
    }
    for (own, plain, what) in [
        (
            &mut attachment.ipv4,
            &options.ip,
            "--ip and per-network IPv4 address",
        ),
        (
            &mut attachment.ipv6,
            &options.ip6,
            "--ip6 and per-network IPv6 address",
        ),
        (
            &mut attachment.mac_address,
            &options.mac_address,
            "--mac-address and per-network MAC address",
        ),
    ] {
        if plain.is_empty() {
            continue;
        }
        if !own.is_empty() {
            return Err(conflict(what));
        }
        plain.clone_into(own);
    }
    if !options.link_local_ips.is_empty() {
        if !attachment.link_local.is_empty() {
            return Err(conflict(
                "--link-local-ip and per-network link-local IP addresses",
            ));
        }
        attachment.link_local = options.link_local_ips.to_vec();
    }
    Ok(())
}

fn settings(attachment: &Attachment) -> Result<Option<EndpointSettings>, Failure> {
    if !is_user_defined(&attachment.target) {
        if !attachment.aliases.is_empty() {
            return Err(
                "network-scoped aliases are only supported for user-defined networks".into(),
            );
        }
        if !attachment.links.is_empty() {
            return Err("links are only supported for user-defined networks".into());
        }
    }
    let ipam = (!attachment.ipv4.is_empty()
        || !attachment.ipv6.is_empty()
        || !attachment.link_local.is_empty())
    .then(|| IpamConfig {
        ipv4: attachment.ipv4.clone(),
        ipv6: attachment.ipv6.clone(),
        link_local: attachment.link_local.clone(),
    });
    let settings = EndpointSettings {
        ipam_config: ipam,
        links: attachment.links.clone(),
        aliases: attachment.aliases.clone(),
        mac_address: attachment.mac_address.clone(),
        driver_opts: attachment.driver_options.clone(),
        gw_priority: attachment.gateway_priority,
    };
    let said = settings.ipam_config.is_some()
        || !settings.links.is_empty()
        || !settings.aliases.is_empty()
        || !settings.mac_address.is_empty()
        || !settings.driver_opts.is_empty()
        || settings.gw_priority != 0;
    Ok(said.then_some(settings))
}

#[cfg(test)]
mod tests;
