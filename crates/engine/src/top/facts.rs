//! One process, as `/proc` tells of it, and the host it is on.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::process::Process;
use crate::stats::host_memory;

/// More than any honest list of users has.
const MAX_NAMES: u64 = 1 << 20;

/// More than this of a command line is not shown.
const MAX_COMMAND_LINE: usize = 4096;

/// `USER_HZ`, fixed by the kernel's ABI.
const TICKS: u64 = 100;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// The foreground process group of its terminal.
    pub(super) foreground_group: i32,
    /// Device number, 0 without one.
    pub(super) terminal: u64,
    pub(super) state: char,
    pub(super) threads: u64,
    /// At most 15 bytes.
    pub(super) name: String,
    pub(super) command_line: String,
    pub(super) user: Ids,
    pub(super) owner_group: Ids,
    /// Since boot.
    pub(super) start_ticks: u64,
    /// In user mode and in the kernel.
    pub(super) cpu_ticks: u64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_kib: u64,
    pub(super) nice: i64,
    pub(super) priority: i64,
    pub(super) processor: u64,
    /// Has memory that is not swapped.
    pub(super) locked: bool,
}

/// Of a user or a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
}

impl Facts {
    /// `None` when it ended meanwhile.
    pub(super) fn read(process: &Process) -> Option<Facts> {
        let stat = process.read_text("stat").ok()?;
        let status = process.read_text("status").ok()?;
        let command_line = process.read("cmdline").ok()?;
        Facts::parse(&stat, &status, &command_line)
    }

    /// See proc_pid_stat(5): the name is in parentheses and may hold anything, also parentheses.
    fn parse(stat: &str, status: &str, command_line: &[u8]) -> Option<Facts> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Numbered as in the manual, where the state is the third.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at: usize| field(at).and_then(|text| text.parse::<i64>().ok());
        let unsigned = |at: usize| field(at).and_then(|text| text.parse::<u64>().ok());
        let small = |at: usize| field(at).and_then(|text| text.parse::<i32>().ok());
        let name = printable(name.as_bytes());
        let state = field(3)?.chars().next()?;
        let line = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        };
        let ids = |key: &str| {
            let mut ids = line(key)
                .unwrap_or_default()
                .split_whitespace()
                .filter_map(|id| id.parse().ok());
            Ids {
                real: ids.next().unwrap_or(0),
                effective: ids.next().unwrap_or(0),
            }
        };
        // In KiB; a process that has ended and a thread of the kernel's have none.
        let amount = |key: &str| {
            line(key)
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Some(Facts {
            pid: pid.parse().ok()?,
            parent: small(4)?,
            group: small(5)?,
            session: small(6)?,
            // Negative numbers have been seen in the device's field; as bits they are right.
            terminal: u64::from(small(7)?.cast_unsigned()),
            foreground_group: small(8)?,
            cpu_ticks: unsigned(14)?.saturating_add(unsigned(15)?),
            priority: number(18)?,
            nice: number(19)?,
            threads: unsigned(20)?,
            start_ticks: unsigned(22)?,
            virtual_bytes: unsigned(23)?,
            resident_kib: amount("VmRSS"),
            processor: unsigned(39).unwrap_or(0),
            command_line: written(command_line, &name, state),
            locked: amount("VmLck") > 0,
            user: ids("Uid"),
            owner_group: ids("Gid"),
            name,
            state,
        })
    }
}

/// Arguments with spaces between them; the name in brackets where there are none.
fn written(command_line: &[u8], name: &str, state: char) -> String {
    let cut = command_line.get(..MAX_COMMAND_LINE).unwrap_or(command_line);
    let end = cut
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let spaced: Vec<u8> = cut[..end]
        .iter()
        .map(|byte| if *byte == 0 { b' ' } else { *byte })
        .collect();
    let text = printable(&spaced);
    match (text.is_empty(), state) {
        (true, 'Z') => format!("[{name}] <defunct>"),
        (true, _) => format!("[{name}]"),
        (false, _) => text,
    }
}

