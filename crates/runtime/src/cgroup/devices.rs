//! Which devices a cgroup's processes may use: the rules of a specification, brought into the
//! form both versions of cgroups can express.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::error::CgroupError;

/// Everything or nothing, but for exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// What holds where no exception does.
    pub(super) allow_by_default: bool,
    pub(super) exceptions: Vec<Exception>,
}

/// Devices for which the opposite holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) kind: Kind,
    /// None: all.
    pub(super) major: Option<u32>,
    /// None: all.
    pub(super) minor: Option<u32>,
    pub(super) access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block,
    Character,
}

/// Making nodes, reading, writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) mknod: bool,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Access {
    pub(super) const ALL: Access = Access {
        mknod: true,
        read: true,
        write: true,
    };
    const MKNOD: Access = Access {
        mknod: true,
        read: false,
        write: false,
    };

    fn parse(text: &str) -> Option<Access> {
        let mut access = Access {
            mknod: false,
            read: false,
            write: false,
        };
        for letter in text.chars() {
            match letter {
                'm' => access.mknod = true,
                'r' => access.read = true,
                'w' => access.write = true,
                _ => return None,
            }
        }
        (access.mknod || access.read || access.write).then_some(access)
    }

    fn letters(self) -> String {
        [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')]
            .into_iter()
            .filter_map(|(set, letter)| set.then_some(letter))
            .collect()
    }
}

/// What every container may use: the devices it always gets, its terminals, and making nodes,
/// which alone opens nothing.
const ALWAYS: [Exception; 11] = [
    exception(Kind::Character, None, None, Access::MKNOD),
    exception(Kind::Block, None, None, Access::MKNOD),
    exception(Kind::Character, Some(1), Some(3), Access::ALL),
    exception(Kind::Character, Some(1), Some(5), Access::ALL),
    exception(Kind::Character, Some(1), Some(7), Access::ALL),
    exception(Kind::Character, Some(1), Some(8), Access::ALL),
    exception(Kind::Character, Some(1), Some(9), Access::ALL),
    exception(Kind::Character, Some(5), Some(0), Access::ALL),
    exception(Kind::Character, Some(5), Some(1), Access::ALL),
    exception(Kind::Character, Some(5), Some(2), Access::ALL),
    exception(Kind::Character, Some(136), None, Access::ALL),
];

const fn exception(
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
) -> Exception {
    Exception {
        kind,
        major,
        minor,
        access,
    }
}

impl Policy {
    /// What `rules` come to, in their order, starting from nothing being allowed.
    pub(super) fn of(rules: &[LinuxDeviceCgroup]) -> Result<Policy, CgroupError> {
        let mut policy = Policy {
            allow_by_default: false,
            exceptions: Vec::new(),
        };
        for rule in rules {
            policy.add(rule)?;
        }
        if !policy.allow_by_default {
            for always in ALWAYS {
                if !policy.exceptions.contains(&always) {
                    policy.exceptions.push(always);
                }
            }
        }
        Ok(policy)
    }

    fn add(&mut self, rule: &LinuxDeviceCgroup) -> Result<(), CgroupError> {
        let wrong = |reason: &str| CgroupError::limit("linux.resources.devices", reason);
        let access = match rule.access().as_deref() {
            None | Some("") => Access::ALL,
            Some(text) => Access::parse(text).ok_or_else(|| wrong(text))?,
        };
        let number = |value: Option<i64>| match value {
            None | Some(-1) => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_| wrong("not a device number")),
        };
        let (major, minor) = (number(rule.major())?, number(rule.minor())?);
        let kinds: &[Kind] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A if major.is_none() && minor.is_none() && access == Access::ALL => {
                self.allow_by_default = rule.allow();
                self.exceptions.clear();
                return Ok(());
            }
            LinuxDeviceType::A => &[Kind::Block, Kind::Character],
            LinuxDeviceType::B => &[Kind::Block],
            LinuxDeviceType::C | LinuxDeviceType::U => &[Kind::Character],
            LinuxDeviceType::P => return Err(wrong("a pipe is no device")),
        };
        for &kind in kinds {
            self.except(exception(kind, major, minor, access), rule.allow());
        }
        Ok(())
    }

    fn except(&mut self, new: Exception, allow: bool) {
        if allow != self.allow_by_default {
            if !self.exceptions.contains(&new) {
                self.exceptions.push(new);
            }
            return;
        }
        // Back to the default: exceptions for the same devices lose this access.
        for known in &mut self.exceptions {
            if (known.kind, known.major, known.minor) == (new.kind, new.major, new.minor) {
                known.access.mknod &= !new.access.mknod;
                known.access.read &= !new.access.read;
                known.access.write &= !new.access.write;
            }
        }
        self.exceptions
            .retain(|known| known.access.mknod || known.access.read || known.access.write);
    }
}

impl Exception {
    /// As version 1's files take it: `c 1:3 rwm`.
    pub(super) fn line(&self) -> String {
        let kind = match self.kind {
            Kind::Block => 'b',
            Kind::Character => 'c',
        };
        let number =
            |value: Option<u32>| value.map_or_else(|| "*".to_owned(), |value| value.to_string());
        format!(
            "{kind} {}:{} {}",
            number(self.major),
            number(self.minor),
            self.access.letters()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Policy {
        let rules: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        Policy::of(&rules).unwrap()
    }

    #[test]
    fn docker_denies_all_but_a_few() {
        let policy = policy(
            r#"[{"allow":false,"access":"rwm"},
                {"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}]"#,
        );
        assert!(!policy.allow_by_default);
        assert!(policy.exceptions.iter().any(|e| e.line() == "c 10:229 rwm"));
        assert!(policy.exceptions.iter().any(|e| e.line() == "c 1:3 rwm"));
        assert!(policy.exceptions.iter().any(|e| e.line() == "c 136:* rwm"));
        assert!(policy.exceptions.iter().any(|e| e.line() == "b *:* m"));
    }

    #[test]
    fn a_privileged_container_may_use_all() {
        let policy = policy(r#"[{"allow":true,"access":"rwm"}]"#);
        assert!(policy.allow_by_default);
        assert!(policy.exceptions.is_empty());
    }

    #[test]
    fn a_later_rule_takes_back_an_earlier_one() {
        let policy = policy(
            r#"[{"allow":true,"type":"c","major":10,"minor":200,"access":"rw"},
                {"allow":false,"type":"c","major":10,"minor":200,"access":"w"}]"#,
        );
        assert!(policy.exceptions.iter().any(|e| e.line() == "c 10:200 r"));
    }

    #[test]
    fn without_rules_nothing_but_the_usual_is_allowed() {
        let policy = policy("[]");
        assert_eq!(policy.exceptions.len(), ALWAYS.len());
    }

    #[test]
    fn nonsense_is_refused() {
        for json in [
            r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"x"}]"#,
            r#"[{"allow":true,"type":"c","major":-2,"minor":3,"access":"r"}]"#,
            r#"[{"allow":true,"type":"p","access":"r"}]"#,
        ] {
            let rules: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
            assert!(Policy::of(&rules).is_err(), "{json}");
        }
    }
}
