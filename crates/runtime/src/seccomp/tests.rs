use super::compile::machine::run;
use super::numbers::{is_known, number};
use super::*;

const KERNEL: (u32, u32) = (6, 12);
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0;

fn default_filter(capabilities: &[&str]) -> Filter {
    compile_rules(&default_profile().resolve(capabilities, KERNEL).unwrap()).unwrap()
}

#[track_caller]
fn on(filter: &Filter, architecture: Architecture, name: &str, arguments: [u64; 6]) -> u32 {
    let number = number(architecture, name).unwrap();
    run(filter, architecture.audit(), number, arguments)
}

#[track_caller]
fn judge(filter: &Filter, name: &str, first: u64) -> u32 {
    on(filter, Architecture::NATIVE, name, [first, 0, 0, 0, 0, 0])
}

#[test]
fn every_name_of_the_default_policy_is_a_call() {
    for name in policy::names() {
        assert!(
            is_known(name),
            "{name} is no call of any architecture of ours"
        );
    }
}

#[test]
fn the_default_policy_allows_ordinary_programs_and_nothing_that_reaches_out() {
    let filter = default_filter(&[]);
    for name in [
        "read",
        "openat",
        "execve",
        "mmap",
        "futex",
        "ptrace",
        "landlock_restrict_self",
    ] {
        assert_eq!(judge(&filter, name, 0), ALLOW, "{name}");
    }
    for name in [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "request_key",
        "kexec_load",
        "init_module",
        "reboot",
        "swapon",
        "open_by_handle_at",
        "userfaultfd",
        "io_uring_setup",
        "perf_event_open",
        "move_mount",
        "pivot_root",
        "settimeofday",
        "sethostname",
        "chroot",
        "acct",
    ] {
        assert_eq!(judge(&filter, name, 0), EPERM, "{name}");
    }
    assert_eq!(
        judge(&filter, "clone3", 0),
        ENOSYS,
        "so that the C library takes clone"
    );
}

#[test]
fn a_new_user_namespace_needs_the_capability() {
    let filter = default_filter(&[]);
    assert_eq!(
        judge(&filter, "clone", 0x0120_0011),
        ALLOW,
        "fork and threads"
    );
    for flag in [0x1000_0000, 0x0002_0000, 0x4000_0000, 0x0200_0000] {
        assert_eq!(judge(&filter, "clone", flag | 0x11), EPERM, "{flag:#x}");
    }
    let admin = default_filter(&["CAP_SYS_ADMIN"]);
    assert_eq!(judge(&admin, "clone", 0x1000_0000), ALLOW);
    assert_eq!(judge(&admin, "clone3", 0), ALLOW);
    assert_eq!(judge(&admin, "mount", 0), ALLOW);
}

#[test]
fn arguments_decide_where_they_must() {
    let filter = default_filter(&[]);
    assert_eq!(judge(&filter, "socket", 2), ALLOW);
    assert_eq!(judge(&filter, "socket", 40), EPERM, "AF_VSOCK");
    for allowed in [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(
            judge(&filter, "personality", allowed),
            ALLOW,
            "{allowed:#x}"
        );
    }
    assert_eq!(
        judge(&filter, "personality", 0x4_0000),
        EPERM,
        "ADDR_NO_RANDOMIZE"
    );
    assert_eq!(
        judge(&filter, "personality", 0x1_0000_0000),
        EPERM,
        "the upper half counts"
    );
}

#[test]
fn capabilities_open_what_the_kernel_would_let_them_do() {
    for (capability, name) in [
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_BPF", "bpf"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ] {
        assert_eq!(judge(&default_filter(&[]), name, 0), EPERM, "{name}");
        assert_eq!(
            judge(&default_filter(&[capability]), name, 0),
            ALLOW,
            "{name}"
        );
    }
}

