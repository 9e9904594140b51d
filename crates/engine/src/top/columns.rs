//! The columns of `ps`, by procps's names, with procps's titles and ways of writing.

use jiff::Zoned;

use super::facts::{Facts, Host};

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: String,
    shows: Shows,
}

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Pid,
    Parent,
    Group,
    Session,
    Threads,
    EffectiveUser,
    EffectiveUserId,
    RealUser,
    RealUserId,
    EffectiveGroup,
    EffectiveGroupId,
    RealGroup,
    RealGroupId,
    Name,
    CommandLine,
    Terminal,
    Time,
    ShortTime,
    Elapsed,
    ElapsedSeconds,
    Cpu,
    CpuWhole,
    Memory,
    VirtualSize,
    Resident,
    State,
    StateWithFlags,
    Nice,
    Priority,
    Processor,
    StartDayOrTime,
    StartSinceADay,
    StartPrecise,
    StartWhole,
}

/// Names, title, meaning.
const COLUMNS: [(&[&str], &str, Shows); 46] = [
    (&["pid", "tgid"], "PID", Shows::Pid),
    (&["ppid"], "PPID", Shows::Parent),
    (&["pgid"], "PGID", Shows::Group),
    (&["pgrp"], "PGRP", Shows::Group),
    (&["sid"], "SID", Shows::Session),
    (&["sess", "session"], "SESS", Shows::Session),
    (&["nlwp"], "NLWP", Shows::Threads),
    (&["thcount"], "THCNT", Shows::Threads),
    (&["user", "uname"], "USER", Shows::EffectiveUser),
    (&["euser"], "EUSER", Shows::EffectiveUser),
    (&["uid"], "UID", Shows::EffectiveUserId),
    (&["euid"], "EUID", Shows::EffectiveUserId),
    (&["ruser"], "RUSER", Shows::RealUser),
    (&["ruid"], "RUID", Shows::RealUserId),
    (&["group"], "GROUP", Shows::EffectiveGroup),
    (&["egroup"], "EGROUP", Shows::EffectiveGroup),
    (&["gid"], "GID", Shows::EffectiveGroupId),
    (&["egid"], "EGID", Shows::EffectiveGroupId),
    (&["rgroup"], "RGROUP", Shows::RealGroup),
    (&["rgid"], "RGID", Shows::RealGroupId),
    (&["comm", "ucomm"], "COMMAND", Shows::Name),
    (&["ucmd"], "CMD", Shows::Name),
    (&["args", "command"], "COMMAND", Shows::CommandLine),
    (&["cmd"], "CMD", Shows::CommandLine),
    (&["tty", "tt"], "TT", Shows::Terminal),
    (&["tname"], "TTY", Shows::Terminal),
    (&["time", "cputime"], "TIME", Shows::Time),
    (&["bsdtime"], "TIME", Shows::ShortTime),
    (&["etime"], "ELAPSED", Shows::Elapsed),
    (&["etimes"], "ELAPSED", Shows::ElapsedSeconds),
    (&["%cpu", "pcpu"], "%CPU", Shows::Cpu),
    (&["c"], "C", Shows::CpuWhole),
    (&["%mem", "pmem"], "%MEM", Shows::Memory),
    (&["vsz", "vsize"], "VSZ", Shows::VirtualSize),
    (&["rss", "rssize"], "RSS", Shows::Resident),
    (&["rsz"], "RSZ", Shows::Resident),
    (&["s", "state"], "S", Shows::State),
    (&["stat"], "STAT", Shows::StateWithFlags),
    (&["ni", "nice"], "NI", Shows::Nice),
    (&["pri"], "PRI", Shows::Priority),
    (&["psr"], "PSR", Shows::Processor),
    (&["stime"], "STIME", Shows::StartDayOrTime),
    (&["start_time"], "START", Shows::StartDayOrTime),
    (&["bsdstart"], "START", Shows::StartSinceADay),
    (&["start"], "STARTED", Shows::StartPrecise),
    (&["lstart"], "STARTED", Shows::StartWhole),
];

/// Names longer than this are cut, with a mark.
const NAME_WIDTH: usize = 8;

const DAY: u64 = 86_400;

