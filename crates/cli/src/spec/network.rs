//! `--network name=net,alias=a,ip=...`

use std::collections::BTreeMap;

use crate::flags::Value;
use crate::spec::csv;

/// One `--network`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) target: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) links: Vec<String>,
    pub(crate) driver_options: BTreeMap<String, String>,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
    pub(crate) link_local: Vec<String>,
    pub(crate) mac_address: String,
    pub(crate) gateway_priority: i64,
}

/// The flag: a list of attachments.
#[derive(Debug, Default, Clone)]
pub(crate) struct Attachments(pub(crate) Vec<Attachment>);

impl Attachments {
    /// The first network is the container's mode; `default` when there is none.
    pub(crate) fn mode(&self) -> &str {
        self.0.first().map_or("default", |first| &first.target)
    }
}

impl Value for Attachments {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0.push(parse(text)?);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "network"
    }
}

fn parse(text: &str) -> Result<Attachment, String> {
    let long = text.contains('=');
    if !long {
        return Ok(Attachment {
            target: text.to_owned(),
            ..Attachment::default()
        });
    }
    let mut attachment = Attachment::default();
    for field in csv::fields(text)? {
        let Some((key, value)) = field.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field {field}"));
        };
        let (key, value) = (key.trim().to_lowercase(), value.trim());
        match key.as_str() {
            "name" => value.clone_into(&mut attachment.target),
            "alias" => attachment.aliases.push(value.to_owned()),
            "driver-opt" => match value.split_once('=') {
                Some((option, setting)) if !option.is_empty() => {
                    let option = option.trim().to_lowercase();
                    attachment
                        .driver_options
                        .insert(option, setting.trim().to_owned());
                }
                _ => return Err("invalid key value pair format in driver options".to_owned()),
            },
            "ip" => value.clone_into(&mut attachment.ipv4),
            "ip6" => value.clone_into(&mut attachment.ipv6),
            "mac-address" => value.clone_into(&mut attachment.mac_address),
            "link-local-ip" => attachment.link_local.push(value.to_owned()),
            "gw-priority" => {
                attachment.gateway_priority = crate::go::parse_int(value)
                    .map_err(|why| format!("invalid gw-priority: {why}"))?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// Is the mode a network somebody made, not one of the engine's own or another container's?
pub(crate) fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "default" | "bridge" | "host" | "none")
        && !mode.starts_with("container:")
        && !mode.starts_with("ns:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_name_or_a_list_of_settings() {
        assert_eq!(parse("host").unwrap().target, "host");
        let long = parse("name=net,alias=a,alias=b,ip=10.0.0.2,driver-opt=K=v").unwrap();
        assert_eq!(long.target, "net");
        assert_eq!(long.aliases, ["a", "b"]);
        assert_eq!(long.driver_options.get("k").map(String::as_str), Some("v"));
    }

    #[test]
    fn errors_are_dockers() {
        assert_eq!(
            parse("alias=a").unwrap_err(),
            "network name/id is not specified"
        );
        assert_eq!(
            parse("name=x,frob=1").unwrap_err(),
            "invalid field key frob"
        );
        assert_eq!(parse("name=x,frob").unwrap_err(), "invalid field frob");
    }
}
