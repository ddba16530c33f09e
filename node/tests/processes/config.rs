//! Settings from a file and from the environment, with the real binary: what holds, what is printed of it, what is refused.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Dev, Process, catena, free_ports, line_with, refused, text};

/// A file of settings.
struct Settings {
    directory: TempDir,
}

impl Settings {
    fn new(text: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        fs::write(directory.path().join("catena.toml"), text).expect("it can be written");
        Self { directory }
    }

    fn file(&self) -> String {
        self.directory.path().join("catena.toml").display().to_string()
    }

    /// The binary, told of the file.
    fn catena(&self, words: &str) -> Command {
        let mut command = catena();
        command.args(words.split(' ')).args(["--config", &self.file()]).env("CATENA_LOG", "off");
        command
    }
}

/// What a command prints.
fn stdout(command: &mut Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(command)).expect("a line of JSON")
}

#[test]
fn print_says_what_holds_and_where_it_comes_from() {
    let settings = Settings::new("[coordinator]\ndead-ms = 900\nsuspect-ms = 350\n\n[node]\nlabel = [\"rack=r1\", \"row=7\"]\n");
    let mut command = settings.catena("config print coordinator --flap-threshold 5");
    let table = stdout(command.env("CATENA_SUSPECT_MS", "500"));
    let row = |key: &str| {
        let row = table.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_else(|| panic!("no {key}: {table}"));
        row.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("dead-ms"), ["900", &format!("{}:2", settings.file())]);
    assert_eq!(row("suspect-ms"), ["500", "CATENA_SUSPECT_MS"]);
    assert_eq!(row("flap-threshold"), ["5", "flag"]);
    assert_eq!(row("value-bytes"), ["16MiB", "default"]);
    assert_eq!(row("listen"), ["-", "missing"]);
    assert_eq!(row("lease-ms").join(" "), "- default: 600, or what the directory was created with");
    assert!(!table.contains("[node]"), "{table}");
    let everything = stdout(&mut settings.catena("config print"));
    for part in ["[client]\n", "[coordinator]\n", "[node]\n", "[dev]\n", "rack=r1,row=7", &settings.file()] {
        assert!(everything.contains(part), "no {part}: {everything}");
    }
}

#[test]
fn print_is_a_line_of_json_if_asked() {
    let settings = Settings::new("[node]\nslot-writes = 8\nlabel = [\"rack=r1\"]\n[dev]\nrestart = true\n");
    let mut command = settings.catena("config print -o json");
    let printed = json(command.env("CATENA_ENDPOINTS", "a:1,b:2"));
    let from = |line: u32| format!("{}:{line}", settings.file());
    assert_eq!(printed["client"]["endpoints"], json!({ "value": ["a:1", "b:2"], "source": "CATENA_ENDPOINTS" }));
    assert_eq!(printed["coordinator"]["dead-ms"], json!({ "value": 700, "source": "default" }));
    assert_eq!(printed["coordinator"]["slots"], json!({ "value": null, "source": "default" }));
    assert_eq!(printed["node"]["slot-writes"], json!({ "value": 8, "source": from(2) }));
    assert_eq!(printed["node"]["label"], json!({ "value": ["rack=r1"], "source": from(3) }));
    assert_eq!(printed["node"]["spill-bytes"], json!({ "value": "4GiB", "source": "default" }));
    assert_eq!(printed["dev"]["restart"], json!({ "value": true, "source": from(5) }));
}

#[test]
fn the_default_file_is_read_without_a_change() {
    let settings = Settings::new(&stdout(catena().args(["config", "default"])));
    let with_it = json(&mut settings.catena("config print -o json"));
    assert_eq!(with_it, json(catena().args(["config", "print", "-o", "json"])));
}

#[test]
fn a_file_that_cannot_be_read_or_understood_ends_with_2() {
    let absent = catena().args(["get", "k", "--config", "/nowhere/catena.toml"]).output().unwrap();
    let error = refused(&absent, 2);
    assert!(error.contains("cannot read /nowhere/catena.toml"), "{error}");
    let directory = TempDir::new().unwrap();
    let error = refused(&catena().args(["get", "k"]).env("CATENA_CONFIG", directory.path()).output().unwrap(), 2);
    assert!(error.contains(&directory.path().display().to_string()), "{error}");
    let settings = Settings::new("[client]\n\nendpoint = [\"a:1\"]\n");
    let error = refused(&settings.catena("get k").output().unwrap(), 2);
    assert!(error.contains(&format!("{}:3: ", settings.file())), "{error}");
    assert!(error.contains("no key endpoint") && error.contains("did you mean endpoints?"), "{error}");
    let settings = Settings::new("[coordinator]\ndead-ms = \"soon\"\n");
    let error = refused(&settings.catena("status").output().unwrap(), 2);
    assert!(error.contains(":2: dead-ms takes a number, not a text"), "{error}");
    let error = refused(&catena().args(["config", "print"]).env("CATENA_DEAD_MS", "soon").output().unwrap(), 2);
    assert!(error.contains("CATENA_DEAD_MS: ") && error.contains("'soon'"), "{error}");
}

