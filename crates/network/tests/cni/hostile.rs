//! With plugins that fail, hang, lie and talk too much.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wharf_network::cni::{Attachment, CniError, Conflist};

use crate::world::{Place, conflist};

/// A plugin that does as it should, and notes each command with what it was told.
const GOOD: &str = r#"
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS $input" >> "$log"
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","mac":"02:00:00:00:00:01"}],"ips":[{"address":"10.1.0.2/24","interface":0}],"routes":null,"dns":{}}' ;;
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}' ;;
esac"#;

fn network(version: &str, plugins: &[&str]) -> Conflist {
    let plugins: Vec<Value> = plugins.iter().map(|kind| json!({ "type": kind })).collect();
    conflist(&json!({"cniVersion": version, "name": "net", "plugins": plugins}))
}

fn add(place: &Place, network: &Conflist, limit: Duration) -> CniError {
    let attachment = Attachment::new("box", "eth0");
    let namespace = Path::new("/proc/self/ns/net");
    let driver = place.driver_within(limit);
    driver.add(network, &attachment, namespace).unwrap_err()
}

const PATIENT: Duration = Duration::from_secs(30);

/// The commands that a good plugin was given.
fn commands(place: &Place, plugin: &str) -> Vec<String> {
    let log = place.log(plugin);
    let first = |line: &str| line.split(' ').next().unwrap().to_owned();
    log.lines().map(first).collect()
}

#[test]
fn each_plugin_gets_the_result_of_the_one_before_it() {
    let place = Place::new();
    place.plugin("first", GOOD);
    place.plugin("second", GOOD);
    let network = conflist(&json!({
        "cniVersion": "1.1.0",
        "name": "net",
        "plugins": [
            {"type": "first", "color": "red", "capabilities": {"ips": true, "mac": false}},
            {"type": "second"},
        ],
    }));
    let driver = place.driver();
    let mut attachment = Attachment::new("box", "eth0");
    attachment.arguments = vec![("IP".into(), "10.1.0.9".into()), ("K8S".into(), "x".into())];
    attachment
        .capabilities
        .insert("ips".into(), json!(["10.1.0.9"]));
    attachment
        .capabilities
        .insert("mac".into(), json!("02:00:00:00:00:09"));
    let namespace = Path::new("/proc/self/ns/net");
    let attached = driver.add(&network, &attachment, namespace).unwrap();
    assert_eq!(
        attached.addresses[0].address,
        "10.1.0.2/24".parse().unwrap()
    );
    driver.check("net", "box", "eth0", namespace).unwrap();
    driver.delete("net", "box", "eth0", None).unwrap();

    let told = |plugin: &str| -> Vec<(String, Value)> {
        let log = place.log(plugin);
        log.lines()
            .map(|line| {
                let (words, input) = line.split_once(" {").unwrap();
                let input = serde_json::from_str(&format!("{{{input}")).unwrap();
                (words.to_owned(), input)
            })
            .collect()
    };
    let (first, second) = (told("first"), told("second"));
    assert_eq!(
        first[0].0,
        "ADD box eth0 /proc/self/ns/net IP=10.1.0.9;K8S=x"
    );
    assert_eq!(
        first[0].1,
        json!({
            "cniVersion": "1.1.0", "name": "net", "type": "first", "color": "red",
            "runtimeConfig": {"ips": ["10.1.0.9"]},
        })
    );
    assert_eq!(second[0].1["prevResult"], attached.raw);
    assert_eq!(first[1].1["prevResult"], attached.raw);
    // The namespace may be gone.
    assert_eq!(second[2].0, "DEL box eth0  IP=10.1.0.9;K8S=x");
    assert_eq!(second[2].1["prevResult"], attached.raw);
    assert_eq!(commands(&place, "first"), ["ADD", "CHECK", "DEL"]);
}

#[test]
fn what_a_plugin_says_of_its_failure_is_handed_on_and_the_rest_is_undone() {
    let place = Place::new();
    place.plugin("good", GOOD);
    place.plugin(
        "bad",
        r#"[ $CNI_COMMAND = ADD ] || exit 0
        echo '{"cniVersion":"1.0.0","code":11,"msg":"no room","details":"try tomorrow"}'; exit 3"#,
    );
    let error = add(&place, &network("1.1.0", &["good", "bad"]), PATIENT);
    assert_eq!(
        error.to_string(),
        "plugin bad (ADD) failed: no room; try tomorrow"
    );
    match error {
        CniError::Failed { failure, .. } => assert!(failure.is_temporary()),
        other => panic!("{other:?}"),
    }
    assert_eq!(commands(&place, "good"), ["ADD", "DEL"]);
    assert!(place.recorded().is_empty());
}

