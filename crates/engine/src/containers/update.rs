//! New limits for a container that exists.

use super::record::Record;
use super::validate;
use crate::model::{Resources, Update};
use crate::{Engine, Error, Result};

/// Merges what is asked for into the record; gives warnings.
pub(super) fn apply(engine: &Engine, record: &mut Record, update: Update) -> Result<Vec<String>> {
    let mut wanted = update.resources;
    let warnings = engine.0.host.drop_unsupported(&mut wanted);
    let merged = merge(&record.spec.host.resources, &wanted)?;
    validate::resources(&merged, engine.0.host.cpus)?;
    record.spec.host.resources = merged;
    Ok(warnings)
}

/// Docker's rules: zero keeps what is there, and what contradicts it is refused.
fn merge(old: &Resources, new: &Resources) -> Result<Resources> {
    let conflict = |text: &str| Err(Error::Conflict(text.to_owned()));
    if new.nano_cpus > 0 && old.cpu_period > 0 {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        );
    }
    if new.nano_cpus > 0 && old.cpu_quota > 0 {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        );
    }
    if new.cpu_period > 0 && old.nano_cpus > 0 {
        return conflict(
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        );
    }
    if new.cpu_quota > 0 && old.nano_cpus > 0 {
        return conflict(
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        );
    }
    // An unlimited swap (-1) is above any memory.
    if new.memory > 0
        && new.memory_swap == 0
        && old.memory_swap >= 0
        && new.memory > old.memory_swap
    {
        return conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    let number = |old: i64, new: i64| if new != 0 { new } else { old };
    let text = |old: &String, new: &String| {
        if new.is_empty() {
            old.clone()
        } else {
            new.clone()
        }
    };
    Ok(Resources {
        memory: number(old.memory, new.memory),
        memory_reservation: number(old.memory_reservation, new.memory_reservation),
        memory_swap: number(old.memory_swap, new.memory_swap),
        memory_swappiness: new.memory_swappiness.or(old.memory_swappiness),
        oom_kill_disable: new.oom_kill_disable.or(old.oom_kill_disable),
        cpu_shares: number(old.cpu_shares, new.cpu_shares),
        cpu_period: number(old.cpu_period, new.cpu_period),
        cpu_quota: number(old.cpu_quota, new.cpu_quota),
        nano_cpus: number(old.nano_cpus, new.nano_cpus),
        cpuset_cpus: text(&old.cpuset_cpus, &new.cpuset_cpus),
        cpuset_mems: text(&old.cpuset_mems, &new.cpuset_mems),
        pids_limit: new.pids_limit.or(old.pids_limit),
        ulimits: old.ulimits.clone(),
        cgroup_parent: old.cgroup_parent.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_keeps_what_is_there() {
        let old = Resources {
            memory: 64,
            memory_swap: 128,
            pids_limit: Some(5),
            ..Resources::default()
        };
        let new = Resources {
            memory: 32,
            cpu_shares: 512,
            ..Resources::default()
        };
        let merged = merge(&old, &new).unwrap();
        assert_eq!((merged.memory, merged.memory_swap), (32, 128));
        assert_eq!((merged.cpu_shares, merged.pids_limit), (512, Some(5)));
    }

    #[test]
    fn memory_above_the_swap_that_is_set_is_refused() {
        let new = Resources {
            memory: 32,
            ..Resources::default()
        };
        assert!(
            merge(&Resources::default(), &new)
                .unwrap_err()
                .to_string()
                .starts_with("Memory limit should be smaller than already set memoryswap")
        );
        let unlimited = Resources {
            memory_swap: -1,
            ..Resources::default()
        };
        assert_eq!(merge(&unlimited, &new).unwrap().memory, 32);
    }
}
