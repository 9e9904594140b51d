//! What a filter says, once conditions on capabilities and kernels are decided.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator,
};

use super::SeccompError;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process ends.
    KillProcess,
    /// The thread ends.
    KillThread,
    /// SIGSYS.
    Trap,
    /// The call fails with this errno.
    Errno(u16),
    /// A tracer decides.
    Trace(u16),
    /// Allowed, and logged by the kernel.
    Log,
    /// Allowed.
    Allow,
}

impl Action {
    /// From its name in profiles, and the number that goes with some (EPERM if none is given).
    pub fn parse(name: &str, number: Option<u32>) -> Result<Action, SeccompError> {
        // The kernel takes sixteen bits, and cuts what is beyond its largest errno itself.
        let number = u16::try_from(number.unwrap_or(1)).unwrap_or(u16::MAX);
        match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(Action::KillThread),
            "SCMP_ACT_KILL_PROCESS" => Ok(Action::KillProcess),
            "SCMP_ACT_TRAP" => Ok(Action::Trap),
            "SCMP_ACT_ERRNO" => Ok(Action::Errno(number)),
            "SCMP_ACT_TRACE" => Ok(Action::Trace(number)),
            "SCMP_ACT_LOG" => Ok(Action::Log),
            "SCMP_ACT_ALLOW" => Ok(Action::Allow),
            "SCMP_ACT_NOTIFY" => Err(SeccompError::Notify),
            _ => Err(SeccompError::Action(name.to_owned())),
        }
    }

    /// The kernel's value (`SECCOMP_RET_…`).
    pub(super) fn value(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(number) => 0x0005_0000 | u32::from(number),
            Action::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }
}

/// A comparison of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `argument != value`
    NotEqual,
    /// `argument < value`
    Less,
    /// `argument <= value`
    LessOrEqual,
    /// `argument == value`
    Equal,
    /// `argument >= value`
    GreaterOrEqual,
    /// `argument > value`
    Greater,
    /// `argument & value == value_two`
    MaskedEqual,
}

impl Operator {
    /// From its name in profiles.
    pub fn parse(name: &str) -> Result<Operator, SeccompError> {
        Ok(match name {
            "SCMP_CMP_NE" => Operator::NotEqual,
            "SCMP_CMP_LT" => Operator::Less,
            "SCMP_CMP_LE" => Operator::LessOrEqual,
            "SCMP_CMP_EQ" => Operator::Equal,
            "SCMP_CMP_GE" => Operator::GreaterOrEqual,
            "SCMP_CMP_GT" => Operator::Greater,
            "SCMP_CMP_MASKED_EQ" => Operator::MaskedEqual,
            _ => return Err(SeccompError::Operator(name.to_owned())),
        })
    }
}

/// A condition on one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// 0 to 5.
    pub index: u8,
    /// The comparison.
    pub operator: Operator,
    /// What is compared with; the mask of [`Operator::MaskedEqual`].
    pub value: u64,
    /// What the masked argument must be.
    pub value_two: u64,
}

/// Some calls and what becomes of them if all conditions hold. The first rule that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names of calls.
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: Action,
    /// Conditions; none means always.
    pub arguments: Vec<Argument>,
}

/// An architecture whose calls can be filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit PC.
    X86_64,
    /// 32-bit PC.
    X86,
    /// 32-bit pointers on a 64-bit PC. The kernel reports it as [`Architecture::X86_64`].
    X32,
    /// 64-bit ARM.
    Aarch64,
}

impl Architecture {
    /// That of this binary.
    pub const NATIVE: Architecture = if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    };

    /// From its name in profiles; `None` for one that exists but that no kernel we run on has.
    pub fn parse(name: &str) -> Result<Option<Architecture>, SeccompError> {
        Ok(Some(match name {
            "SCMP_ARCH_X86_64" => Architecture::X86_64,
            "SCMP_ARCH_X86" => Architecture::X86,
            "SCMP_ARCH_X32" => Architecture::X32,
            "SCMP_ARCH_AARCH64" => Architecture::Aarch64,
            "SCMP_ARCH_NATIVE" => Architecture::NATIVE,
            "SCMP_ARCH_ARM"
            | "SCMP_ARCH_MIPS"
            | "SCMP_ARCH_MIPS64"
            | "SCMP_ARCH_MIPS64N32"
            | "SCMP_ARCH_MIPSEL"
            | "SCMP_ARCH_MIPSEL64"
            | "SCMP_ARCH_MIPSEL64N32"
            | "SCMP_ARCH_PPC"
            | "SCMP_ARCH_PPC64"
            | "SCMP_ARCH_PPC64LE"
            | "SCMP_ARCH_S390"
            | "SCMP_ARCH_S390X"
            | "SCMP_ARCH_PARISC"
            | "SCMP_ARCH_PARISC64"
            | "SCMP_ARCH_RISCV64"
            | "SCMP_ARCH_LOONGARCH64" => return Ok(None),
            _ => return Err(SeccompError::Architecture(name.to_owned())),
        }))
    }

    /// The kernel's value (`AUDIT_ARCH_…`).
    pub(super) fn audit(self) -> u32 {
        match self {
            Architecture::X86_64 | Architecture::X32 => 0xc000_003e,
            Architecture::X86 => 0x4000_0003,
            Architecture::Aarch64 => 0xc000_00b7,
        }
    }

    /// The word that profiles use in their conditions (Go's name).
    pub(super) fn go_name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::X86 => "x86",
            Architecture::X32 => "x32",
            Architecture::Aarch64 => "arm64",
        }
    }
}

