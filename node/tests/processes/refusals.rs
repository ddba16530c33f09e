//! What a node or a coordinator refuses when it starts: one line that names it and says what to do, and nothing is left
//! running or changed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Dev, Process, catena, free_ports, line_with, refused, signal, text};

/// A node that would run, but for what the test does about it.
struct Node {
    id: &'static str,
    port: u16,
    coordinator: String,
    directory: PathBuf,
}

impl Node {
    fn new(directory: &Path, coordinator: String) -> Self {
        Self { id: "n1", port: free_ports(1), coordinator, directory: directory.to_owned() }
    }

    fn output(&self) -> Output {
        self.command().output().expect("the binary runs")
    }

    fn command(&self) -> Command {
        let mut command = catena();
        command.args(["node", "--id", self.id, "--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--coordinator", &self.coordinator, "--data-dir"]).arg(&self.directory);
        command.env("CATENA_LOG", "off");
        command
    }
}

/// The directories of a cluster that has run and stopped.
fn stopped_cluster() -> TempDir {
    let directory = TempDir::new().expect("a directory");
    Dev::start(directory.path(), &["--nodes", "2", "--replicas", "2", "--slots", "2"]).stop();
    directory
}

/// Nobody is there; who asks would wait.
fn nobody() -> String {
    format!("127.0.0.1:{}", free_ports(1))
}

fn coordinator(directory: &Path, options: &[&str]) -> Command {
    let mut command = catena();
    command.args(["coordinator", "--listen", &nobody(), "--data-dir"]).arg(directory).args(options);
    command.env("CATENA_LOG", "off");
    command
}

#[test]
fn a_taken_port() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let error = refused(&Node { port: address.port(), ..Node::new(&data, nobody()) }.output(), 1);
    assert!(error.contains(&address.to_string()) && error.contains("taken"), "{error}");
    let mut command = catena();
    command.args(["coordinator", "--listen", &address.to_string(), "--data-dir"]);
    let error = refused(&command.arg(&data).env("CATENA_LOG", "off").output().unwrap(), 1);
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(!data.exists(), "nothing was created");
}

#[test]
fn one_address_for_calls_and_for_admin_http() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let node = Node::new(&data, nobody());
    let address = format!("127.0.0.1:{}", node.port);
    let error = refused(&node.command().args(["--admin", &address]).output().unwrap(), 1);
    assert!(error.contains(&format!("{address} is for --listen and for --admin")), "{error}");
    assert!(!data.exists(), "nothing was created");
}

#[test]
fn a_directory_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("data");
    let error = refused(&Node::new(&below, nobody()).output(), 1);
    assert!(error.contains(&below.display().to_string()) && error.contains("give a directory"), "{error}");
    let error = refused(&coordinator(&below, &[]).output().unwrap(), 1);
    assert!(error.contains(&below.display().to_string()), "{error}");
}

#[test]
fn a_directory_in_use() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    let error = refused(&Node::new(&directory.path().join("n1"), cluster.endpoint()).output(), 1);
    assert!(error.contains("in use") && error.contains(&cluster.pid_of("n1").to_string()), "{error}");
    assert!(cluster.run(&["put", "still", "here"]).status.success());
}

#[test]
fn a_directory_of_another_node_or_of_a_coordinator() {
    let directory = stopped_cluster();
    let error = refused(&Node::new(&directory.path().join("n2"), nobody()).output(), 1);
    assert!(error.contains("belongs to node n2, not to node n1"), "{error}");
    let error = refused(&Node::new(&directory.path().join("coordinator"), nobody()).output(), 1);
    assert!(error.contains("belongs to coordinator, not to node n1"), "{error}");
    let error = refused(&coordinator(&directory.path().join("n1"), &[]).output().unwrap(), 1);
    assert!(error.contains("belongs to node n1, not to coordinator"), "{error}");
}

#[test]
fn a_directory_of_another_cluster() {
    let other = stopped_cluster();
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    let error = refused(&Node::new(&other.path().join("n1"), cluster.endpoint()).output(), 1);
    assert!(error.contains("cluster") && error.contains("check"), "{error}");
    assert!(cluster.run(&["put", "still", "here"]).status.success());
}

