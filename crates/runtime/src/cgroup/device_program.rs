//! A device policy as a BPF program: version 2 has no files for it.
//!
//! The kernel runs the program for every device that is opened or made by a process of the
//! cgroup, with the device and the kind of access in a small structure; it returns whether to
//! allow it.

use wharf_sys::bpf::Instruction;

use super::devices::{Access, Exception, Kind, Policy};

/// Fields of `struct bpf_cgroup_dev_ctx`.
const ACCESS_AND_TYPE: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;

const TYPE_BLOCK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;
const ACCESS_MKNOD: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;

/// Registers and what they hold.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const DEVICE_TYPE: u8 = 2;
const DEVICE_ACCESS: u8 = 3;
const DEVICE_MAJOR: u8 = 4;
const DEVICE_MINOR: u8 = 5;
/// The context is not needed any more once its fields are loaded.
const SCRATCH: u8 = 1;

/// The program for a policy.
pub(super) fn compile(policy: &Policy) -> Vec<Instruction> {
    let mut program = vec![
        load_word(DEVICE_TYPE, ACCESS_AND_TYPE),
        and(DEVICE_TYPE, 0xffff),
        load_word(DEVICE_ACCESS, ACCESS_AND_TYPE),
        shift_right(DEVICE_ACCESS, 16),
        load_word(DEVICE_MAJOR, MAJOR),
        load_word(DEVICE_MINOR, MINOR),
    ];
    for exception in &policy.exceptions {
        program.extend(check(exception, policy.allow_by_default));
    }
    program.extend(answer(policy.allow_by_default));
    program
}

/// Answer if the exception applies, else fall through to what follows.
fn check(exception: &Exception, allow_by_default: bool) -> Vec<Instruction> {
    let device_type = match exception.kind {
        Kind::Block => TYPE_BLOCK,
        Kind::Character => TYPE_CHARACTER,
    };
    let mut steps = vec![skip_if_not_equal(DEVICE_TYPE, device_type)];
    for (register, number) in [
        (DEVICE_MAJOR, exception.major),
        (DEVICE_MINOR, exception.minor),
    ] {
        if let Some(number) = number {
            steps.push(skip_if_not_equal(register, number.cast_signed()));
        }
    }
    let bits = access_bits(exception.access);
    if allow_by_default {
        // Denied if any part of what is asked is denied.
        steps.push(copy(SCRATCH, DEVICE_ACCESS));
        steps.push(and(SCRATCH, bits));
        steps.push(skip_if_equal(SCRATCH, 0));
    } else if exception.access != Access::ALL {
        // Allowed if all that is asked is allowed.
        steps.push(copy(SCRATCH, DEVICE_ACCESS));
        steps.push(and(SCRATCH, !bits));
        steps.push(skip_if_not_equal(SCRATCH, 0));
    }
    steps.extend(answer(!allow_by_default));
    let length = steps.len();
    for (at, step) in steps.iter_mut().enumerate() {
        if step.offset == SKIP {
            // A handful of steps: always in range.
            step.offset = i16::try_from(length - at - 1).unwrap_or(i16::MAX);
        }
    }
    steps
}

fn access_bits(access: Access) -> i32 {
    let mut bits = 0;
    if access.mknod {
        bits |= ACCESS_MKNOD;
    }
    if access.read {
        bits |= ACCESS_READ;
    }
    if access.write {
        bits |= ACCESS_WRITE;
    }
    bits
}

/// Stands for "to the end of this check" until that is known.
const SKIP: i16 = i16::MAX;

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: source << 4 | destination,
        offset,
        immediate,
    }
}

fn load_word(register: u8, field: i16) -> Instruction {
    instruction(0x61, register, CONTEXT, field, 0)
}

fn and(register: u8, bits: i32) -> Instruction {
    instruction(0x54, register, 0, 0, bits)
}

fn shift_right(register: u8, bits: i32) -> Instruction {
    instruction(0x74, register, 0, 0, bits)
}

fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbc, to, from, 0, 0)
}

fn skip_if_not_equal(register: u8, value: i32) -> Instruction {
    instruction(0x55, register, 0, SKIP, value)
}

fn skip_if_equal(register: u8, value: i32) -> Instruction {
    instruction(0x15, register, 0, SKIP, value)
}

fn answer(allow: bool) -> [Instruction; 2] {
    [
        instruction(0xb7, RESULT, 0, 0, i32::from(allow)),
        instruction(0x95, 0, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroup;

    /// Runs the few instructions that are used here.
    fn run(program: &[Instruction], device_type: i32, access: i32, major: u32, minor: u32) -> bool {
        let context = [(access << 16 | device_type).cast_unsigned(), major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0;
        loop {
            let step = program[at];
            let (to, from) = (
                usize::from(step.registers & 15),
                usize::from(step.registers >> 4),
            );
            at += 1;
            match step.code {
                0x61 => registers[to] = context[usize::try_from(step.offset).unwrap() / 4].into(),
                0x54 => {
                    registers[to] = u64::from(
                        u32::try_from(registers[to]).unwrap() & step.immediate.cast_unsigned(),
                    );
                }
                0x74 => registers[to] >>= step.immediate,
                0xbc => registers[to] = registers[from],
                0xb7 => registers[to] = i64::from(step.immediate).cast_unsigned(),
                0x55 | 0x15 => {
                    let equal = registers[to] == i64::from(step.immediate).cast_unsigned();
                    if equal == (step.code == 0x15) {
                        at += usize::try_from(step.offset).unwrap();
                    }
                }
                0x95 => return registers[0] == 1,
                code => panic!("{code:#x}"),
            }
        }
    }

    fn program(json: &str) -> Vec<Instruction> {
        let rules: Vec<LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        compile(&Policy::of(&rules).unwrap())
    }

    #[test]
    fn only_what_is_allowed_may_be_used() {
        let program = program(
            r#"[{"allow":false,"access":"rwm"},
                {"allow":true,"type":"c","major":10,"minor":200,"access":"r"}]"#,
        );
        let rw = ACCESS_READ | ACCESS_WRITE;
        assert!(run(&program, TYPE_CHARACTER, rw, 1, 3));
        assert!(run(&program, TYPE_CHARACTER, rw, 136, 77));
        assert!(run(&program, TYPE_CHARACTER, ACCESS_READ, 10, 200));
        assert!(!run(&program, TYPE_CHARACTER, rw, 10, 200));
        assert!(!run(&program, TYPE_BLOCK, ACCESS_READ, 8, 0));
        assert!(run(&program, TYPE_BLOCK, ACCESS_MKNOD, 8, 0));
    }

    #[test]
    fn what_is_denied_of_all_is_denied_in_part() {
        let program = program(
            r#"[{"allow":true,"access":"rwm"},
                {"allow":false,"type":"b","major":8,"access":"w"}]"#,
        );
        let rw = ACCESS_READ | ACCESS_WRITE;
        assert!(run(&program, TYPE_BLOCK, ACCESS_READ, 8, 0));
        assert!(!run(&program, TYPE_BLOCK, rw, 8, 0));
        assert!(run(&program, TYPE_BLOCK, rw, 9, 0));
        assert!(run(&program, TYPE_CHARACTER, rw, 8, 0));
    }

    #[test]
    fn the_kernel_takes_it() {
        let program = program(r#"[{"allow":false,"access":"rwm"}]"#);
        match wharf_sys::bpf::load_device_filter(&program) {
            Ok(_) => {}
            // Not privileged, or a kernel without it.
            Err(error) => {
                let number = rustix::io::Errno::from_io_error(&error);
                let excused = [
                    Some(rustix::io::Errno::PERM),
                    Some(rustix::io::Errno::NOSYS),
                ];
                assert!(excused.contains(&number), "{error}");
            }
        }
    }
}
