//! `--ulimit nofile=1024:2048`

use serde::Serialize;

use crate::flags::Value;

/// A resource limit; -1 is none.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    name: String,
    hard: i64,
    soft: i64,
}

const NAMES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The flag: the last of a name wins.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ulimits(pub(crate) Vec<Ulimit>);

impl Value for Ulimits {
    fn set(&mut self, text: &str) -> Result<(), String> {
        let limit = parse(text)?;
        self.0.retain(|before| before.name != limit.name);
        self.0.push(limit);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "ulimit"
    }

    fn default_text(&self) -> String {
        "[]".to_owned()
    }
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        format!(
            "strconv.ParseInt: parsing {}: invalid syntax",
            crate::go::quote(text)
        )
    })
}

fn parse(text: &str) -> Result<Ulimit, String> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match parts.as_slice() {
        [soft] => (number(soft)?, number(soft)?),
        [soft, ""] => (number(soft)?, number(soft)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 {
        if soft == -1 {
            return Err(format!(
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}"
            ));
        }
        if soft > hard {
            return Err(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            ));
        }
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_soft_then_hard() {
        let limit = parse("nofile=10:20").unwrap();
        assert_eq!((limit.soft, limit.hard), (10, 20));
        let limit = parse("core=-1").unwrap();
        assert_eq!((limit.soft, limit.hard), (-1, -1));
        let mut limits = Ulimits::default();
        limits.set("nofile=1").unwrap();
        limits.set("nofile=2").unwrap();
        assert_eq!(limits.0.len(), 1);
    }

    #[test]
    fn errors_are_dockers() {
        assert_eq!(parse("x").unwrap_err(), "invalid ulimit argument: x");
        assert_eq!(parse("x=1").unwrap_err(), "invalid ulimit type: x");
        assert_eq!(
            parse("nofile=2:1").unwrap_err(),
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
    }
}