#[test]
fn a_directory_of_a_newer_format_or_of_something_else() {
    let directory = stopped_cluster();
    let data = directory.path().join("n1");
    let identity = fs::read_to_string(data.join("identity")).unwrap();
    fs::write(data.join("identity"), identity.replace("format ", "format 9")).unwrap();
    let error = refused(&Node::new(&data, nobody()).output(), 1);
    assert!(error.contains("format 9") && error.contains("newer"), "{error}");
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("thesis.tex"), "precious").unwrap();
    let error = refused(&Node::new(home.path(), nobody()).output(), 1);
    assert!(error.contains("thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn an_id_that_is_alive_elsewhere() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    let fresh = TempDir::new().unwrap();
    let error = refused(&Node::new(&fresh.path().join("n1"), cluster.endpoint()).output(), 1);
    let address = format!("127.0.0.1:{}", cluster.port + 1);
    assert!(error.contains("node id n1 is alive at") && error.contains(&address), "{error}");
    assert!(error.contains(&format!("{} is new", fresh.path().join("n1").display())) && error.contains("remove it"), "{error}");
    // The real one was not disturbed: it still holds its lease after the other's would have run out.
    assert!(cluster.run(&["put", "still", "here"]).status.success());
    assert!(cluster.run(&["get", "still"]).status.success());
}

#[test]
fn labels_that_contradict_the_record() {
    let directory = TempDir::new().unwrap();
    let endpoint = format!("127.0.0.1:{}", free_ports(1));
    let mut command = catena();
    command.args(["coordinator", "--listen", &endpoint, "--replicas", "1", "--slots", "2", "--data-dir"]);
    let _coordinator = Process::spawn(command.arg(directory.path().join("coordinator")));
    let n1 = Node::new(&directory.path().join("n1"), endpoint.clone());
    let mut first = Process::spawn(n1.command().args(["--label", "rack=r1", "--label", "row=7"]));
    let put = catena().args(["put", "k", "v", "--endpoints", &endpoint, "--timeout", "20s"]).output().unwrap();
    assert!(put.status.success(), "{}", text(&put.stderr));
    signal(first.pid(), Signal::TERM);
    assert!(first.wait().success());
    for labels in [&[][..], &["--label", "rack=r2", "--label", "row=7"]] {
        let error = refused(&n1.command().args(labels).output().unwrap(), 1);
        assert!(error.contains("n1 is recorded with labels") && error.contains("rack=r1"), "{error}");
    }
    let twice = n1.command().args(["--label", "rack=r1", "--label", "rack=r2"]).output().unwrap();
    assert!(refused(&twice, 1).contains("--label gives rack twice"));
    let _second = Process::spawn(n1.command().args(["--label", "row=7", "--label", "rack=r1"]));
    let get = catena().args(["get", "k", "--endpoints", &endpoint, "--timeout", "20s"]).output().unwrap();
    assert_eq!(text(&get.stdout), "v", "the same labels in another order are the same: {}", text(&get.stderr));
}

#[test]
fn other_parameters_than_the_coordinators_directory_was_created_with() {
    let directory = stopped_cluster();
    let data = directory.path().join("coordinator");
    for (options, what) in [
        (["--slots", "4"], "slots 2, not 4"),
        (["--replicas", "1"], "replicas 2, not 1"),
        (["--lease-ms", "500"], "lease 600ms, not 500ms"),
    ] {
        let error = refused(&coordinator(&data, &options).output().unwrap(), 1);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn numbers_of_a_coordinator_that_contradict_each_other() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("coordinator");
    for (options, flag) in [
        (["--replicas", "3", "--founders", "2"], "--founders"),
        (["--lease-ms", "1000", "--dead-ms", "1000"], "--dead-ms 1060 or more"),
        (["--suspect-ms", "900", "--dead-ms", "800"], "--suspect-ms"),
    ] {
        let error = refused(&coordinator(&data, &options).output().unwrap(), 1);
        assert!(error.contains(flag), "{error}");
        assert!(!data.exists(), "nothing was created");
    }
}

#[test]
fn a_node_whose_coordinator_is_away_waits_for_it() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    assert!(cluster.run(&["put", "k", "v"]).status.success());
    let (port, node) = (cluster.port, directory.path().join("n1"));
    cluster.stop();
    let mut command = catena();
    command.args(["node", "--id", "n1", "--listen", &nobody(), "--coordinator", &format!("127.0.0.1:{port}"), "--data-dir"]);
    let node = Process::spawn(command.arg(&node).env("CATENA_LOG", "warn"));
    line_with(&node.stderr, "no coordinator lets this node in yet");
    let mut command = catena();
    command.args(["coordinator", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]);
    command.arg(directory.path().join("coordinator"));
    let _coordinator = Process::spawn(&mut command);
    let get = catena().args(["get", "k", "--endpoints", &format!("127.0.0.1:{port}"), "--timeout", "20s"]).output().unwrap();
    assert_eq!(get.stdout, b"v");
}
