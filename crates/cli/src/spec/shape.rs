//! `--shape name=NETWORK,rate=10mbit,latency=20ms`: how the traffic of an endpoint is shaped.
//!
//! The values go to the engine as they are typed, as options of the endpoint; it knows their units.

use std::collections::BTreeMap;

use crate::spec::csv;

/// What each setting is called among an endpoint's options.
const SETTINGS: &[&str] = &["rate", "burst", "latency", "jitter", "loss"];

/// Options by network. A setting that is typed without a value is sent empty, which ends it.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
    let mut network = "bridge".to_owned();
    let mut options = BTreeMap::new();
    for field in csv::fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        if key == "name" && !value.is_empty() {
            value.clone_into(&mut network);
        } else if SETTINGS.contains(&key) {
            options.insert(format!("wharf.shaping.{key}"), value.to_owned());
        } else {
            return Err(format!(
                "invalid --shape {text}: there is no setting {key:?}; there are name, {}",
                SETTINGS.join(", ")
            ));
        }
    }
    if options.is_empty() {
        return Err(format!(
            "invalid --shape {text}: nothing to change; there are {}",
            SETTINGS.join(", ")
        ));
    }
    Ok(BTreeMap::from([(network, options)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_options_of_the_networks_endpoint() {
        let parsed = parse("name=web,rate=10mbit,loss=0.5%,latency=").unwrap();
        let options = &parsed["web"];
        assert_eq!(options["wharf.shaping.rate"], "10mbit");
        assert_eq!(options["wharf.shaping.loss"], "0.5%");
        assert_eq!(options["wharf.shaping.latency"], "");
        assert!(parse("rate=1mbit").unwrap().contains_key("bridge"));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        let text = parse("name=web,speed=1").unwrap_err();
        assert!(text.contains("\"speed\""), "{text}");
        assert!(parse("name=web").unwrap_err().contains("nothing to change"));
    }
}
