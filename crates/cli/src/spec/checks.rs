//! Checks of list flags, one element at a time.

use std::net::IpAddr;

use crate::go;
use crate::spec::device;

/// `-e`: `KEY` or `KEY=value`.
pub(crate) fn environment(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(text.to_owned())
}

/// `--label`.
pub(crate) fn label(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok(text.to_owned())
}

/// `-a stdin`.
pub(crate) fn stream(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(lower),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `--dns`.
pub(crate) fn ip_address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// `--dns-search`.
pub(crate) fn domain(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text == "." {
        return Ok(text.to_owned());
    }
    let label = |label: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        edge(label.chars().next())
            && edge(label.chars().last())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 255 && !name.is_empty() && name.split('.').all(label) {
        return Ok(name.to_owned());
    }
    Err(format!("{text} is not a valid domain"))
}

/// `--add-host name:ip`, or with `=`.
pub(crate) fn extra_host(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = parts.filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("bad format for add-host: {}", go::quote(text)));
    };
    let bare = address
        .strip_prefix('[')
        .and_then(|a| a.strip_suffix(']'))
        .unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!(
            "invalid IP address in add-host: {}",
            go::quote(bare)
        ));
    }
    Ok(format!("{name}:{bare}"))
}

/// `--link container:alias`.
pub(crate) fn link(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.split(':').count() > 2 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(text.to_owned())
}

/// `--sysctl net.ipv4.x=1`.
pub(crate) fn sysctl(text: &str) -> Result<String, String> {
    const EXACT: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let allowed = match text.split_once('=') {
        Some((name, _)) => {
            EXACT.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
        }
        None => false,
    };
    if allowed {
        Ok(text.to_owned())
    } else {
        Err(format!("sysctl '{text}' is not allowed"))
    }
}

/// `--device-cgroup-rule 'c 1:3 mr'`.
pub(crate) fn cgroup_rule(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(' ').collect();
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    let good = match parts.as_slice() {
        [kind, numbers, mode] => {
            let (major, minor) = numbers.split_once(':').unwrap_or((numbers, ""));
            matches!(*kind, "a" | "b" | "c")
                && number(major)
                && number(minor)
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|c| "rwm".contains(c))
        }
        _ => false,
    };
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid device cgroup format '{text}'"))
    }
}

/// `net_raw` as the API writes it: `CAP_NET_RAW`.
pub(crate) fn capability(name: &str) -> String {
    let upper = name.trim().to_uppercase();
    if upper == "ALL" || upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    }
}

/// A throttle or weight that will be read again when the request is made.
pub(crate) fn device_bytes(text: &str) -> Result<String, String> {
    device::bytes_per_second(text).map(|_| text.to_owned())
}

pub(crate) fn device_operations(text: &str) -> Result<String, String> {
    device::operations_per_second(text).map(|_| text.to_owned())
}

pub(crate) fn device_weight(text: &str) -> Result<String, String> {
    device::weight(text).map(|_| text.to_owned())
}

/// Six bytes in hexadecimal.
pub(crate) fn is_mac_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_need_a_name_and_an_address() {
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), "a:1.2.3.4");
        assert_eq!(extra_host("a=[::1]").unwrap(), "a:::1");
        assert_eq!(extra_host("a:::1").unwrap(), "a:::1");
        assert_eq!(extra_host("a:host-gateway").unwrap(), "a:host-gateway");
        assert_eq!(
            extra_host("a").unwrap_err(),
            "bad format for add-host: \"a\""
        );
        assert_eq!(
            extra_host("a:b").unwrap_err(),
            "invalid IP address in add-host: \"b\""
        );
    }

    #[test]
    fn sysctls_outside_a_container_are_refused() {
        assert!(sysctl("net.core.somaxconn=1").is_ok());
        assert_eq!(
            sysctl("vm.swappiness=1").unwrap_err(),
            "sysctl 'vm.swappiness=1' is not allowed"
        );
    }

    #[test]
    fn device_rules_have_three_words() {
        assert!(cgroup_rule("c 1:* rwm").is_ok());
        assert!(cgroup_rule("x 1:3 r").is_err() && cgroup_rule("c 1 r").is_err());
    }

    #[test]
    fn search_domains_are_names() {
        assert_eq!(domain("example.com.").unwrap(), "example.com");
        assert!(domain("-x").is_err() && domain("").is_err());
    }
}