#[test]
fn a_call_newer_than_the_profile_does_not_exist_instead_of_being_forbidden() {
    let filter = default_filter(&[]);
    assert_eq!(
        run(&filter, Architecture::NATIVE.audit(), 4000, [0; 6]),
        ENOSYS
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_architecture_of_the_machine_is_judged_by_its_own_numbers() {
    let filter = default_filter(&[]);
    for architecture in [Architecture::X86_64, Architecture::X86, Architecture::X32] {
        assert_eq!(
            on(&filter, architecture, "read", [0; 6]),
            ALLOW,
            "{architecture:?}"
        );
        assert_eq!(
            on(&filter, architecture, "mount", [0; 6]),
            EPERM,
            "{architecture:?}"
        );
    }
    // Number 21 is access on one and mount on the other.
    assert_eq!(
        run(&filter, Architecture::X86_64.audit(), 21, [0; 6]),
        ALLOW
    );
    assert_eq!(run(&filter, Architecture::X86.audit(), 21, [0; 6]), EPERM);
    assert_eq!(
        run(&filter, Architecture::Aarch64.audit(), 0, [0; 6]),
        KILL,
        "not named"
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn x32_is_killed_where_the_profile_does_not_name_it() {
    let profile = Profile {
        default_action: "SCMP_ACT_ALLOW".into(),
        architectures: vec!["SCMP_ARCH_X86_64".into()],
        ..Profile::default()
    };
    let filter = compile_rules(&profile.resolve(&[], KERNEL).unwrap()).unwrap();
    assert_eq!(run(&filter, Architecture::X86_64.audit(), 0, [0; 6]), ALLOW);
    assert_eq!(
        run(&filter, Architecture::X86_64.audit(), 0x4000_0000, [0; 6]),
        KILL
    );
}

#[test]
fn every_comparison_means_what_it_says_on_both_halves() {
    let values = [
        0,
        1,
        5,
        6,
        7,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0005,
        u64::MAX,
    ];
    for operator in [
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ] {
        for value in values {
            let rules = Rules {
                default: Action::Errno(1),
                architectures: vec![Architecture::NATIVE],
                rules: vec![Rule {
                    names: vec!["read".into()],
                    action: Action::Allow,
                    arguments: vec![Argument {
                        index: 2,
                        operator,
                        value,
                        value_two: value & 5,
                    }],
                }],
                flags: 0,
            };
            let filter = compile_rules(&rules).unwrap();
            for actual in values {
                let holds = match operator {
                    Operator::NotEqual => actual != value,
                    Operator::Less => actual < value,
                    Operator::LessOrEqual => actual <= value,
                    Operator::Equal => actual == value,
                    Operator::GreaterOrEqual => actual >= value,
                    Operator::Greater => actual > value,
                    Operator::MaskedEqual => actual & value == value & 5,
                };
                let answer = on(
                    &filter,
                    Architecture::NATIVE,
                    "read",
                    [9, 9, actual, 9, 9, 9],
                );
                assert_eq!(
                    answer == ALLOW,
                    holds,
                    "{actual:#x} {operator:?} {value:#x}"
                );
            }
        }
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold_and_any_rule_may() {
    let equal = |index, value| Argument {
        index,
        operator: Operator::Equal,
        value,
        value_two: 0,
    };
    let rule = |arguments| Rule {
        names: vec!["read".into()],
        action: Action::Allow,
        arguments,
    };
    let rules = Rules {
        default: Action::Errno(1),
        architectures: vec![Architecture::NATIVE],
        rules: vec![
            rule(vec![equal(0, 1), equal(1, 2)]),
            rule(vec![equal(0, 7)]),
        ],
        flags: 0,
    };
    let filter = compile_rules(&rules).unwrap();
    let answer = |a, b| on(&filter, Architecture::NATIVE, "read", [a, b, 0, 0, 0, 0]);
    assert_eq!(answer(1, 2), ALLOW);
    assert_eq!(answer(7, 0), ALLOW);
    assert_eq!(answer(1, 3), EPERM);
    assert_eq!(answer(2, 2), EPERM);
}

#[test]
fn dockers_json_is_read_with_its_nulls_and_old_forms() {
    let json = br#"{"defaultAction":"SCMP_ACT_KILL","architectures":null,"syscalls":[
        {"name":"read","action":"SCMP_ACT_ALLOW","args":null},
        {"names":["write"],"action":"SCMP_ACT_ERRNO","errnoRet":13,"includes":{"minKernel":"99.0"}},
        {"names":["close"],"action":"SCMP_ACT_LOG","excludes":{"caps":["CAP_KILL"]}}]}"#;
    let profile = Profile::parse(json).unwrap();
    let filter = compile_rules(&profile.resolve(&[], KERNEL).unwrap()).unwrap();
    assert_eq!(judge(&filter, "read", 0), ALLOW);
    assert_eq!(
        judge(&filter, "write", 0),
        KILL,
        "the kernel is too old for that rule"
    );
    assert_eq!(judge(&filter, "close", 0), 0x7ffc_0000);
    let with = compile_rules(&profile.resolve(&["CAP_KILL"], KERNEL).unwrap()).unwrap();
    assert_eq!(judge(&with, "close", 0), KILL);
}

#[test]
fn words_that_are_not_known_are_named() {
    let profile = |json: &str| Profile::parse(json.as_bytes()).and_then(|p| p.resolve(&[], KERNEL));
    let bad = |json: &str| profile(json).unwrap_err().to_string();
    assert!(bad(r#"{"defaultAction":"SCMP_ACT_NOPE"}"#).contains("SCMP_ACT_NOPE"));
    assert!(bad(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["F"]}"#).contains("\"F\""));
    assert!(
        bad(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}"#)
            .contains("no argument 6")
    );
    assert!(Profile::parse(b"{").is_err());
    assert_eq!(
        bad(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#),
        SeccompError::Notify.to_string()
    );
}

#[test]
fn a_filter_survives_being_written_down() {
    let filter = default_filter(&[]);
    let text = serde_json::to_string(&filter).unwrap();
    assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    assert!(
        filter.instructions().len() < 1024,
        "{}",
        filter.instructions().len()
    );
}