impl Column {
    /// The column of that name, with a title of one's own if given.
    pub(super) fn named(name: &str, title: Option<&str>) -> Option<Column> {
        let (_, usual, shows) = COLUMNS.iter().find(|(names, ..)| names.contains(&name))?;
        Some(Column {
            title: title.unwrap_or(usual).to_owned(),
            shows: *shows,
        })
    }

    /// What it shows of a process.
    pub(super) fn show(&self, process: &Facts, host: &Host) -> String {
        let elapsed = host.uptime_ticks.saturating_sub(process.start_ticks) / host.ticks;
        let seconds = process.cpu_ticks / host.ticks;
        let permille = |part: u64, whole: u64| part.saturating_mul(1000).checked_div(whole);
        match self.shows {
            Shows::Pid => process.pid.to_string(),
            Shows::Parent => process.parent.to_string(),
            Shows::Group => process.group.to_string(),
            Shows::Session => process.session.to_string(),
            Shows::Threads => process.threads.to_string(),
            Shows::EffectiveUser => short(host.user(process.user.effective)),
            Shows::EffectiveUserId => process.user.effective.to_string(),
            Shows::RealUser => short(host.user(process.user.real)),
            Shows::RealUserId => process.user.real.to_string(),
            Shows::EffectiveGroup => short(host.group(process.owner_group.effective)),
            Shows::EffectiveGroupId => process.owner_group.effective.to_string(),
            Shows::RealGroup => short(host.group(process.owner_group.real)),
            Shows::RealGroupId => process.owner_group.real.to_string(),
            Shows::Name => process.name.clone(),
            Shows::CommandLine => process.command_line.clone(),
            Shows::Terminal => terminal(process.terminal),
            Shows::Time => days_and_time(seconds, "-"),
            Shows::ShortTime => format!("{}:{:02}", seconds / 60, seconds % 60),
            Shows::Elapsed => short_elapsed(elapsed),
            Shows::ElapsedSeconds => elapsed.to_string(),
            Shows::Cpu => tenths(permille(process.cpu_ticks, elapsed * host.ticks)),
            Shows::CpuWhole => {
                let percent = permille(process.cpu_ticks, elapsed * host.ticks).unwrap_or(0) / 10;
                percent.min(99).to_string()
            }
            Shows::Memory => {
                let share = permille(process.resident_kib * 1024, host.memory);
                tenths(share.map(|share| share.min(999)))
            }
            Shows::VirtualSize => (process.virtual_bytes / 1024).to_string(),
            Shows::Resident => process.resident_kib.to_string(),
            Shows::State => process.state.to_string(),
            Shows::StateWithFlags => flags(process),
            Shows::Nice => process.nice.to_string(),
            Shows::Priority => (39 - process.priority).to_string(),
            Shows::Processor => process.processor.to_string(),
            Shows::StartDayOrTime => {
                let (start, now) = (host.started(process.start_ticks), &host.now);
                let format = if start.year() != now.year() {
                    "%Y"
                } else if start.date() != now.date() {
                    "%b%d"
                } else {
                    "%H:%M"
                };
                written(&start, format)
            }
            Shows::StartSinceADay => {
                let start = host.started(process.start_ticks);
                written(&start, if elapsed > DAY { "%b%d" } else { "%H:%M" })
            }
            Shows::StartPrecise => {
                let start = host.started(process.start_ticks);
                written(&start, if elapsed > DAY { "%b %d" } else { "%H:%M:%S" })
            }
            Shows::StartWhole => {
                written(&host.started(process.start_ticks), "%a %b %e %H:%M:%S %Y")
            }
        }
    }
}

fn written(time: &Zoned, format: &str) -> String {
    time.strftime(format).to_string()
}

fn short(name: String) -> String {
    if name.chars().count() <= NAME_WIDTH {
        return name;
    }
    let mut cut: String = name.chars().take(NAME_WIDTH - 1).collect();
    cut.push('+');
    cut
}

/// Per mille as per cent.
fn tenths(permille: Option<u64>) -> String {
    let permille = permille.unwrap_or(0);
    if permille > 999 {
        return (permille / 10).to_string();
    }
    format!("{}.{}", permille / 10, permille % 10)
}

/// `[dd-]hh:mm:ss`
fn days_and_time(seconds: u64, after_days: &str) -> String {
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let time = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 {
        return time;
    }
    format!("{days}{after_days}{time}")
}

