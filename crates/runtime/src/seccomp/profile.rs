//! Docker's seccomp profiles: JSON whose rules depend on capabilities, architecture and kernel.

use serde::{Deserialize, Deserializer, Serialize};

use super::SeccompError;
use super::rules::{Action, Architecture, Argument, Operator, Rule, Rules, index, parse_flag};

/// A profile, as `--security-opt seccomp=FILE` names one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Profile {
    /// For calls that no rule fits.
    pub default_action: String,
    /// Goes with a default action of `SCMP_ACT_ERRNO`.
    pub default_errno_ret: Option<u32>,
    /// Architectures by name; the old form. Empty together with `arch_map`: the native one.
    #[serde(deserialize_with = "or_null")]
    pub architectures: Vec<String>,
    /// For each native architecture the others that its kernel runs.
    #[serde(deserialize_with = "or_null")]
    pub arch_map: Vec<ProfileArchitecture>,
    /// Flags (`SECCOMP_FILTER_FLAG_…`).
    #[serde(deserialize_with = "or_null")]
    pub flags: Vec<String>,
    /// The rules.
    #[serde(deserialize_with = "or_null")]
    pub syscalls: Vec<ProfileSyscall>,
}

/// An architecture and those that come with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProfileArchitecture {
    /// The native one.
    pub architecture: String,
    /// What its kernel runs besides.
    #[serde(deserialize_with = "or_null")]
    pub sub_architectures: Vec<String>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProfileSyscall {
    /// One call; the old form.
    pub name: String,
    /// Calls.
    #[serde(deserialize_with = "or_null")]
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: String,
    /// Goes with `SCMP_ACT_ERRNO` and `SCMP_ACT_TRACE`.
    pub errno_ret: Option<u32>,
    /// Conditions on arguments: all must hold.
    #[serde(deserialize_with = "or_null")]
    pub args: Vec<ProfileArgument>,
    /// The rule exists only where these hold.
    #[serde(deserialize_with = "or_null")]
    pub includes: Conditions,
    /// The rule does not exist where any of these holds.
    #[serde(deserialize_with = "or_null")]
    pub excludes: Conditions,
}

/// A condition on an argument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProfileArgument {
    /// 0 to 5.
    pub index: usize,
    /// Compared with; a mask for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// What the masked argument must be.
    pub value_two: u64,
    /// `SCMP_CMP_…`.
    pub op: String,
}

/// Where a rule exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Conditions {
    /// Capabilities in the bounding set (`CAP_…`); all are meant.
    #[serde(deserialize_with = "or_null")]
    pub caps: Vec<String>,
    /// Go's names of architectures; any is meant.
    #[serde(deserialize_with = "or_null")]
    pub arches: Vec<String>,
    /// Kernel version, `4.8`, at least.
    pub min_kernel: Option<String>,
}

/// Go writes an empty list as `null`.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl Profile {
    /// Reads Docker's JSON.
    pub fn parse(json: &[u8]) -> Result<Profile, SeccompError> {
        let profile: Profile =
            serde_json::from_slice(json).map_err(|error| SeccompError::Json(error.to_string()))?;
        if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
            return Err(SeccompError::Json(
                "both 'architectures' and 'archMap' are specified".into(),
            ));
        }
        Ok(profile)
    }

    /// The rules that hold with these capabilities (`CAP_…`) on this kernel (major, minor).
    pub fn resolve(
        &self,
        capabilities: &[&str],
        kernel: (u32, u32),
    ) -> Result<Rules, SeccompError> {
        let mut rules = Vec::new();
        for syscall in &self.syscalls {
            if !syscall.includes.all_hold(capabilities, kernel)?
                || syscall.excludes.any_holds(capabilities, kernel)?
            {
                continue;
            }
            rules.push(syscall.rule()?);
        }
        let mut flags = 0;
        for flag in &self.flags {
            flags |= parse_flag(flag)?;
        }
        Ok(Rules {
            default: Action::parse(&self.default_action, self.default_errno_ret)?,
            architectures: self.resolve_architectures()?,
            rules,
            flags,
        })
    }

    fn resolve_architectures(&self) -> Result<Vec<Architecture>, SeccompError> {
        let mut names: Vec<&str> = self.architectures.iter().map(String::as_str).collect();
        for entry in &self.arch_map {
            if Architecture::parse(&entry.architecture)? == Some(Architecture::NATIVE) {
                names.push(&entry.architecture);
                names.extend(entry.sub_architectures.iter().map(String::as_str));
            }
        }
        let mut architectures = Vec::new();
        for name in names {
            if let Some(architecture) = Architecture::parse(name)?
                && !architectures.contains(&architecture)
            {
                architectures.push(architecture);
            }
        }
        if architectures.is_empty() {
            architectures.push(Architecture::NATIVE);
        }
        Ok(architectures)
    }
}

impl ProfileSyscall {
    fn rule(&self) -> Result<Rule, SeccompError> {
        let mut names = self.names.clone();
        if !self.name.is_empty() {
            names.push(self.name.clone());
        }
        let mut arguments = Vec::with_capacity(self.args.len());
        for argument in &self.args {
            arguments.push(Argument {
                index: index(argument.index, &names)?,
                operator: Operator::parse(&argument.op)?,
                value: argument.value,
                value_two: argument.value_two,
            });
        }
        Ok(Rule {
            action: Action::parse(&self.action, self.errno_ret)?,
            names,
            arguments,
        })
    }
}

impl Conditions {
    fn all_hold(&self, capabilities: &[&str], kernel: (u32, u32)) -> Result<bool, SeccompError> {
        let arch = Architecture::NATIVE.go_name();
        Ok(
            (self.arches.is_empty() || self.arches.iter().any(|name| name == arch))
                && self
                    .caps
                    .iter()
                    .all(|cap| capabilities.contains(&cap.as_str()))
                && self.kernel_is_new_enough(kernel)?.unwrap_or(true),
        )
    }

    fn any_holds(&self, capabilities: &[&str], kernel: (u32, u32)) -> Result<bool, SeccompError> {
        let arch = Architecture::NATIVE.go_name();
        Ok(self.arches.iter().any(|name| name == arch)
            || self
                .caps
                .iter()
                .any(|cap| capabilities.contains(&cap.as_str()))
            || self.kernel_is_new_enough(kernel)?.unwrap_or(false))
    }

    fn kernel_is_new_enough(&self, kernel: (u32, u32)) -> Result<Option<bool>, SeccompError> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wanted = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
            .ok_or_else(|| SeccompError::Kernel(text.to_owned()))?;
        Ok(Some(kernel >= wanted))
    }
}
