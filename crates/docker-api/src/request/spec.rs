//! From the body of a create to the engine's request.
//!
//! What the domain's types cannot hold is refused here, in dockerd's words; what they can hold and
//! the rules forbid (too little memory, an unknown image) is the engine's to refuse.

use wharf_engine::model::{ContainerSpec, CreateRequest};

use super::create::{CreateBody, HealthcheckBody, plain};
use super::host;
use super::networking;
use super::query::Query;
use super::unsupported;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// What the conversion has to know of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// Version of the cgroups, 1 or 2.
    pub(crate) cgroup_version: u8,
}

/// A request to create, and what to warn the client of.
pub(crate) fn read(
    body: CreateBody,
    query: &Query,
    version: ApiVersion,
    on: Host,
) -> Result<(CreateRequest, Vec<String>), ApiError> {
    if body == CreateBody::default() {
        return Err(ApiError::bad_request(
            "config cannot be empty in order to create a container",
        ));
    }
    let mut warnings = Vec::new();
    unsupported::check_create(&body.host_config, version)?;
    check_healthcheck(&body.healthcheck)?;
    let host = host::read(body.host_config.clone(), version, on, &mut warnings)?;
    let networks = networking::endpoints(&body, version)?;
    if !body.mac_address.is_empty() && version.at_least(44) {
        warnings.push("The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.".to_owned());
    }
    let spec = ContainerSpec {
        hostname: body.hostname,
        domainname: body.domainname,
        user: body.user,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        tty: body.tty,
        open_stdin: body.open_stdin,
        stdin_once: body.stdin_once,
        env: body.env,
        cmd: body.cmd.0,
        entrypoint: body.entrypoint.0,
        image: body.image,
        volumes: body.volumes.0,
        working_dir: body.working_dir,
        labels: plain(body.labels),
        stop_signal: body.stop_signal,
        stop_timeout: body.stop_timeout,
        shell: body.shell.0,
        on_build: body.on_build,
        exposed_ports: exposed_ports(body.exposed_ports.0)?,
        network_disabled: body.network_disabled,
        mac_address: body.mac_address,
        networks,
        host,
    };
    let name = query.get("name");
    let request = CreateRequest {
        name: (!name.is_empty()).then(|| name.strip_prefix('/').unwrap_or(name).to_owned()),
        spec,
        platform: query
            .some("platform")
            .filter(|_| version.at_least(41))
            .map(str::to_owned),
    };
    Ok((request, warnings))
}

/// `80`, `80/tcp` or `8000-8010/udp`, each port on its own and with its protocol.
pub(crate) fn exposed_ports(ports: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mut all = Vec::new();
    for text in ports {
        let refuse = || ApiError::bad_request(format!("invalid containerPort: {text}"));
        let (range, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(ApiError::bad_request(format!("invalid proto: {protocol}")));
        }
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let first: u16 = first.parse().map_err(|_| refuse())?;
        let last: u16 = last.parse().map_err(|_| refuse())?;
        if first > last {
            return Err(refuse());
        }
        all.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(all)
}

/// No health check, or the image's, which does not run yet and does not stand in the way.
fn check_healthcheck(check: &HealthcheckBody) -> Result<(), ApiError> {
    let off = check.test.first().is_some_and(|word| word == "NONE");
    let inherited = *check == HealthcheckBody::default();
    if off || inherited {
        Ok(())
    } else {
        Err(ApiError::missing("Healthcheck"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::lenient;

    const CLI: &str = include_str!("fixtures/create-cli-28.json");

    fn read_with(
        json: &str,
        query: &str,
        version: u32,
    ) -> Result<(CreateRequest, Vec<String>), ApiError> {
        read(
            lenient::from_slice(json.as_bytes())?,
            &Query::parse(query),
            ApiVersion::v1(version),
            Host { cgroup_version: 2 },
        )
    }

    fn spec(json: &str) -> ContainerSpec {
        read_with(json, "", 50).unwrap().0.spec
    }

    fn refusal(json: &str) -> (u16, String) {
        let error = read_with(json, "", 50).unwrap_err();
        (error.status.as_u16(), error.message)
    }

    #[test]
    fn what_the_docker_cli_sends_for_a_plain_run_is_taken() {
        let (request, warnings) = read_with(CLI, "name=box&platform=linux%2Famd64", 50).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(request.name.as_deref(), Some("box"));
        assert_eq!(request.platform.as_deref(), Some("linux/amd64"));
        assert_eq!(request.spec.image, "busybox");
        assert_eq!(
            request.spec.cmd.as_deref(),
            Some(&["echo".to_owned(), "hi".into()][..])
        );
        assert_eq!(request.spec.host.resources.pids_limit, None);
        assert_eq!(request.spec.host.resources.memory_swappiness, None);
    }

    #[test]
    fn a_name_may_have_its_slash() {
        let (request, _) = read_with(r#"{"Image":"x"}"#, "name=/box", 50).unwrap();
        assert_eq!(request.name.as_deref(), Some("box"));
    }

    #[test]
    fn an_empty_configuration_is_refused() {
        let text = "config cannot be empty in order to create a container".to_owned();
        assert_eq!(refusal("{}"), (400, text.clone()));
        assert_eq!(refusal("null"), (400, text));
    }

    #[test]
    fn a_health_check_of_the_requests_own_is_refused_and_none_is_taken() {
        let (status, message) = refusal(r#"{"Image":"x","Healthcheck":{"Test":["CMD","true"]}}"#);
        assert_eq!(
            (status, message.as_str()),
            (501, "Healthcheck is not supported yet")
        );
        spec(r#"{"Image":"x","Healthcheck":{"Test":["NONE"]}}"#);
        spec(r#"{"Image":"x","Healthcheck":null}"#);
    }

    #[test]
    fn exposed_ports_get_their_protocol_and_ranges_are_written_out() {
        let ports =
            spec(r#"{"Image":"x","ExposedPorts":{"80":{},"53/UDP":{},"1000-1002/tcp":{}}}"#)
                .exposed_ports;
        assert_eq!(
            ports,
            ["1000/tcp", "1001/tcp", "1002/tcp", "53/udp", "80/tcp"]
        );
        assert_eq!(
            refusal(r#"{"Image":"x","ExposedPorts":{"80/icmp":{}}}"#).1,
            "invalid proto: icmp"
        );
        assert_eq!(
            refusal(r#"{"Image":"x","ExposedPorts":{"x":{}}}"#).1,
            "invalid containerPort: x"
        );
    }

    #[test]
    fn a_platform_is_only_known_since_1_41() {
        let (request, _) = read_with(r#"{"Image":"x"}"#, "platform=linux", 40).unwrap();
        assert_eq!(request.platform, None);
    }
}