/// `[[dd-]hh:]mm:ss`
fn short_elapsed(seconds: u64) -> String {
    let whole = days_and_time(seconds, "-");
    if seconds < 3600 {
        return whole.get(3..).unwrap_or(&whole).to_owned();
    }
    if (DAY..10 * DAY).contains(&seconds) {
        return format!("0{whole}");
    }
    whole
}

/// The state with what qualifies it, in BSD's letters.
fn flags(process: &Facts) -> String {
    let mut text = process.state.to_string();
    if process.nice < 0 {
        text.push('<');
    }
    if process.nice > 0 {
        text.push('N');
    }
    if process.locked {
        text.push('L');
    }
    if process.session == process.pid {
        text.push('s');
    }
    if process.threads > 1 {
        text.push('l');
    }
    if process.foreground_group == process.group {
        text.push('+');
    }
    text
}

/// A terminal's number as its name. The numbers are the kernel's (admin-guide/devices.txt).
fn terminal(device: u64) -> String {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    match (major, minor) {
        (0, 0) => "?".to_owned(),
        (4, minor @ 0..64) => format!("tty{minor}"),
        (4, minor) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        (136..=143, minor) => format!("pts/{}", minor + (major - 136) * 256),
        (major, minor) => format!("{major}:{minor}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::facts::Ids;
    use super::*;

    fn host() -> Host {
        let now: jiff::Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        Host {
            ticks: 100,
            memory: 1 << 30,
            uptime_ticks: 10 * DAY * 100,
            now: now.to_zoned(jiff::tz::TimeZone::UTC),
            users: HashMap::from([(0, "root".to_owned()), (7, "systemd-resolve".to_owned())]),
            groups: HashMap::new(),
        }
    }

    fn process() -> Facts {
        Facts {
            pid: 40,
            parent: 1,
            group: 40,
            session: 40,
            foreground_group: 40,
            terminal: (136 << 8) | 3,
            state: 'S',
            threads: 2,
            name: "sh".into(),
            command_line: "sh -c true".into(),
            user: Ids {
                real: 0,
                effective: 7,
            },
            owner_group: Ids {
                real: 9,
                effective: 9,
            },
            // An hour ago, half of it on a processor.
            start_ticks: 10 * DAY * 100 - 3600 * 100,
            cpu_ticks: 1800 * 100,
            virtual_bytes: 8192 * 1024,
            resident_kib: 2048,
            nice: 5,
            priority: 20,
            processor: 1,
            locked: false,
        }
    }

    fn shown(names: &str, process: &Facts) -> Vec<String> {
        names
            .split(',')
            .map(|name| Column::named(name, None).unwrap().show(process, &host()))
            .collect()
    }

    #[test]
    fn a_process_is_written_as_ps_writes_it() {
        assert_eq!(
            shown("user,ruser,pid,ppid,c,stime,tname,time,cmd", &process()),
            [
                "systemd+",
                "root",
                "40",
                "1",
                "50",
                "11:00",
                "pts/3",
                "00:30:00",
                "sh -c true"
            ]
        );
        assert_eq!(
            shown(
                "%cpu,%mem,vsz,rss,stat,bsdstart,bsdtime,etime,group",
                &process()
            ),
            [
                "50.0", "0.1", "8192", "2048", "SNsl+", "11:00", "30:00", "01:00:00", "9"
            ]
        );
    }

    #[test]
    fn times_grow_with_age() {
        let mut old = process();
        old.start_ticks = 0;
        assert_eq!(
            shown("stime,bsdstart,etime,etimes,c", &old),
            ["Feb20", "Feb20", "10-00:00:00", "864000", "0"]
        );
        assert_eq!(short_elapsed(59), "00:59");
        assert_eq!(short_elapsed(3 * DAY), "03-00:00:00");
        assert_eq!(days_and_time(2 * DAY + 1, "-"), "2-00:00:01");
    }

    #[test]
    fn terminals_have_names() {
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal((4 << 8) | 1), "tty1");
        assert_eq!(terminal((4 << 8) | 64), "ttyS0");
        assert_eq!(terminal((5 << 8) | 1), "console");
        assert_eq!(terminal((137 << 8) | 1), "pts/257");
    }

    #[test]
    fn every_name_of_a_column_is_there_once() {
        let mut names: Vec<&str> = COLUMNS
            .iter()
            .flat_map(|(names, ..)| names.iter().copied())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
