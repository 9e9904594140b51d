//! From rules to the kernel's BPF.
//!
//! ```text
//! architecture? ──▶ number ──▶ binary search over ranges of numbers ──▶ action
//!                                                     └─▶ conditions, rule by rule ──▶ action
//! ```
//! Neighbouring numbers with the same outcome are one range, and the search is over ranges: the
//! default policy decides in about six comparisons, where a chain of them would take four hundred.

use std::collections::BTreeMap;

use wharf_sys::seccomp::Instruction;

use super::numbers::{X32_BIT, number};
use super::rules::{Action, Architecture, Argument, Operator, Rules};
use super::{Filter, SeccompError};

/// Instructions that the kernel takes (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// `ENOSYS`.
const NO_SUCH_CALL: u16 = 38;

// Operation codes of classic BPF (linux/bpf_common.h).
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

// Where things are in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Compiles a filter.
pub fn compile_rules(rules: &Rules) -> Result<Filter, SeccompError> {
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    let mut seen = Vec::new();
    for architecture in &rules.architectures {
        let audit = architecture.audit();
        if seen.contains(&audit) {
            continue;
        }
        seen.push(audit);
        let mut section = vec![plain(LOAD, NUMBER)];
        section.extend(search(&ranges(rules, audit)));
        // Not this architecture: over the section, which may be longer than a short jump.
        program.push(Instruction {
            code: JUMP_EQUAL,
            jump_true: 1,
            jump_false: 0,
            operand: audit,
        });
        program.push(plain(JUMP, length(section.len())));
        program.extend(section);
    }
    program.push(plain(RETURN, Action::KillThread.value()));
    if program.len() > LONGEST {
        return Err(SeccompError::TooLong(program.len()));
    }
    Ok(Filter {
        instructions: program,
        flags: rules.flags,
    })
}

/// What becomes of a call: its rules in order, then the default.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    conditional: Vec<(Vec<Argument>, Action)>,
    otherwise: Action,
}

impl Outcome {
    fn always(action: Action) -> Outcome {
        Outcome {
            conditional: Vec::new(),
            otherwise: action,
        }
    }
}

/// The numbers from `first` up to the next range.
#[derive(Debug)]
struct Range {
    first: u32,
    outcome: Outcome,
}

/// Every number's outcome on what the kernel reports as `audit`, as ranges from 0 on.
fn ranges(rules: &Rules, audit: u32) -> Vec<Range> {
    let mut ranges = Vec::new();
    let mut native = false;
    for architecture in &rules.architectures {
        if architecture.audit() != audit {
            continue;
        }
        let base = if *architecture == Architecture::X32 {
            X32_BIT
        } else {
            native = true;
            0
        };
        one_architecture(rules, *architecture, base, &mut ranges);
    }
    if !native {
        // x32 alone: what is below its bit belongs to an architecture that is not named.
        ranges.push(Range {
            first: 0,
            outcome: Outcome::always(Action::KillThread),
        });
    }
    let foreign = ranges.iter().all(|range| range.first < X32_BIT);
    if foreign && audit == Architecture::X86_64.audit() {
        ranges.push(Range {
            first: X32_BIT,
            outcome: Outcome::always(Action::KillThread),
        });
    }
    ranges.sort_by_key(|range| range.first);
    ranges.dedup_by(|next, before| next.outcome == before.outcome);
    ranges
}