#[test]
fn numbers_that_contradict_each_other_are_refused_with_where_they_come_from() {
    let settings = Settings::new("[coordinator]\nlease-ms = 900\n\n[node]\nsilence-ms = 50\n");
    let data = settings.directory.path().join("data");
    let line = format!("coordinator --listen 127.0.0.1:{} --data-dir {}", free_ports(1), data.display());
    let error = refused(&settings.catena(&line).output().unwrap(), 1);
    assert!(error.contains("--dead-ms 700") && error.contains(&format!("(lease-ms is from {}:2)", settings.file())), "{error}");
    let mut print = settings.catena("config print coordinator");
    let printed = print.env("CATENA_DEAD_MS", "800").output().unwrap();
    let error = refused(&printed, 1);
    assert!(error.contains("dead-ms is from CATENA_DEAD_MS, lease-ms is from"), "{error}");
    assert!(text(&printed.stdout).contains("lease-ms"), "what holds is printed all the same");
    let line = format!("node --id n1 --listen 127.0.0.1:0 --coordinator c:1 --data-dir {}", data.display());
    let error = refused(&settings.catena(&line).output().unwrap(), 1);
    assert!(error.contains("--silence-ms 50") && error.contains(&format!("silence-ms is from {}:5", settings.file())), "{error}");
    assert!(!data.exists(), "nothing was created");
}

#[test]
fn a_cluster_is_started_from_a_file_alone() {
    let directory = TempDir::new().unwrap();
    let (port, at) = (free_ports(2), directory.path().display().to_string());
    let endpoint = format!("127.0.0.1:{port}");
    let settings = Settings::new(&format!(
        "[client]\nendpoints = [\"{endpoint}\"]\n\
         [coordinator]\nlisten = \"{endpoint}\"\ndata-dir = \"{at}/c\"\nreplicas = 1\nslots = 2\nvalue-bytes = \"1KiB\"\n\
         [node]\nid = \"n1\"\nlisten = \"127.0.0.1:{}\"\ncoordinator = [\"{endpoint}\"]\ndata-dir = \"{at}/n1\"\nvalue-bytes = 1024\n",
        port + 1
    ));
    let _coordinator = Process::spawn(&mut settings.catena("coordinator"));
    let _node = Process::spawn(&mut settings.catena("node"));
    assert!(!stdout(&mut settings.catena("put greeting hello --timeout 20s")).is_empty());
    assert_eq!(stdout(catena().args(["get", "greeting"]).env("CATENA_CONFIG", settings.file())), "hello");
    let large = "v".repeat(1025);
    let error = refused(&settings.catena(&format!("put large {large}")).output().unwrap(), 1);
    assert!(error.contains("1025") && error.contains("1024"), "the limits of the file hold: {error}");
}

#[test]
fn the_processes_of_dev_read_the_file_and_what_dev_says_comes_first() {
    let directory = TempDir::new().unwrap();
    let settings = Settings::new("[node]\nvalue-bytes = \"1KiB\"\nlisten = \"127.0.0.1:1\"\n[dev]\nnodes = 1\nslots = 2\n");
    let port = free_ports(8);
    let mut command = Dev::command(directory.path(), port);
    command.args(["--config", &settings.file()]).env("CATENA_LISTEN", "127.0.0.1:2").env("CATENA_DATA_DIR", "/nowhere");
    let dev = Process::spawn(command.env("CATENA_FLAP_THRESHOLD", "0"));
    line_with(&dev.stdout, "Catena is ready: 1 nodes");
    let endpoint = format!("127.0.0.1:{port}");
    let put = |size: usize| catena().args(["put", "k", &"v".repeat(size), "--endpoints", &endpoint]).output().unwrap();
    assert!(put(1024).status.success());
    let error = refused(&put(1025), 1);
    assert!(error.contains("1025"), "{error}");
}

#[test]
fn what_is_for_one_node_is_not_for_those_of_dev() {
    let directory = TempDir::new().unwrap();
    let settings = Settings::new("[node]\nlabel = [\"rack=r1\"]\n");
    let mut command = Dev::command(directory.path(), free_ports(8));
    let error = refused(&command.args(["--config", &settings.file()]).output().unwrap(), 2);
    assert!(error.contains(":2: label is for one node"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_process_of_dev_says_which_of_its_settings_are_wrong() {
    let directory = TempDir::new().unwrap();
    let settings = Settings::new("[coordinator]\nlease-ms = 900\n");
    let mut command = Dev::command(directory.path(), free_ports(8));
    let mut dev = Process::spawn(command.args(["--config", &settings.file()]));
    line_with(&dev.stderr, &format!("(lease-ms is from {}:2)", settings.file()));
    line_with(&dev.stderr, "coordinator ended while the cluster was starting");
    assert_eq!(dev.wait().code(), Some(1));
}