/// What would move a cursor is shown as a question mark, as `ps` does.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// What processes are measured against.
#[derive(Debug)]
pub(super) struct Host {
    /// In a second.
    pub(super) ticks: u64,
    /// Bytes.
    pub(super) memory: u64,
    /// Ticks since boot.
    pub(super) uptime_ticks: u64,
    /// In the zone of the host.
    pub(super) now: Zoned,
    /// Names of the host's users, as its own `ps` would show them.
    pub(super) users: HashMap<u32, String>,
    /// Names of its groups.
    pub(super) groups: HashMap<u32, String>,
}

impl Host {
    /// Looks around. Blocks.
    pub(super) fn look() -> Host {
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let ticks = |seconds: i64, nanoseconds: i64| {
            seconds.cast_unsigned() * TICKS + nanoseconds.cast_unsigned() / (1_000_000_000 / TICKS)
        };
        Host {
            ticks: TICKS,
            memory: host_memory(),
            uptime_ticks: ticks(uptime.tv_sec, uptime.tv_nsec),
            now: Timestamp::now().to_zoned(TimeZone::system()),
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
        }
    }

    /// When something began that many ticks after boot.
    pub(super) fn started(&self, ticks: u64) -> Zoned {
        let age = self.uptime_ticks.saturating_sub(ticks) / self.ticks;
        let age = SignedDuration::from_secs(i64::try_from(age).unwrap_or(0));
        self.now
            .checked_sub(age)
            .unwrap_or_else(|_| self.now.clone())
    }

    pub(super) fn user(&self, id: u32) -> String {
        named(&self.users, id)
    }

    pub(super) fn group(&self, id: u32) -> String {
        named(&self.groups, id)
    }
}

fn named(names: &HashMap<u32, String>, id: u32) -> String {
    names.get(&id).cloned().unwrap_or_else(|| id.to_string())
}

/// Names by number, of a file whose lines are `name:password:number:...`. The first of several
/// names counts.
fn names(path: &str) -> HashMap<u32, String> {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        // What is not UTF-8, or too long, is not read further.
        let _ = file.take(MAX_NAMES).read_to_string(&mut text);
    }
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
            && let Ok(id) = id.parse()
        {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a) b (c)) S 1 7 7 34816 7 4194560 100 0 0 0 12 30 0 0 20 0 3 0 555 8192 2 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0";
    const STATUS: &str =
        "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nVmLck:\t       4 kB\nVmRSS:\t      16 kB\n";

    #[test]
    fn a_name_may_hold_anything_and_the_fields_are_found_behind_it() {
        let facts = Facts::parse(STAT, STATUS, b"sh\0-c\0echo \x1b[2J\0").unwrap();
        assert_eq!((facts.pid, facts.name.as_str()), (7, "a) b (c)"));
        assert_eq!((facts.parent, facts.state, facts.threads), (1, 'S', 3));
        assert_eq!((facts.cpu_ticks, facts.start_ticks), (42, 555));
        assert_eq!((facts.virtual_bytes, facts.resident_kib), (8192, 16));
        assert_eq!((facts.user.real, facts.user.effective), (1, 2));
        assert_eq!(facts.owner_group.effective, 6);
        assert_eq!(facts.processor, 1);
        assert!(facts.locked);
        assert_eq!(facts.command_line, "sh -c echo ?[2J");
    }

    #[test]
    fn who_has_no_arguments_is_shown_by_name() {
        let facts = Facts::parse(&STAT.replace(" S ", " Z "), STATUS, b"").unwrap();
        assert_eq!(facts.command_line, "[a) b (c)] <defunct>");
        assert_eq!(written(b"", "x", 'S'), "[x]");
    }

    #[test]
    fn this_process_can_be_read() {
        let own = Process::open(std::process::id().cast_signed()).unwrap();
        let facts = Facts::read(&own).unwrap();
        let host = Host::look();
        assert!(facts.start_ticks <= host.uptime_ticks);
        assert!(facts.resident_kib > 0);
    }

    #[test]
    fn what_is_cut_off_gives_nothing_and_no_panic() {
        for end in 0..STAT.len() {
            let _ = Facts::parse(&STAT[..end], STATUS, b"x");
        }
    }
}