fn one_architecture(rules: &Rules, architecture: Architecture, base: u32, out: &mut Vec<Range>) {
    let mut outcomes: BTreeMap<u32, Outcome> = BTreeMap::new();
    for rule in &rules.rules {
        for name in &rule.names {
            let Some(number) = number(architecture, name) else {
                continue;
            };
            let outcome = outcomes.entry(number).or_insert_with(|| Outcome {
                conditional: Vec::new(),
                // Marks "still open"; replaced below.
                otherwise: rules.default,
            });
            // A rule without conditions wins over those with some, as libseccomp has it; among
            // rules with conditions the first that fits decides.
            if rule.arguments.is_empty() {
                *outcome = Outcome::always(rule.action);
            } else if outcome.otherwise == rules.default {
                outcome
                    .conditional
                    .push((rule.arguments.clone(), rule.action));
            }
        }
    }
    let newest = outcomes.keys().next_back().copied();
    let mut next = base;
    for (number, outcome) in outcomes {
        if number > next {
            out.push(Range {
                first: next,
                outcome: Outcome::always(rules.default),
            });
        }
        out.push(Range {
            first: number,
            outcome,
        });
        next = number + 1;
    }
    // Beyond the newest call that the profile knows, the kernel may have more: they do not exist
    // for this container, rather than being forbidden to it.
    let beyond = match (newest, rules.default) {
        (Some(_), Action::Errno(_)) => Action::Errno(NO_SUCH_CALL),
        _ => rules.default,
    };
    out.push(Range {
        first: next,
        outcome: Outcome::always(beyond),
    });
}

/// A binary search over the ranges, the number being in the accumulator.
fn search(ranges: &[Range]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [range] => decide(&range.outcome),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let pivot = high[0].first;
            let (low, high) = (search(low), search(high));
            let mut program = Vec::with_capacity(low.len() + high.len() + 2);
            if let Ok(near) = u8::try_from(low.len()) {
                program.push(Instruction {
                    code: JUMP_GREATER_OR_EQUAL,
                    jump_true: near,
                    jump_false: 0,
                    operand: pivot,
                });
            } else {
                program.push(Instruction {
                    code: JUMP_GREATER_OR_EQUAL,
                    jump_true: 0,
                    jump_false: 1,
                    operand: pivot,
                });
                program.push(plain(JUMP, length(low.len())));
            }
            program.extend(low);
            program.extend(high);
            program
        }
    }
}

/// The end of a search: conditions in order, then the answer.
fn decide(outcome: &Outcome) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (arguments, action) in &outcome.conditional {
        let mut tests: Vec<Test> = arguments.iter().flat_map(argument).collect();
        // Each test that fails goes behind this rule's answer.
        let total = tests.len();
        for (at, test) in tests.iter_mut().enumerate() {
            let left = u8::try_from(total - at).unwrap_or(u8::MAX);
            test.resolve(left);
        }
        program.extend(tests.into_iter().map(|test| test.instruction));
        program.push(plain(RETURN, action.value()));
    }
    program.push(plain(RETURN, outcome.otherwise.value()));
    program
}

/// An instruction of a condition, whose jumps to "does not fit" are not known yet.
struct Test {
    instruction: Instruction,
    fails_if_true: bool,
    fails_if_false: bool,
}

impl Test {
    fn resolve(&mut self, distance: u8) {
        if self.fails_if_true {
            self.instruction.jump_true = distance;
        }
        if self.fails_if_false {
            self.instruction.jump_false = distance;
        }
    }
}

fn load(offset: u32) -> Test {
    Test {
        instruction: plain(LOAD, offset),
        fails_if_true: false,
        fails_if_false: false,
    }
}

fn and(mask: u32) -> Test {
    Test {
        instruction: plain(AND, mask),
        fails_if_true: false,
        fails_if_false: false,
    }
}

/// Goes on, skips `skip` instructions, or fails, by the outcome of a comparison.
#[derive(Clone, Copy)]
enum To {
    Next,
    Skip(u8),
    Fail,
}

fn compare(code: u16, operand: u32, then: To, otherwise: To) -> Test {
    let near = |to| match to {
        To::Next | To::Fail => 0,
        To::Skip(skip) => skip,
    };
    Test {
        instruction: Instruction {
            code,
            jump_true: near(then),
            jump_false: near(otherwise),
            operand,
        },
        fails_if_true: matches!(then, To::Fail),
        fails_if_false: matches!(otherwise, To::Fail),
    }
}

