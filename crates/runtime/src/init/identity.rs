//! User, groups and capabilities.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Caller;
use crate::launch::capabilities::{self as names, Capabilities};
use crate::launch::error::{Failure, Step};
use crate::launch::process::ProcessPlan;

/// What is left to do after the filter was loaded: give up the capability to load it.
pub(super) struct Final(Option<CapabilitySets>);

impl Final {
    pub(super) fn apply(&self) -> Result<(), Failure> {
        match self.0 {
            Some(sets) => set_capabilities(None, sets).map_err(capset),
            None => Ok(()),
        }
    }
}

fn capset(error: Errno) -> Failure {
    Failure::at(Step::Capabilities, "")(error)
}

/// Become the process's user with exactly its capabilities; but if `keep_admin`, `CAP_SYS_ADMIN`
/// stays until [`Final::apply`].
pub(super) fn assume(
    plan: &ProcessPlan,
    keep_admin: bool,
    caller: &Caller<'_>,
) -> Result<Final, Failure> {
    let ours = capabilities(None).map_err(capset)?;
    let wanted = available(&plan.capabilities, ours.permitted, caller);
    for one in names::each() {
        if !wanted.bounding.contains(one) {
            match remove_capability_from_bounding_set(one) {
                // The kernel knows none from here on.
                Err(Errno::INVAL) => break,
                removed => removed.map_err(capset)?,
            }
        }
    }
    set_keep_capabilities(true).map_err(capset)?;
    set_user(plan)?;
    set_keep_capabilities(false).map_err(capset)?;
    // A change of user may have made this process visible to tracers again.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(capset)?;
    let end = CapabilitySets {
        effective: wanted.effective,
        permitted: wanted.permitted,
        inheritable: wanted.inheritable,
    };
    let admin = if keep_admin {
        CapabilitySet::SYS_ADMIN & ours.permitted
    } else {
        CapabilitySet::empty()
    };
    let now = CapabilitySets {
        effective: end.effective | admin,
        permitted: end.permitted | admin,
        inheritable: end.inheritable,
    };
    set_capabilities(None, now).map_err(capset)?;
    clear_ambient_capability_set().map_err(capset)?;
    for one in names::each().filter(|&one| wanted.ambient.contains(one)) {
        match configure_capability_in_ambient_set(one, true) {
            // Not in both the permitted and the inheritable set: as other runtimes, without it.
            Err(Errno::PERM) => {
                caller.warn(
                    Step::Capabilities,
                    format!("ambient {one:?}"),
                    Errno::PERM.raw_os_error(),
                );
            }
            raised => raised.map_err(capset)?,
        }
    }
    Ok(Final(
        (now.permitted != end.permitted || now.effective != end.effective).then_some(end),
    ))
}

/// Nobody can give what he has not: the rest is reported and left out.
fn available(wanted: &Capabilities, ours: CapabilitySet, caller: &Caller<'_>) -> Capabilities {
    let all = wanted.bounding | wanted.permitted | wanted.effective;
    let missing = all - ours;
    if !missing.is_empty() {
        let errno = Errno::PERM.raw_os_error();
        caller.warn(Step::Capabilities, format!("{missing:?} not held"), errno);
    }
    Capabilities {
        bounding: wanted.bounding & ours,
        effective: wanted.effective & ours & wanted.permitted,
        permitted: wanted.permitted & ours,
        inheritable: wanted.inheritable & ours,
        ambient: wanted.ambient & ours,
    }
}

fn set_user(plan: &ProcessPlan) -> Result<(), Failure> {
    let fail = |error: Errno| Failure::at(Step::User, format!("{}:{}", plan.uid, plan.gid))(error);
    let groups: Vec<Gid> = plan.groups.iter().copied().map(Gid::from_raw).collect();
    match set_thread_groups(&groups) {
        // Where a user namespace denies it there are none to drop.
        Err(Errno::PERM) if groups.is_empty() => {}
        set => set.map_err(fail)?,
    }
    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    set_thread_res_gid(gid, gid, gid).map_err(fail)?;
    set_thread_res_uid(uid, uid, uid).map_err(fail)
}
