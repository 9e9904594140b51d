//! System call filters: from a profile to the kernel's BPF.
//!
//! ```text
//! Docker's profile JSON ─ Profile::resolve(capabilities, kernel) ─┐
//! our default policy ─── default_profile() ───────────────────────┤
//! OCI `linux.seccomp` ────────────────────────────────────────────┴─ Rules ─ compile ─ Filter
//! ```
//!
//! A [`Filter`] is compiled once per profile and capability set, kept by whoever starts containers,
//! and handed to each of them as bytes: compiling on every start is what makes other runtimes slow.
//!
//! Nothing here loads a filter; `wharf_sys::seccomp` does.
//!
//! Invariants
//! - A call on an architecture that the profile does not name ends the process, as libseccomp has it.
//! - A call that is newer than every call that the profile names gives `ENOSYS` where the default is
//!   an error, so that programs fall back to older calls instead of failing (as runc does).
//! - A name that no architecture of ours has is passed over: profiles name calls of others.

mod compile;
mod numbers;
mod policy;
mod profile;
mod rules;

use serde::{Deserialize, Serialize};
use wharf_sys::seccomp::Instruction;

pub use compile::compile_rules;
pub use policy::default_profile;
pub use profile::{Conditions, Profile, ProfileArchitecture, ProfileArgument, ProfileSyscall};
pub use rules::{Action, Architecture, Argument, Operator, Rule, Rules};

/// Why a profile is no filter.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SeccompError {
    /// A word that is no action (`SCMP_ACT_…`).
    #[error("seccomp: unknown action \"{0}\"")]
    Action(String),
    /// A word that is no comparison (`SCMP_CMP_…`).
    #[error("seccomp: unknown operator \"{0}\"")]
    Operator(String),
    /// An architecture that filters cannot be made for here (`SCMP_ARCH_…`).
    #[error("seccomp: unknown architecture \"{0}\"")]
    Architecture(String),
    /// A flag (`SECCOMP_FILTER_FLAG_…`) that is not known.
    #[error("seccomp: unknown flag \"{0}\"")]
    Flag(String),
    /// A call has six arguments.
    #[error("seccomp: {call}: there is no argument {index}")]
    Index {
        /// The call.
        call: String,
        /// What was asked for.
        index: u32,
    },
    /// A kernel version that is none.
    #[error("seccomp: \"{0}\" is no kernel version")]
    Kernel(String),
    /// More instructions than the kernel takes.
    #[error("seccomp: the filter has {0} instructions, the kernel takes 4096")]
    TooLong(usize),
    /// Supervised calls need an agent, which nothing here offers.
    #[error("seccomp: SCMP_ACT_NOTIFY needs a listener, which is not supported")]
    Notify,
    /// Not JSON of Docker's form.
    #[error("decoding seccomp profile failed: {0}")]
    Json(String),
}

/// A compiled filter, ready to be loaded. Serialises as a string of hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    #[serde(with = "hexadecimal")]
    instructions: Vec<Instruction>,
    flags: u32,
}

impl Filter {
    /// The program.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The flags it wants to be loaded with (`wharf_sys::seccomp::flags`).
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }
}

/// Compiles the filter of an OCI specification.
pub fn compile(seccomp: &oci_spec::runtime::LinuxSeccomp) -> Result<Filter, SeccompError> {
    compile_rules(&Rules::from_oci(seccomp)?)
}

/// A program as hexadecimal digits, sixteen an instruction: a quarter of what a list of numbers
/// would take, and no list to allocate for.
mod hexadecimal {
    use std::fmt::Write as _;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use wharf_sys::seccomp::Instruction;

    pub(super) fn serialize<S: Serializer>(
        program: &[Instruction],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(program.len() * 16);
        for instruction in program {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{:04x}{:02x}{:02x}{:08x}",
                instruction.code,
                instruction.jump_true,
                instruction.jump_false,
                instruction.operand
            );
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Instruction>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if !text.len().is_multiple_of(16) || !text.is_ascii() {
            return Err(D::Error::custom("a filter is a multiple of sixteen digits"));
        }
        (0..text.len() / 16)
            .map(|n| parse(&text[n * 16..n * 16 + 16]))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| D::Error::custom("a filter is hexadecimal digits"))
    }

    fn parse(text: &str) -> Option<Instruction> {
        Some(Instruction {
            code: u16::from_str_radix(&text[..4], 16).ok()?,
            jump_true: u8::from_str_radix(&text[4..6], 16).ok()?,
            jump_false: u8::from_str_radix(&text[6..8], 16).ok()?,
            operand: u32::from_str_radix(&text[8..], 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