/// A whole filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of calls that no rule fits.
    pub default: Action,
    /// Architectures whose calls are judged.
    pub architectures: Vec<Architecture>,
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// Flags of the kernel's (`wharf_sys::seccomp::flags`).
    pub flags: u32,
}

impl Rules {
    /// From an OCI specification (runtime-spec, `linux.seccomp`).
    pub fn from_oci(seccomp: &LinuxSeccomp) -> Result<Rules, SeccompError> {
        let mut architectures = Vec::new();
        for architecture in seccomp.architectures().iter().flatten() {
            if let Some(known) = from_oci_architecture(*architecture)
                && !architectures.contains(&known)
            {
                architectures.push(known);
            }
        }
        if architectures.is_empty() {
            architectures.push(Architecture::NATIVE);
        }
        let mut rules = Vec::new();
        for syscall in seccomp.syscalls().iter().flatten() {
            let mut arguments = Vec::new();
            for argument in syscall.args().iter().flatten() {
                arguments.push(Argument {
                    index: index(argument.index(), &syscall.names()[..])?,
                    operator: from_oci_operator(argument.op()),
                    value: argument.value(),
                    value_two: argument.value_two().unwrap_or(0),
                });
            }
            rules.push(Rule {
                names: syscall.names().clone(),
                action: from_oci_action(syscall.action(), syscall.errno_ret())?,
                arguments,
            });
        }
        let mut flags = 0;
        for flag in seccomp.flags().iter().flatten() {
            flags |= from_oci_flag(*flag);
        }
        Ok(Rules {
            default: from_oci_action(seccomp.default_action(), seccomp.default_errno_ret())?,
            architectures,
            rules,
            flags,
        })
    }
}

/// Checks the index of an argument.
pub(super) fn index(index: usize, names: &[String]) -> Result<u8, SeccompError> {
    u8::try_from(index)
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| SeccompError::Index {
            call: names.first().cloned().unwrap_or_default(),
            index: u32::try_from(index).unwrap_or(u32::MAX),
        })
}

/// A flag by its name.
pub(super) fn parse_flag(name: &str) -> Result<u32, SeccompError> {
    use wharf_sys::seccomp::flags;
    match name {
        // A process that loads its filter has one thread: there is nobody to synchronise.
        "SECCOMP_FILTER_FLAG_TSYNC" => Ok(0),
        "SECCOMP_FILTER_FLAG_LOG" => Ok(flags::LOG),
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Ok(flags::SPEC_ALLOW),
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Ok(0),
        _ => Err(SeccompError::Flag(name.to_owned())),
    }
}

fn from_oci_action(
    action: LinuxSeccompAction,
    number: Option<u32>,
) -> Result<Action, SeccompError> {
    let number = u16::try_from(number.unwrap_or(1)).unwrap_or(u16::MAX);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            Action::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(number),
        LinuxSeccompAction::ScmpActTrace => Action::Trace(number),
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
        LinuxSeccompAction::ScmpActNotify => return Err(SeccompError::Notify),
    })
}

fn from_oci_flag(flag: LinuxSeccompFilterFlag) -> u32 {
    use wharf_sys::seccomp::flags;
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => flags::LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flags::SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync
        | LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
    }
}

fn from_oci_operator(operator: LinuxSeccompOperator) -> Operator {
    match operator {
        LinuxSeccompOperator::ScmpCmpNe => Operator::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => Operator::Less,
        LinuxSeccompOperator::ScmpCmpLe => Operator::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => Operator::Equal,
        LinuxSeccompOperator::ScmpCmpGe => Operator::GreaterOrEqual,
        LinuxSeccompOperator::ScmpCmpGt => Operator::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => Operator::MaskedEqual,
    }
}

fn from_oci_architecture(architecture: Arch) -> Option<Architecture> {
    match architecture {
        Arch::ScmpArchX86_64 => Some(Architecture::X86_64),
        Arch::ScmpArchX86 => Some(Architecture::X86),
        Arch::ScmpArchX32 => Some(Architecture::X32),
        Arch::ScmpArchAarch64 => Some(Architecture::Aarch64),
        Arch::ScmpArchNative => Some(Architecture::NATIVE),
        _ => None,
    }
}
