//! `--gpus all`, and `--device vendor/class=name`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::flags::Value;
use crate::spec::csv;

/// What the daemon is to find devices for.
#[derive(Debug, Default, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeviceRequest {
    driver: String,
    count: i64,
    #[serde(rename = "DeviceIDs")]
    device_ids: Option<Vec<String>>,
    capabilities: Option<Vec<Vec<String>>>,
    options: BTreeMap<String, String>,
}

impl DeviceRequest {
    /// Devices by their names in the container device interface.
    pub(crate) fn named(names: Vec<String>) -> DeviceRequest {
        DeviceRequest {
            driver: "cdi".to_owned(),
            device_ids: Some(names),
            ..DeviceRequest::default()
        }
    }
}

/// The flag: a list of requests.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gpus(pub(crate) Vec<DeviceRequest>);

impl Value for Gpus {
    fn set(&mut self, text: &str) -> Result<(), String> {
        self.0.push(parse(text)?);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "gpu-request"
    }
}

fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    text.parse().map_err(|_| {
        format!(
            "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
        )
    })
}

fn parse(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut counted = false;
    let mut seen: Vec<String> = Vec::new();
    for field in csv::fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, value),
            None => ("count", field.as_str()),
        };
        if seen.iter().any(|before| before == key) {
            return Err(format!(
                "gpu request key '{key}' can be specified only once"
            ));
        }
        seen.push(key.to_owned());
        match key {
            "driver" => value.clone_into(&mut request.driver),
            "count" => {
                request.count = count(value)?;
                counted = true;
            }
            "device" => {
                request.device_ids = Some(value.split(',').map(str::to_owned).collect());
            }
            "capabilities" => {
                let mut list: Vec<String> = value.split(',').map(str::to_owned).collect();
                list.push("gpu".to_owned());
                request.capabilities = Some(vec![list]);
            }
            "options" => {
                for option in csv::fields(value)? {
                    let (name, setting) = option.split_once('=').unwrap_or((&option, ""));
                    request.options.insert(name.to_owned(), setting.to_owned());
                }
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !counted && request.device_ids.is_none() {
        request.count = 1;
    }
    if request.capabilities.is_none() {
        request.capabilities = Some(vec![vec!["gpu".to_owned()]]);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_or_named() {
        assert_eq!(parse("all").unwrap().count, -1);
        assert_eq!(parse("2").unwrap().count, 2);
        let named = parse("\"device=0,1\",capabilities=utility").unwrap();
        assert_eq!(named.device_ids, Some(vec!["0".to_owned(), "1".to_owned()]));
        assert_eq!(named.count, 0);
        assert_eq!(
            parse("foo=bar").unwrap_err(),
            "unexpected key 'foo' in 'foo=bar'"
        );
    }
}
