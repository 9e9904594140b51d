//! What an image says about its containers, under what the request says.

use wharf_images::RunConfig;

use super::joins;
use crate::model::{ContainerSpec, NamespaceMode, Resources};
use crate::{Engine, oci};

/// Docker's rules: lists and maps are joined, the request wins; an entry point of the request's
/// own drops the image's command.
pub(super) fn image_defaults(spec: &mut ContainerSpec, image: &RunConfig) {
    let default = |own: &mut String, from: &String| {
        if own.is_empty() {
            own.clone_from(from);
        }
    };
    default(&mut spec.user, &image.user);
    default(&mut spec.working_dir, &image.working_dir);
    default(&mut spec.stop_signal, &image.stop_signal);
    for entry in &image.env {
        let key = |entry: &str| {
            entry
                .split_once('=')
                .map_or(entry, |(key, _)| key)
                .to_owned()
        };
        if !spec.env.iter().any(|own| key(own) == key(entry)) {
            spec.env.push(entry.clone());
        }
    }
    for (key, value) in &image.labels {
        spec.labels
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    for port in &image.exposed_ports {
        if !spec.exposed_ports.contains(port) {
            spec.exposed_ports.push(port.clone());
        }
    }
    for volume in &image.volumes {
        if !spec.volumes.contains(volume) {
            spec.volumes.push(volume.clone());
        }
    }
    let empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    if empty(&spec.entrypoint) {
        if empty(&spec.cmd) {
            spec.cmd.clone_from(&image.cmd);
        }
        // An empty list, as opposed to none, asks for no entry point.
        if spec.entrypoint.is_none() {
            spec.entrypoint.clone_from(&image.entrypoint);
        }
    }
    // `--entrypoint ""`
    if spec.entrypoint.as_deref() == Some(&[String::new()]) {
        spec.entrypoint = None;
    }
    if spec.stop_timeout.is_none() {
        spec.stop_timeout = image.stop_timeout;
    }
    if spec.shell.is_none() && !image.shell.is_empty() {
        spec.shell = Some(image.shell.clone());
    }
}

/// What the daemon decides where the request does not, and then shows.
pub(super) fn host_defaults(engine: &Engine, spec: &mut ContainerSpec) {
    let inner = &engine.0;
    let options = &inner.options;
    let host = &mut spec.host;
    if host.shm_size == 0 {
        host.shm_size = options.default_shm_size;
    }
    if host.ipc == NamespaceMode::Private {
        host.ipc = options.default_ipc.clone();
    }
    if host.cgroupns.is_none() {
        host.cgroupns = Some(joins::default_cgroupns(engine));
    }
    if host.runtime.is_empty() {
        host.runtime.clone_from(&options.default_runtime);
    }
    if host.log_driver.is_empty() {
        host.log_driver.clone_from(&options.default_log_driver);
        for (key, value) in &options.default_log_options {
            host.log_options
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
    }
    if !host.privileged {
        host.masked_paths
            .get_or_insert_with(|| oci::default_masked_paths(&inner.host.defaults));
        host.readonly_paths
            .get_or_insert_with(oci::default_readonly_paths);
    }
}

/// What Docker fills in and then shows.
pub(super) fn fill_limits(resources: &mut Resources) {
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    fn merged(change: impl FnOnce(&mut ContainerSpec)) -> ContainerSpec {
        let image = RunConfig {
            cmd: words("image cmd"),
            entrypoint: words("image entry"),
            env: vec!["PATH=/bin".into(), "A=image".into()],
            working_dir: "/image".into(),
            labels: [("a".to_owned(), "image".to_owned())].into(),
            ..RunConfig::default()
        };
        let mut spec = ContainerSpec::default();
        change(&mut spec);
        image_defaults(&mut spec, &image);
        spec
    }

    #[test]
    fn the_request_wins_over_the_image() {
        let spec = merged(|s| {
            s.env = vec!["A=own".into()];
            s.labels.insert("a".into(), "own".into());
        });
        assert_eq!(spec.env, ["A=own", "PATH=/bin"]);
        assert_eq!(spec.labels["a"], "own");
        assert_eq!(spec.working_dir, "/image");
    }

    #[test]
    fn a_command_keeps_the_images_entry_point_and_an_entry_point_drops_its_command() {
        let plain = merged(|_| {});
        assert_eq!(
            (plain.cmd, plain.entrypoint),
            (words("image cmd"), words("image entry"))
        );
        let command = merged(|s| s.cmd = words("own"));
        assert_eq!(
            (command.cmd, command.entrypoint),
            (words("own"), words("image entry"))
        );
        let entry = merged(|s| s.entrypoint = words("own"));
        assert_eq!((entry.cmd, entry.entrypoint), (None, words("own")));
        let none = merged(|s| {
            s.entrypoint = Some(vec![String::new()]);
            s.cmd = words("own");
        });
        assert_eq!((none.cmd, none.entrypoint), (words("own"), None));
    }

    #[test]
    fn swap_is_twice_the_memory_unless_given() {
        let mut limits = Resources {
            memory: 32,
            ..Resources::default()
        };
        fill_limits(&mut limits);
        assert_eq!(limits.memory_swap, 64);
        limits.memory_swap = -1;
        fill_limits(&mut limits);
        assert_eq!(limits.memory_swap, -1);
    }
}
