//! A batch of changes to one table: objects of nftables as messages.

use super::expression::Rule;
use super::wire::{self, Writer};

const NFTABLES: u8 = 10;
/// `NFPROTO_INET`: IPv4 and IPv6 in one table.
pub(super) const INET: u8 = 1;

pub(super) const NEW_TABLE: u8 = 0;
pub(super) const DELETE_TABLE: u8 = 2;
pub(super) const NEW_CHAIN: u8 = 3;
pub(super) const GET_CHAIN: u8 = 4;
pub(super) const DELETE_CHAIN: u8 = 5;
pub(super) const NEW_RULE: u8 = 6;
pub(super) const DELETE_RULE: u8 = 8;
pub(super) const NEW_SET: u8 = 9;
pub(super) const DELETE_SET: u8 = 11;
pub(super) const NEW_ELEMENTS: u8 = 12;
pub(super) const DELETE_ELEMENTS: u8 = 14;
pub(super) const GET_GENERATION: u8 = 16;

/// Elements of one message: an attribute's length has 16 bits.
const MESSAGE_ROOM: usize = 32 * 1024;

/// Where a chain begins, if packets enter by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub(super) kind: &'static str,
    /// `NF_INET_*`.
    pub(super) number: u32,
    pub(super) priority: i32,
}

/// A named set or map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) key: &'static [Field],
    pub(super) data: Data,
    pub(super) interval: Interval,
}

/// Whether keys are single values or ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interval {
    Exact,
    Ranges,
}

/// What a key leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// A set.
    Nothing,
    /// A chain to continue in.
    Verdict,
    Value(&'static [Field]),
}

/// A part of a key or value, by the number that the program `nft` has for its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    V4,
    V6,
    Protocol,
    Port,
    Interface,
}

impl Field {
    fn type_number(self) -> u32 {
        match self {
            Self::V4 => 7,
            Self::V6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Interface => 41,
        }
    }

    pub(super) fn length(self) -> u32 {
        match self {
            Self::V4 => 4,
            Self::V6 | Self::Interface => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

/// The type that `nft` shows for a concatenation: six bits each.
fn type_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, f| all << 6 | f.type_number())
}

/// Length in registers: each field begins at a word if there are several.
fn length_of(fields: &[Field]) -> u32 {
    match fields {
        [one] => one.length(),
        many => many.iter().map(|f| f.length().next_multiple_of(4)).sum(),
    }
}

/// An element to be added or deleted, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) key: Vec<u8>,
    /// The last key of a range, for keys of several fields.
    pub(super) key_end: Option<Vec<u8>>,
    pub(super) value: Value,
}

/// What an element leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    /// The first key behind a range, for keys of one field.
    RangeEnd,
    Bytes(Vec<u8>),
    Jump(String),
    Goto(String),
}

/// Messages in the order in which the kernel shall take them.
#[derive(Debug)]
pub(crate) struct Batch {
    table: String,
    writer: Writer,
    /// Where each message begins.
    starts: Vec<usize>,
    /// What each message is about, for an error's text.
    labels: Vec<String>,
}