#[test]
fn a_plugin_that_only_shouts_is_heard_and_one_that_says_nothing_is_named() {
    let place = Place::new();
    place.plugin(
        "shouts",
        "[ $CNI_COMMAND = ADD ] || exit 0\necho 'panic: at the disco' >&2; exit 2",
    );
    place.plugin("silent", "[ $CNI_COMMAND = ADD ] && exit 7; exit 0");
    let error = add(&place, &network("1.0.0", &["shouts"]), PATIENT);
    assert!(error.to_string().contains("panic: at the disco"), "{error}");
    let error = add(&place, &network("1.0.0", &["silent"]), PATIENT);
    assert!(
        error
            .to_string()
            .contains("no error message: exit status: 7"),
        "{error}"
    );
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children() {
    let place = Place::new();
    place.plugin(
        "hangs",
        "[ $CNI_COMMAND = ADD ] || exit 0
        sleep 1000 & echo $! > $log; sleep 1000",
    );
    let begun = Instant::now();
    let error = add(
        &place,
        &network("1.0.0", &["hangs"]),
        Duration::from_secs(1),
    );
    assert!(matches!(error, CniError::TooSlow { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let child: u32 = place.log("hangs").trim().parse().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{child}/status"));
    // Killed; perhaps nobody has waited for it yet.
    assert!(status.is_err() || status.unwrap().contains("State:\tZ"));
}

#[test]
fn a_child_that_a_plugin_leaves_behind_is_not_waited_for() {
    let place = Place::new();
    let good = format!("sleep 60 & echo $! > $log.child\n{GOOD}");
    place.plugin("leaves", &good);
    let begun = Instant::now();
    let driver = place.driver();
    let attachment = Attachment::new("box", "eth0");
    let network = network("1.1.0", &["leaves"]);
    driver
        .add(&network, &attachment, Path::new("/proc/self/ns/net"))
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let child = place.directory.path().join("leaves.log.child");
    let child: i32 = std::fs::read_to_string(child)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_plugin_that_talks_without_end_is_killed() {
    let place = Place::new();
    for (name, stream) in [("out", 1), ("err", 2)] {
        place.plugin(
            name,
            &format!("[ $CNI_COMMAND = ADD ] || exit 0\nexec yes lie >&{stream}"),
        );
        let error = add(&place, &network("1.0.0", &[name]), PATIENT);
        assert!(matches!(error, CniError::TooMuch { .. }), "{error}");
    }
}

#[test]
fn a_plugin_that_does_not_listen_is_no_trouble() {
    let place = Place::new();
    place.plugin(
        "deaf",
        "exec <&-\n[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\":\"1.0.0\"}'; exit 0",
    );
    let network = conflist(&json!({
        "cniVersion": "1.0.0", "name": "net",
        "plugins": [{"type": "deaf", "long": "x".repeat(500_000)}],
    }));
    let driver = place.driver();
    let attachment = Attachment::new("box", "eth0");
    driver
        .add(&network, &attachment, Path::new("/proc/self/ns/net"))
        .unwrap();
}

#[test]
fn answers_that_make_no_sense_are_refused_and_undone() {
    for (answer, reason) in [
        ("", "EOF"),
        ("[]", "not an object"),
        (r#"{"cniVersion":"9.0.0"}"#, "result version"),
        (r#"{"cniVersion":"0.4.0"}"#, "a result of version"),
        (
            r#"{"ips":[{"address":"10.0.0.1"}]}"#,
            "invalid IP address syntax",
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","interface":3}]}"#,
            "not in the list",
        ),
        (
            r#"{"ips":[{"address":"10.0.0.1/8","interface":-1}]}"#,
            "integer",
        ),
        (r#"{"interfaces":[{"mac":"x"}]}"#, "missing field `name`"),
    ] {
        let place = Place::new();
        let script =
            format!("echo $CNI_COMMAND >> $log\n[ $CNI_COMMAND = ADD ] && echo '{answer}'; exit 0");
        place.plugin("liar", &script);
        let error = add(&place, &network("1.0.0", &["liar"]), PATIENT);
        assert!(
            matches!(error, CniError::Answer { .. }),
            "{answer}: {error}"
        );
        assert!(error.to_string().contains(reason), "{answer}: {error}");
        assert_eq!(commands(&place, "liar"), ["ADD", "DEL"]);
        assert!(place.recorded().is_empty());
    }
}

#[test]
fn a_deletion_goes_on_after_a_failure_and_can_be_had_again() {
    let place = Place::new();
    for name in ["one", "two", "three"] {
        place.plugin(name, GOOD);
    }
    let driver = place.driver();
    let attachment = Attachment::new("box", "eth0");
    let network = network("1.1.0", &["one", "two", "three"]);
    driver
        .add(&network, &attachment, Path::new("/proc/self/ns/net"))
        .unwrap();
    place.plugin("two", "exit 1");
    place.plugin("three", "exit 1");
    match driver.delete("net", "box", "eth0", None) {
        Err(CniError::Several(errors)) => assert_eq!(errors.len(), 2),
        other => panic!("{other:?}"),
    }
    assert_eq!(commands(&place, "one"), ["ADD", "DEL"]);
    place.plugin("two", GOOD);
    place.plugin("three", GOOD);
    driver.delete("net", "box", "eth0", None).unwrap();
    assert!(place.recorded().is_empty());
}

#[test]
fn an_attempt_that_a_crash_cut_short_is_undone_before_the_next() {
    let place = Place::new();
    place.plugin("good", GOOD);
    let driver = place.driver();
    let attachment = Attachment::new("box", "eth0");
    let network = network("1.1.0", &["good"]);
    let namespace = Path::new("/proc/self/ns/net");
    driver.add(&network, &attachment, namespace).unwrap();
    // As it is on the disk while the plugins run.
    let file = place.records().join("net:box:eth0.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    record["result"] = Value::Null;
    std::fs::write(&file, record.to_string()).unwrap();
    assert!(driver.attached("net", "box", "eth0").unwrap().is_none());
    driver.add(&network, &attachment, namespace).unwrap();
    assert_eq!(commands(&place, "good"), ["ADD", "DEL", "ADD"]);
}

#[test]
fn readiness_and_the_known_attachments_are_told_to_plugins_of_version_1_1() {
    let place = Place::new();
    place.plugin("good", GOOD);
    let driver = place.driver();
    let new = network("1.1.0", &["good"]);
    driver.validate(&new).unwrap();
    driver.status(&new).unwrap();
    driver
        .collect(&new, &[("box".into(), "eth0".into())])
        .unwrap();
    assert_eq!(commands(&place, "good"), ["VERSION", "STATUS", "GC"]);
    let log = place.log("good");
    let known = r#""cni.dev/valid-attachments":[{"containerID":"box","ifname":"eth0"}]"#;
    assert!(log.contains(known), "{log}");
    // Older ones do not know these commands.
    let old = network("1.0.0", &["good"]);
    driver.status(&old).unwrap();
    driver.collect(&old, &[]).unwrap();
    assert_eq!(commands(&place, "good").len(), 3);
    match driver.validate(&network("0.3.1", &["good"])) {
        Err(CniError::Version { wanted, .. }) => assert_eq!(wanted, "0.3.1"),
        other => panic!("{other:?}"),
    }
    place.plugin("good", r#"echo '{"code":50,"msg":"not ready"}'; exit 1"#);
    assert!(
        driver
            .status(&new)
            .unwrap_err()
            .to_string()
            .contains("not ready")
    );
}

#[test]
fn a_plugin_that_is_not_there_is_said_before_another_has_run() {
    let place = Place::new();
    place.plugin("good", GOOD);
    let error = add(&place, &network("1.0.0", &["good", "missing"]), PATIENT);
    assert!(
        error
            .to_string()
            .starts_with("failed to find plugin \"missing\" in path")
    );
    assert_eq!(commands(&place, "good"), [""; 0]);
}

#[test]
fn names_that_could_become_paths_or_words_are_refused() {
    let place = Place::new();
    place.plugin("good", GOOD);
    let driver = place.driver();
    let network = network("1.1.0", &["good"]);
    let namespace = Path::new("/proc/self/ns/net");
    for (container, interface) in [
        ("../box", "eth0"),
        ("", "eth0"),
        ("a:b", "eth0"),
        ("box", "../eth0"),
        ("box", ""),
        ("box", "."),
        ("box", "sixteen-letters-"),
        ("box", "eth 0"),
    ] {
        let attachment = Attachment::new(container, interface);
        let error = driver.add(&network, &attachment, namespace).unwrap_err();
        assert!(matches!(error, CniError::Name { .. }), "{error}");
    }
    let mut attachment = Attachment::new("box", "eth0");
    attachment.arguments = vec![("IP".into(), "1;CNI_PATH=/tmp".into())];
    assert!(driver.add(&network, &attachment, namespace).is_err());
    assert!(driver.delete("../net", "box", "eth0", None).is_err());
    assert!(place.recorded().is_empty());
}
