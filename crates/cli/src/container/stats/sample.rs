//! The figures of one container at one moment.

use crate::json::Json;
use crate::table::{Columns, Row, short_id};
use crate::units;

pub(super) const COLUMNS: Columns = &[
    ("Container", "CONTAINER"),
    ("Name", "NAME"),
    ("ID", "CONTAINER ID"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Sample {
    id: String,
    name: String,
    cpu_percent: f64,
    memory: f64,
    memory_limit: f64,
    received: f64,
    sent: f64,
    read: f64,
    written: f64,
    pids: i64,
}

fn float(json: &Json, key: &str) -> f64 {
    match json.get(key) {
        Some(Json::Int(number)) => *number as f64,
        Some(Json::Uint(number)) => *number as f64,
        Some(Json::Float(number)) => *number,
        _ => 0.0,
    }
}

fn at<'j>(json: &'j Json, key: &str) -> &'j Json {
    json.get(key).unwrap_or(&Json::Null)
}

impl Sample {
    /// The API's statistics as docker reckons with them.
    pub(super) fn read(stats: &Json) -> Sample {
        let (cpu, before) = (at(stats, "cpu_stats"), at(stats, "precpu_stats"));
        let memory = at(stats, "memory_stats");
        let (received, sent) = network(at(stats, "networks"));
        let (read, written) = block(at(stats, "blkio_stats"));
        Sample {
            id: stats.text("id").to_owned(),
            name: stats.text("name").to_owned(),
            cpu_percent: cpu_percent(cpu, before),
            memory: memory_used(memory),
            memory_limit: float(memory, "limit"),
            received,
            sent,
            read,
            written,
            pids: at(stats, "pids_stats").int("current"),
        }
    }

    pub(super) fn row(&self, container: &str, invalid: bool, truncate: bool) -> Row {
        let or = |text: String, dashes: &str| -> Json {
            if invalid { dashes.into() } else { text.into() }
        };
        let memory_percent = if self.memory_limit > 0.0 {
            self.memory / self.memory_limit * 100.0
        } else {
            0.0
        };
        let human = |size: f64| units::human_size_with(size, 3);
        let name = match self.name.strip_prefix('/') {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => "--".to_owned(),
        };
        let id = if truncate {
            short_id(&self.id)
        } else {
            &self.id
        };
        Row::new(vec![
            ("Container", container.into()),
            ("Name", name.into()),
            ("ID", id.into()),
            ("CPUPerc", or(format!("{:.2}%", self.cpu_percent), "--")),
            (
                "MemUsage",
                or(
                    format!(
                        "{} / {}",
                        units::bytes_size(self.memory),
                        units::bytes_size(self.memory_limit)
                    ),
                    "-- / --",
                ),
            ),
            ("MemPerc", or(format!("{memory_percent:.2}%"), "--")),
            (
                "NetIO",
                or(
                    format!("{} / {}", human(self.received), human(self.sent)),
                    "--",
                ),
            ),
            (
                "BlockIO",
                or(
                    format!("{} / {}", human(self.read), human(self.written)),
                    "--",
                ),
            ),
            ("PIDs", or(self.pids.to_string(), "--")),
        ])
    }
}

fn cpu_percent(cpu: &Json, before: &Json) -> f64 {
    let used =
        float(at(cpu, "cpu_usage"), "total_usage") - float(at(before, "cpu_usage"), "total_usage");
    let passed = float(cpu, "system_cpu_usage") - float(before, "system_cpu_usage");
    let mut cpus = float(cpu, "online_cpus");
    if cpus == 0.0 {
        cpus = at(cpu, "cpu_usage").list("percpu_usage").len() as f64;
    }
    if used > 0.0 && passed > 0.0 {
        used / passed * cpus * 100.0
    } else {
        0.0
    }
}

/// Without the page cache that can be given back: `total_inactive_file` on cgroup v1,
/// `inactive_file` on v2.
fn memory_used(memory: &Json) -> f64 {
    let usage = float(memory, "usage");
    let details = at(memory, "stats");
    for key in ["total_inactive_file", "inactive_file"] {
        if details.get(key).is_some() {
            let cache = float(details, key);
            if cache < usage {
                return usage - cache;
            }
            if key == "inactive_file" {
                return usage;
            }
        }
    }
    usage
}

fn network(networks: &Json) -> (f64, f64) {
    let Json::Object(interfaces) = networks else {
        return (0.0, 0.0);
    };
    interfaces
        .iter()
        .fold((0.0, 0.0), |(received, sent), (_, one)| {
            (
                received + float(one, "rx_bytes"),
                sent + float(one, "tx_bytes"),
            )
        })
}

fn block(stats: &Json) -> (f64, f64) {
    stats
        .list("io_service_bytes_recursive")
        .iter()
        .fold((0.0, 0.0), |(read, written), entry| {
            match entry.text("op").chars().next() {
                Some('r' | 'R') => (read + float(entry, "value"), written),
                Some('w' | 'W') => (read, written + float(entry, "value")),
                _ => (read, written),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Format;

    #[test]
    fn figures_are_dockers() {
        let stats = Json::parse(br#"{"id":"0123456789abcdef","name":"/web",
            "cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":2},
            "precpu_stats":{"cpu_usage":{"total_usage":100},"system_cpu_usage":1000},
            "memory_stats":{"usage":3145728,"limit":1073741824,"stats":{"inactive_file":1048576}},
            "networks":{"eth0":{"rx_bytes":1000,"tx_bytes":10},"eth1":{"rx_bytes":234,"tx_bytes":0}},
            "blkio_stats":{"io_service_bytes_recursive":[{"op":"read","value":4096},{"op":"Write","value":1000000}]},
            "pids_stats":{"current":3}}"#).unwrap();
        let row = Sample::read(&stats).row("web", false, true);
        let format = Format::new(
            "{{.ID}}|{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}",
        );
        assert_eq!(
            format.list(COLUMNS, &[row]).unwrap(),
            "0123456789ab|web|40.00%|2MiB / 1GiB|0.20%|1.23kB / 10B|4.1kB / 1MB|3\n"
        );
    }

    #[test]
    fn a_container_without_figures_shows_dashes() {
        let row = Sample::default().row("x", true, true);
        let format = Format::new("{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}");
        assert_eq!(format.list(COLUMNS, &[row]).unwrap(), "-- -- -- / -- --\n");
    }
}