impl Batch {
    pub(super) fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            writer: Writer::default(),
            starts: Vec::new(),
            labels: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.writer.len()
    }

    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Which message has this sequence number.
    pub(crate) fn label(&self, sequence: u32) -> String {
        let index = usize::try_from(sequence).unwrap_or(0).checked_sub(1);
        let label = index.and_then(|i| self.labels.get(i));
        label.map_or_else(|| "batch".to_owned(), Clone::clone)
    }

    /// The messages `first..last`.
    pub(crate) fn bytes(&self, first: usize, last: usize) -> &[u8] {
        let start = self.starts.get(first).copied().unwrap_or_default();
        let end = self.starts.get(last).copied().unwrap_or(self.len());
        self.writer.bytes().get(start..end).unwrap_or_default()
    }

    /// The end of the longest row of messages from `first` that takes at most `room` bytes; at
    /// least one message.
    pub(crate) fn part_end(&self, first: usize, room: usize) -> usize {
        let start = self.starts.get(first).copied().unwrap_or_default();
        if self.len() - start <= room {
            return self.count();
        }
        let fitting = self.starts[first..].partition_point(|s| s - start <= room);
        first + fitting.saturating_sub(1).max(1)
    }

    pub(crate) fn ask_for_answer(&mut self, index: usize) {
        if let Some(start) = self.starts.get(index).copied() {
            Writer::add_flags(self.writer.bytes_mut(), start, wire::ACK);
        }
    }

    fn push(
        &mut self,
        (message, flags): (u8, u16),
        label: impl Into<String>,
        body: impl FnOnce(&mut Writer, &str),
    ) {
        self.starts.push(self.writer.len());
        self.labels.push(label.into());
        let sequence = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        let kind = wire::kind(NFTABLES, message);
        let table = &self.table;
        self.writer
            .netfilter(kind, flags, sequence, (INET, 0), |w| body(w, table));
    }

    pub(super) fn table(&mut self) {
        let label = format!("table {}", self.table);
        self.push((NEW_TABLE, wire::CREATE), label, |w, table| {
            w.text(1, table);
            w.number(2, 0);
        });
    }

    pub(super) fn delete_table(&mut self) {
        let label = format!("deletion of table {}", self.table);
        self.push((DELETE_TABLE, 0), label, |w, table| w.text(1, table));
    }

    pub(super) fn chain(&mut self, name: &str, hook: Option<Hook>) {
        const POLICY_ACCEPT: u32 = 1;
        let label = format!("chain {name}");
        self.push((NEW_CHAIN, wire::CREATE), label, |w, table| {
            w.text(1, table);
            w.text(3, name);
            if let Some(hook) = hook {
                w.nest(4, |w| {
                    w.number(1, hook.number);
                    w.number(2, hook.priority.cast_unsigned());
                });
                w.number(5, POLICY_ACCEPT);
                w.text(7, hook.kind);
            }
        });
    }

    pub(super) fn delete_chain(&mut self, name: &str) {
        let label = format!("deletion of chain {name}");
        self.push((DELETE_CHAIN, 0), label, |w, table| {
            w.text(1, table);
            w.text(3, name);
        });
    }

    /// Delete all rules of a chain.
    pub(super) fn flush_chain(&mut self, name: &str) {
        let label = format!("flush of chain {name}");
        self.push((DELETE_RULE, 0), label, |w, table| {
            w.text(1, table);
            w.text(2, name);
        });
    }

    pub(super) fn rule(&mut self, chain: &str, rule: &Rule) {
        let label = format!("rule in chain {chain}");
        let flags = wire::CREATE | wire::APPEND;
        self.push((NEW_RULE, flags), label, |w, table| {
            w.text(1, table);
            w.text(2, chain);
            w.nest(4, |w| rule.write(w));
        });
    }

    pub(super) fn set(&mut self, set: &Set) {
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        const CONCATENATED: u32 = 128;
        const VERDICT: u32 = 0xffff_ff00;
        // A note of the program nft to itself, without which it shows interface names as "".
        const KEY_IN_HOST_ORDER: [u8; 6] = [0, 4, 1, 0, 0, 0];
        let ranges = set.interval == Interval::Ranges;
        let fields = set.key.len() > 1;
        let mut flags = 0;
        if ranges {
            flags |= INTERVAL;
        }
        if set.data != Data::Nothing {
            flags |= MAP;
        }
        if ranges && fields {
            flags |= CONCATENATED;
        }
        let id = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        let label = format!("set {}", set.name);
        self.push((NEW_SET, wire::CREATE), label, |w, table| {
            w.text(1, table);
            w.text(2, set.name);
            w.number(3, flags);
            w.number(4, type_of(set.key));
            w.number(5, length_of(set.key));
            match set.data {
                Data::Nothing => {}
                Data::Verdict => {
                    w.number(6, VERDICT);
                    // A verdict's length is the kernel's to know.
                    w.number(7, 0);
                }
                Data::Value(value) => {
                    w.number(6, type_of(value));
                    w.number(7, length_of(value));
                }
            }
            if ranges && fields {
                w.nest(9, |w| {
                    w.nest(2, |w| {
                        for field in set.key {
                            w.nest(1, |w| w.number(1, field.length()));
                        }
                    });
                });
            }
            w.number(10, id);
            if set.key == [Field::Interface] {
                w.attribute(13, &KEY_IN_HOST_ORDER);
            }
        });
    }

    pub(super) fn delete_set(&mut self, name: &str) {
        let label = format!("deletion of set {name}");
        self.push((DELETE_SET, 0), label, |w, table| {
            w.text(1, table);
            w.text(2, name);
        });
    }

    /// Delete all elements of a set.
    pub(super) fn flush_set(&mut self, name: &str) {
        let label = format!("flush of set {name}");
        self.push((DELETE_ELEMENTS, 0), label, |w, table| {
            w.text(1, table);
            w.text(2, name);
        });
    }

    /// Add elements; one that is there already is an error.
    pub(super) fn add(&mut self, set: &str, elements: impl IntoIterator<Item = Element>) {
        let flags = wire::CREATE | wire::EXCLUSIVE;
        self.elements((NEW_ELEMENTS, flags), "elements of", set, elements);
    }

    /// Delete elements, which must be there.
    pub(super) fn delete(&mut self, set: &str, elements: impl IntoIterator<Item = Element>) {
        self.elements((DELETE_ELEMENTS, 0), "deletion from", set, elements);
    }

    fn elements(
        &mut self,
        kind: (u8, u16),
        doing: &str,
        set: &str,
        elements: impl IntoIterator<Item = Element>,
    ) {
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            self.push(kind, format!("{doing} {set}"), |w, table| {
                w.text(1, table);
                w.text(2, set);
                w.nest(3, |w| {
                    let start = w.len();
                    while w.len() - start < MESSAGE_ROOM
                        && let Some(element) = elements.next()
                    {
                        element.write(w);
                    }
                });
            });
        }
    }
}

impl Element {
    fn write(&self, w: &mut Writer) {
        const LIST_ELEMENT: u16 = 1;
        const RANGE_END: u32 = 1;
        w.nest(LIST_ELEMENT, |w| {
            w.nest(1, |w| w.attribute(1, &self.key));
            if let Some(end) = &self.key_end {
                w.nest(10, |w| w.attribute(1, end));
            }
            match &self.value {
                Value::Nothing => {}
                Value::RangeEnd => w.number(3, RANGE_END),
                Value::Bytes(value) => w.nest(2, |w| w.attribute(1, value)),
                Value::Jump(chain) => w.nest(2, |w| verdict(w, JUMP, Some(chain))),
                Value::Goto(chain) => w.nest(2, |w| verdict(w, GOTO, Some(chain))),
            }
        });
    }
}

pub(super) const DROP: i32 = 0;
pub(super) const ACCEPT: i32 = 1;
pub(super) const JUMP: i32 = -3;
pub(super) const GOTO: i32 = -4;
pub(super) const RETURN: i32 = -5;

/// A verdict as data.
pub(super) fn verdict(w: &mut Writer, code: i32, chain: Option<&str>) {
    w.nest(2, |w| {
        w.number(1, code.cast_unsigned());
        if let Some(chain) = chain {
            w.text(2, chain);
        }
    });
}
