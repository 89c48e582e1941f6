//! The files of `packaging/` against the definitions of the command line and the configuration. `just check-packaging` asks
//! systemd itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use prism::config::Config;

use super::Arguments;

/// Settings that break CUDA, Triton or bwrap; docs/packaging.md says how.
const LEFT_OUT: [&str; 13] = [
    "DeviceAllow",
    "DevicePolicy",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateUsers",
    "ProcSubset",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelTunables",
    "ProtectProc",
    "RestrictNamespaces",
];

/// What must not get lost.
const KEPT: [&str; 13] = [
    "NoNewPrivileges",
    "CapabilityBoundingSet",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "ProtectKernelModules",
    "ProtectControlGroups",
    "RestrictAddressFamilies",
    "RestrictSUIDSGID",
    "LockPersonality",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "User",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// `Section.Key` to value.
fn unit(name: &str) -> BTreeMap<String, String> {
    let (mut section, mut found) = (String::new(), BTreeMap::new());
    for line in read(&format!("packaging/systemd/{name}")).lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("{name}: {line}"));
        let key = format!("{section}.{key}");
        assert!(
            found.insert(key, value.to_owned()).is_none(),
            "{name}: {line}"
        );
    }
    found
}

fn units(ending: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(repository().join("packaging/systemd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

/// The words of a command line are understood, and its configuration is the packaged one.
fn understood(words: &[String]) {
    assert_eq!(words[0], "/usr/bin/prism", "{words:?}");
    let arguments =
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let config = arguments.global.config;
    assert_eq!(config, Some(PathBuf::from("/etc/prism/config.yaml")));
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_command_line_is_understood() {
    for name in units(".service") {
        understood(&words(&unit(&name)["Service.ExecStart"]));
    }
    let cron = read("packaging/cron.d/prism");
    let line = cron
        .lines()
        .find(|line| line.contains("/usr/bin/prism"))
        .unwrap();
    let command = &line[line.find("/usr/bin/prism").unwrap()..];
    understood(&words(command.split(" >").next().unwrap()));

    let docker = read("packaging/Dockerfile");
    let last = |instruction: &str| -> Vec<String> {
        let line = docker
            .lines()
            .rfind(|line| line.trim_start().starts_with(instruction))
            .unwrap();
        let (_, list) = line.split_once(instruction).unwrap();
        serde_json::from_str(list).unwrap()
    };
    let entry = last("ENTRYPOINT ");
    // An indented CMD belongs to HEALTHCHECK.
    let health = docker.split("HEALTHCHECK").nth(1).unwrap();
    let health = health.split("CMD ").nth(1).unwrap().lines().next().unwrap();
    understood(&serde_json::from_str::<Vec<String>>(health).unwrap());
    understood(&[entry, last("CMD ")].concat());
    assert!(docker.contains("\nUSER prism\n"));
    for line in docker.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split(' ').nth(1).unwrap();
        assert!(image.contains(':') && !image.ends_with(":latest"), "{line}");
    }
}

#[test]
fn services_are_hardened_as_far_as_runs_allow() {
    let explained = read("docs/packaging.md");
    for name in LEFT_OUT {
        assert!(
            explained.contains(&format!("`{name}=`")),
            "{name} is not explained"
        );
    }
    let mut hardening = Vec::new();
    for name in units(".service") {
        let service = unit(&name);
        for key in KEPT {
            assert!(
                service.contains_key(&format!("Service.{key}")),
                "{name}: {key}"
            );
        }
        for key in LEFT_OUT {
            assert!(
                !service.contains_key(&format!("Service.{key}")),
                "{name}: {key}"
            );
        }
        let notifies = service["Service.Type"] == "notify";
        assert_eq!(notifies, service["Service.ExecStart"].contains(" watch "));
        assert_eq!(notifies, service.contains_key("Service.WatchdogSec"));
        hardening.push(KEPT.map(|key| service[&format!("Service.{key}")].clone()));
    }
    assert!(hardening.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_starts_a_pass_starts_the_service_that_is_there() {
    let (timer, path) = (unit("prism-run.timer"), unit("prism-run.path"));
    for service in [&timer["Timer.Unit"], &path["Path.Unit"]] {
        assert!(units(".service").contains(service), "{service}");
    }
    let config = repository().join("packaging/config.yaml");
    let config = Config::load(Some(&config), std::iter::empty()).unwrap();
    assert_eq!(Path::new(&path["Path.PathChanged"]), config.inbox);
    let folders = read("packaging/tmpfiles.d/prism.conf");
    let metrics = config.metrics.textfile.unwrap();
    for folder in [&*config.inbox, &*config.outbox, metrics.parent().unwrap()] {
        assert!(
            folders.contains(&format!("d {} ", folder.display())),
            "{}",
            folder.display()
        );
    }
    let user = &unit("prism.service")["Service.User"];
    assert!(read("packaging/sysusers.d/prism.conf").contains(&format!("u {user} ")));
}
