//! The log of a coordinator and of a node: for people on a terminal, for programs elsewhere.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, catena, free_ports, line_with, signal, text};

/// A coordinator and some nodes, by hand; `CATENA_LOG` says everything of this project.
struct Cluster<'a> {
    directory: &'a Path,
    port: u16,
}

impl Cluster<'_> {
    fn command(&self, process: &[&str], port: u16, data: &str) -> Command {
        let mut command = catena();
        command.args(process).args(["--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(self.directory.join(data));
        command.env("CATENA_LOG", "info,catena=debug,catena_node=debug,catena_net=debug");
        command
    }

    fn coordinator(&self) -> Command {
        self.command(&["coordinator", "--replicas", "2", "--slots", "2"], self.port, "coordinator")
    }

    fn node(&self, number: u16) -> Command {
        let (id, endpoint) = (format!("n{number}"), format!("127.0.0.1:{}", self.port));
        self.command(&["node", "--id", &id, "--coordinator", &endpoint], self.port + number, &id)
    }

    fn put(&self) {
        let endpoint = format!("127.0.0.1:{}", self.port);
        let put =
            catena().args(["put", "k", "v", "--timeout", "20s", "--endpoints", &endpoint]).output().expect("the binary runs");
        assert!(put.status.success(), "{}", text(&put.stderr));
    }
}

/// What is written until the process ends: each line an event, its fields of the kinds that the manual says.
fn events(lines: &Receiver<String>, component: &str) -> Vec<Value> {
    let event = |line: String| {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
        assert_eq!(event["component"], component, "{event}");
        for name in ["timestamp", "level", "message", "node_id", "peer_node_id", "error"] {
            assert!(event.get(name).is_none_or(Value::is_string), "{name} is a text: {event}");
        }
        for name in ["slot", "chain_version", "seq", "command_id"] {
            assert!(event.get(name).is_none_or(Value::is_u64), "{name} is a number: {event}");
        }
        for name in ["timestamp", "level", "message"] {
            assert!(event.get(name).is_some(), "no {name}: {event}");
        }
        event
    };
    lines.iter().map(event).collect()
}

/// The first event of a message.
fn found<'a>(events: &'a [Value], message: &str) -> &'a Value {
    events.iter().find(|event| event["message"] == message).unwrap_or_else(|| panic!("no {message:?} in {events:#?}"))
}

#[test]
fn a_log_that_is_piped_is_json_with_the_same_names_everywhere() {
    let directory = TempDir::new().unwrap();
    let cluster = Cluster { directory: directory.path(), port: free_ports(3) };
    let mut coordinator = Process::spawn(&mut cluster.coordinator());
    let (mut n1, mut n2) = (Process::spawn(&mut cluster.node(1)), Process::spawn(&mut cluster.node(2)));
    cluster.put();
    let endpoint = format!("127.0.0.1:{}", cluster.port);
    let order = |id: &str| catena().args(["node", "drain", id, "--endpoints", &endpoint, "--timeout", "5s"]).output().unwrap();
    assert!(!order("nobody").status.success(), "there is no such node");
    for process in [&mut n2, &mut coordinator, &mut n1] {
        signal(process.pid(), Signal::TERM);
        process.wait();
    }
    let said = events(&n1.stderr, "node");
    assert!(said.iter().all(|event| event["message"] == "told to stop" || event["node_id"] == "n1"), "{said:#?}");
    assert_eq!(found(&said, "link up")["peer_node_id"], "n2");
    let chain = found(&said, "new chain");
    assert!(chain["slot"].is_u64() && chain["chain_version"].is_u64(), "{chain}");
    let later = |event: &Value| event["message"] == "new chain" && event["seq"].is_u64();
    assert!(said.iter().any(later), "the chain without n2: {said:#?}");
    assert!(found(&said, "lost the coordinator")["error"].is_string());
    assert_eq!(found(&said, "told to stop")["level"], "INFO");
    let said = events(&coordinator.stderr, "coordinator");
    assert_eq!(found(&said, "joined")["node_id"].as_str().map(|id| &id[..1]), Some("n"));
    let chain = found(&said, "chain");
    assert!(chain["slot"].is_u64() && chain["chain_version"].is_u64(), "{chain}");
    let refused = found(&said, "order refused");
    assert!(refused["command_id"].is_u64() && refused["error"].is_string(), "{refused}");
    assert_eq!((&refused["node_id"], &refused["order"]), (&"nobody".into(), &"drain".into()));
}

#[test]
fn what_ends_a_process_is_an_event_too_whatever_is_logged() {
    let directory = TempDir::new().unwrap();
    let cluster = Cluster { directory: directory.path(), port: free_ports(3) };
    fs::write(directory.path().join("n1"), "no directory").unwrap();
    for (format, json) in [("auto", true), ("json", true), ("text", false)] {
        let output = cluster.node(1).env("CATENA_LOG", "off").args(["--log-format", format]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert_eq!(said.lines().count(), 1, "{said}");
        match serde_json::from_str::<Value>(&said) {
            Ok(event) => {
                assert!(json, "{said}");
                assert_eq!((&event["level"], &event["component"]), (&"ERROR".into(), &"node".into()));
                assert!(event["error"].as_str().is_some_and(|error| error.contains("give a directory")), "{said}");
            }
            Err(_) => assert!(!json && said.starts_with("catena: ") && said.contains("give a directory"), "{said}"),
        }
    }
}

#[test]
fn the_format_is_a_setting_like_others() {
    let directory = TempDir::new().unwrap();
    let cluster = Cluster { directory: directory.path(), port: free_ports(1) };
    let file = directory.path().join("catena.toml");
    fs::write(&file, "[coordinator]\nlog-format = \"text\"\n").unwrap();
    let written = |mut command: Command| {
        let mut coordinator = Process::spawn(&mut command);
        let line = line_with(&coordinator.stderr, "serving");
        signal(coordinator.pid(), Signal::TERM);
        assert!(coordinator.wait().success());
        line
    };
    let with = |variable: Option<&str>, file: Option<&Path>| {
        let mut command = cluster.coordinator();
        command.envs(variable.map(|format| ("CATENA_LOG_FORMAT", format)));
        command.args(file.into_iter().flat_map(|file| [OsStr::new("--config"), file.as_os_str()]));
        command
    };
    assert!(written(with(None, None)).starts_with('{'));
    assert!(!written(with(None, Some(&file))).contains('{'));
    assert!(!written(with(Some("text"), None)).contains('{'));
    assert!(written(with(Some("json"), Some(&file))).starts_with('{'), "a variable comes before the file");
    let shown = text(&catena().args(["config", "default"]).output().unwrap().stdout);
    assert_eq!(shown.matches("\n#log-format = \"auto\"\n").count(), 2, "of coordinator and node: {shown}");
    let wrong = cluster.coordinator().args(["--log-format", "xml"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("auto, text, json"), "{}", text(&wrong.stderr));
}