/// One condition. Arguments have 64 bits and the machine 32: the upper half decides unless equal.
fn argument(argument: &Argument) -> Vec<Test> {
    let low = ARGUMENTS + u32::from(argument.index) * 8;
    let (low, high) = if cfg!(target_endian = "little") {
        (low, low + 4)
    } else {
        (low + 4, low)
    };
    let halves = |value: u64| ((value & 0xffff_ffff) as u32, (value >> 32) as u32);
    let (value_low, value_high) = halves(argument.value);
    match argument.operator {
        Operator::Equal => vec![
            load(high),
            compare(JUMP_EQUAL, value_high, To::Next, To::Fail),
            load(low),
            compare(JUMP_EQUAL, value_low, To::Next, To::Fail),
        ],
        Operator::NotEqual => vec![
            load(high),
            compare(JUMP_EQUAL, value_high, To::Next, To::Skip(2)),
            load(low),
            compare(JUMP_EQUAL, value_low, To::Fail, To::Next),
        ],
        Operator::MaskedEqual => {
            let (two_low, two_high) = halves(argument.value_two);
            vec![
                load(high),
                and(value_high),
                compare(JUMP_EQUAL, two_high, To::Next, To::Fail),
                load(low),
                and(value_low),
                compare(JUMP_EQUAL, two_low, To::Next, To::Fail),
            ]
        }
        Operator::Greater | Operator::GreaterOrEqual => {
            let last = if argument.operator == Operator::Greater {
                JUMP_GREATER
            } else {
                JUMP_GREATER_OR_EQUAL
            };
            vec![
                load(high),
                compare(JUMP_GREATER, value_high, To::Skip(3), To::Next),
                compare(JUMP_EQUAL, value_high, To::Next, To::Fail),
                load(low),
                compare(last, value_low, To::Next, To::Fail),
            ]
        }
        Operator::Less | Operator::LessOrEqual => {
            let last = if argument.operator == Operator::Less {
                JUMP_GREATER_OR_EQUAL
            } else {
                JUMP_GREATER
            };
            vec![
                load(high),
                compare(JUMP_GREATER, value_high, To::Fail, To::Next),
                compare(JUMP_EQUAL, value_high, To::Next, To::Skip(2)),
                load(low),
                compare(last, value_low, To::Fail, To::Next),
            ]
        }
    }
}

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        operand,
    }
}

/// The length of a piece of a program as an operand. Programs are refused long before this cuts.
fn length(instructions: usize) -> u32 {
    u32::try_from(instructions).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(super) mod machine {
    //! The kernel's machine, to run filters in tests.

    use super::*;

    /// What the kernel would answer to this call.
    pub(in super::super) fn run(
        filter: &Filter,
        audit: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> u32 {
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&audit.to_ne_bytes());
        for (n, argument) in arguments.iter().enumerate() {
            data[16 + n * 8..24 + n * 8].copy_from_slice(&argument.to_ne_bytes());
        }
        let (mut at, mut accumulator) = (0_usize, 0_u32);
        for _ in 0..LONGEST {
            let instruction = filter.instructions()[at];
            at += 1;
            let mut jump = |holds: bool| {
                at += usize::from(if holds {
                    instruction.jump_true
                } else {
                    instruction.jump_false
                });
            };
            match instruction.code {
                LOAD => {
                    let from = instruction.operand as usize;
                    accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
                }
                AND => accumulator &= instruction.operand,
                JUMP => at += instruction.operand as usize,
                JUMP_EQUAL => jump(accumulator == instruction.operand),
                JUMP_GREATER => jump(accumulator > instruction.operand),
                JUMP_GREATER_OR_EQUAL => jump(accumulator >= instruction.operand),
                RETURN => return instruction.operand,
                other => panic!("operation {other:#x}"),
            }
        }
        panic!("the filter does not end");
    }
}
