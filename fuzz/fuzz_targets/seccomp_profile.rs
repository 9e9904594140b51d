//! Any JSON as a seccomp profile, in Docker's form and in OCI's. What compiles is a program the
//! kernel would take (its checks are repeated here), ends whatever the call is, and is the same
//! after the trip to the shim.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::LinuxSeccomp;
use wharf_runtime::seccomp::{Filter, Profile, compile, compile_rules};

const LONGEST: usize = 4096;
const SECCOMP_DATA: u32 = 64;
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

fuzz_target!(|data: &[u8]| {
    if let Ok(profile) = Profile::parse(data) {
        for capabilities in [&[][..], &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]] {
            let Ok(rules) = profile.resolve(capabilities, (4, 19)) else {
                continue;
            };
            if let Ok(filter) = compile_rules(&rules) {
                sound(&filter);
            }
        }
    }
    if let Ok(seccomp) = serde_json::from_slice::<LinuxSeccomp>(data)
        && let Ok(filter) = compile(&seccomp)
    {
        sound(&filter);
    }
});

fn sound(filter: &Filter) {
    let program = filter.instructions();
    assert!(!program.is_empty() && program.len() <= LONGEST);
    assert_eq!(program[program.len() - 1].code, RETURN);
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        match instruction.code {
            LOAD => {
                assert!(instruction.operand.is_multiple_of(4) && instruction.operand < SECCOMP_DATA)
            }
            JUMP => assert!((instruction.operand as usize) < left),
            EQUAL | GREATER | GREATER_OR_EQUAL => {
                assert!(usize::from(instruction.jump_true) < left);
                assert!(usize::from(instruction.jump_false) < left);
            }
            AND | RETURN => {}
            code => panic!("operation {code:#x}"),
        }
    }
    // x86-64, i386, and one that nobody has.
    for architecture in [0xc000_003e, 0x4000_0003, 7] {
        for number in [0, 1, 59, 101, 435, 0x4000_0000, u32::MAX] {
            for argument in [0, 1, u64::MAX] {
                action(filter, architecture, number, argument);
            }
        }
    }
    let sent = serde_json::to_string(filter).expect("a filter is JSON");
    assert_eq!(
        serde_json::from_str::<Filter>(&sent).ok().as_ref(),
        Some(filter)
    );
}

/// What the program says of a call; jumps only lead on, so it always ends.
fn action(filter: &Filter, architecture: u32, number: u32, argument: u64) -> u32 {
    let word = |offset: u32| match offset {
        0 => number,
        4 => architecture,
        8 | 12 => 0,
        low if low % 8 == 0 => argument as u32,
        _ => (argument >> 32) as u32,
    };
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let instruction = filter.instructions()[at];
        let operand = instruction.operand;
        at += 1;
        let holds = match instruction.code {
            LOAD => {
                accumulator = word(operand);
                continue;
            }
            AND => {
                accumulator &= operand;
                continue;
            }
            JUMP => {
                at += operand as usize;
                continue;
            }
            RETURN => return operand,
            EQUAL => accumulator == operand,
            GREATER => accumulator > operand,
            _ => accumulator >= operand,
        };
        at += usize::from(if holds {
            instruction.jump_true
        } else {
            instruction.jump_false
        });
    }
}
