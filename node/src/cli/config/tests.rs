use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::cli::arguments::{CoordinatorArguments, NodeOrder};

/// A directory with a file of settings, and what the environment has.
struct World {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl World {
    fn new(text: &str) -> Self {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("catena.toml"), text).unwrap();
        Self { directory, variables: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn file(&self) -> String {
        self.directory.path().join("catena.toml").display().to_string()
    }

    /// What comes of a command line that names the file.
    fn load(&self, line: &str) -> Result<Loaded, LoadError> {
        self.load_without(&format!("{line} --config {}", self.file()))
    }

    fn load_without(&self, line: &str) -> Result<Loaded, LoadError> {
        let variables = |name: &str| Some(OsString::from(&self.variables.iter().find(|(known, _)| *known == name)?.1));
        load(format!("catena {line}").split(' ').map(OsString::from).collect(), &variables)
    }

    fn coordinator(&self, line: &str) -> CoordinatorArguments {
        match self.load(line).expect("it fits").arguments.command {
            arguments::Command::Coordinator(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, line: &str) -> String {
        match self.load(line) {
            Err(LoadError::Config(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

const COORDINATOR: &str = "coordinator --listen 127.0.0.1:7400 --data-dir d";

#[test]
fn every_command_line_is_consistent() {
    command().debug_assert();
    relaxed(command()).debug_assert();
    for section in Section::ALL {
        relaxed(section.command()).debug_assert();
    }
}

#[test]
fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
    let dead = |world: &World, flags: &str| world.coordinator(&format!("{COORDINATOR}{flags}")).judgement.dead_ms;
    let world = World::new("");
    assert_eq!(dead(&world, ""), 700);
    let world = World::new("[coordinator]\ndead-ms = 701");
    assert_eq!(dead(&world, ""), 701);
    let world = world.with("CATENA_DEAD_MS", "702");
    assert_eq!(dead(&world, ""), 702);
    assert_eq!(dead(&world, " --dead-ms 703"), 703);
}

#[test]
fn the_variable_names_the_file_unless_the_flag_does() {
    let (other, world) = (World::new("[coordinator]\ndead-ms = 800"), World::new("[coordinator]\ndead-ms = 900"));
    let world = world.with("CATENA_CONFIG", &other.file());
    assert_eq!(world.coordinator(COORDINATOR).judgement.dead_ms, 900);
    let loaded = world.load_without(COORDINATOR).unwrap();
    assert_eq!(loaded.file.as_deref(), Some(Path::new(&other.file())));
    let before = world.load_without(&format!("--config {} {COORDINATOR}", world.file())).unwrap();
    assert_eq!(before.file.as_deref(), Some(Path::new(&world.file())), "wherever the flag stands");
}

#[test]
fn what_a_command_requires_may_be_in_the_file() {
    let world = World::new(
        "[node]\nid = \"n1\"\nlisten = \"127.0.0.1:7401\"\ncoordinator = [\"a:1\", \"b:2\"]\ndata-dir = \"d\"\n\
         label = [\"rack=r1\", \"row=7\"]\nslot-bytes = 67108864\nvalue-bytes = \"1MiB\"",
    );
    let arguments::Command::Node(node) = world.load("node").unwrap().arguments.command else { panic!("a node") };
    let serve = node.serve.expect("nobody is ordered anything");
    assert_eq!((serve.id.as_str(), &serve.coordinator[..]), ("n1", &["a:1".to_owned(), "b:2".to_owned()][..]));
    assert_eq!(serve.label, [("rack".to_owned(), "r1".to_owned()), ("row".to_owned(), "7".to_owned())]);
    assert_eq!((serve.limits.slot_bytes.0, serve.limits.sizes.value_bytes.0), (64 << 20, 1 << 20));
    let missing = World::new("[node]\nid = \"n1\"").load("node");
    assert!(matches!(missing, Err(LoadError::CommandLine(_))), "what nobody says is missed");
}

#[test]
fn orders_about_nodes_are_calls_of_a_client() {
    let world = World::new("[client]\nendpoints = [\"a:1\", \"b:2\"]\n[node]\nid = \"n1\"");
    let arguments::Command::Node(node) = world.load("node drain n2").unwrap().arguments.command else { panic!("a node") };
    let (Some(NodeOrder::Drain(order)), None) = (node.order, node.serve) else { panic!("an order") };
    assert_eq!(order.ask.endpoints, ["a:1", "b:2"]);
}

#[test]
fn every_command_that_calls_a_cluster_reads_where_it_is() {
    let world = World::new("").with("CATENA_ENDPOINTS", "a:1,b:2");
    for line in ["get k", "put k v", "del k", "load f", "export", "status", "node evict n2"] {
        let [settings] = &world.load(line).expect(line).settings[..] else { panic!("{line} reads one section") };
        let endpoints = &Section::Client.settings()[0];
        assert_eq!(settings.words(endpoints), ["a:1", "b:2"], "{line}");
        assert_eq!(settings.origin(endpoints).to_string(), "CATENA_ENDPOINTS", "{line}");
    }
}

#[test]
fn a_switch_can_be_set_from_anywhere() {
    let restart = |world: &World| {
        let arguments::Command::Dev(dev) = world.load("dev").unwrap().arguments.command else { panic!("dev") };
        format!("{dev:?}").contains("restart: true")
    };
    assert!(!restart(&World::new("")));
    assert!(restart(&World::new("[dev]\nrestart = true")));
    assert!(!restart(&World::new("[dev]\nrestart = true").with("CATENA_RESTART", "false")));
    assert_eq!(World::new("").with("CATENA_RESTART", "1").refused("dev"), "CATENA_RESTART: restart takes true or false");
}

#[test]
fn what_cannot_be_understood_is_named_with_its_place() {
    for (text, line, parts) in [
        ("[coordinator]\n\ndead_ms = 900", 3, &["[coordinator] has no key dead_ms", "did you mean dead-ms?"][..]),
        ("[coordinator]\nlisten = 'x'", 2, &["listen", "'x'"]),
        ("[coordinator]\nlabel = 'rack=r1'", 2, &["label", "belongs below [node]"]),
        ("[client]\ncolour = 'red'", 2, &["no key colour", "it has endpoints"]),
        ("[node]\ndead-ms = 900", 2, &["belongs below [coordinator]"]),
        ("\n[cordinator]\ndead-ms = 900", 2, &["no section [cordinator]", "[coordinator]"]),
        ("dead-ms = 900", 1, &["dead-ms stands in no section", "[coordinator]"]),
        ("[coordinator]\ndead-ms = '900'", 2, &["dead-ms takes a number, not a text"]),
        ("[coordinator]\nlisten = 7400", 2, &["listen takes a text in quotes, not a number"]),
        ("[node]\nslot-bytes = 1.5", 2, &["slot-bytes takes a number of bytes", "not a fraction"]),
        ("[node]\nlabel = ['rack=r1', 2]", 2, &["label takes texts in quotes"]),
        ("[dev]\nrestart = 'yes'", 2, &["restart takes true or false, not a text"]),
        ("[coordinator]\ndead-ms = 0", 2, &["dead-ms", "0 is not in 1..=3600000"]),
        ("[node]\nvalue-bytes = '1MB'", 2, &["value-bytes", "'1MB'", "KiB"]),
        ("[node]\nid = \"n1", 2, &["this is no TOML (column"]),
        ("[node]\nid = 'n1'\nid = 'n2'", 3, &["this is no TOML", "duplicate key"]),
    ] {
        let world = World::new(text);
        let error = world.refused(COORDINATOR);
        assert!(error.starts_with(&format!("{}:{line}: ", world.file())), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_wrong_variable_is_named_where_it_matters_and_only_there() {
    let world = World::new("").with("CATENA_DEAD_MS", "soon");
    let error = world.refused(COORDINATOR);
    assert!(error.starts_with("CATENA_DEAD_MS: ") && error.contains("'soon'") && error.contains("dead-ms"), "{error}");
    assert!(world.load("get k").is_ok());
    world.refused("dev");
    world.refused("config print");
}

#[test]
fn what_only_one_node_may_be_told_does_not_go_to_those_of_dev() {
    let world = World::new("[node]\nid = 'n1'\nlabel = ['rack=r1']");
    let error = world.refused("dev");
    assert!(error.starts_with(&format!("{}:3: label is for one node", world.file())), "{error}");
    assert!(World::new("").with("CATENA_ADVERTISE", "n1:7401").refused("dev").starts_with("CATENA_ADVERTISE: advertise"));
    assert!(World::new("[node]\nid = 'n1'\nlisten = '127.0.0.1:7401'").load("dev").is_ok(), "dev says so itself");
}

#[test]
fn an_error_about_settings_says_where_they_come_from() {
    let world = World::new("[coordinator]\nlease-ms = 1000").with("CATENA_DEAD_MS", "900");
    let loaded = world.load(&format!("{COORDINATOR} --suspect-ms 300")).unwrap();
    let explained = loaded.settings[0].explain("wrong", &["dead-ms", "lease-ms", "suspect-ms", "rejoin"]);
    assert_eq!(explained, format!("wrong (dead-ms is from CATENA_DEAD_MS, lease-ms is from {}:2)", world.file()));
    assert_eq!(loaded.settings[0].explain("wrong", &["suspect-ms"]), "wrong");
}

#[test]
fn a_command_without_settings_reads_no_file() {
    let world = World::new("nonsense");
    assert!(world.load("config default").is_ok());
    assert!(matches!(world.load("frobnicate"), Err(LoadError::CommandLine(_))));
    assert!(matches!(world.load("coordinator --help"), Err(LoadError::CommandLine(_))));
}
