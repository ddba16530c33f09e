//! Admin HTTP with the real binary: whether a process is alive and ready, its figures, its state.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{ADMIN, Dev, PATIENCE, Process, catena, eventually, free_ports, refused, signal, text};

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    kind: String,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

fn ask(port: u16, method: &str, path: &str) -> Answer {
    let mut stream = connect(port);
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text, and then the end");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    Answer { status, kind: kind.to_owned(), head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    ask(port, "GET", path)
}

pub(crate) fn state(port: u16) -> Value {
    let answer = get(port, "/admin/v1/state");
    assert_eq!((answer.status, answer.kind.as_str()), (200, "application/json"), "{}", answer.body);
    assert_eq!(answer.body.matches("\"process\":").count(), 1, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("JSON")
}

/// Where a process of a cluster has its admin HTTP.
pub(crate) fn port_of(cluster: &Dev, who: &str) -> u16 {
    let place = cluster.rows.iter().position(|row| row.who == who).expect("a process of the cluster");
    cluster.port + ADMIN + u16::try_from(place).expect("a few rows")
}

fn await_status(port: u16, path: &str, status: u16) -> Answer {
    eventually(&format!("{status} at {path}"), || Some(get(port, path)).filter(|answer| answer.status == status))
}

fn events(state: &Value) -> &[Value] {
    state["events"].as_array().expect("events")
}

fn await_event(port: u16, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let found = || events(&state(port)).iter().find(|event| event["what"] == what && fits(event)).cloned();
    eventually(&format!("an event {what}"), found)
}

/// A figure: its name with its labels, and its value.
type Sample = (String, String);

/// All figures; each belongs to a family that is described.
fn samples(port: u16) -> Vec<Sample> {
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.kind.starts_with("application/openmetrics-text"), "{}", answer.kind);
    assert!(answer.body.ends_with("# EOF\n"), "it is whole");
    let described = families(&answer.body);
    let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples: Vec<Sample> = lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            assert!(value.parse::<f64>().is_ok(), "no number: {line}");
            (name.to_owned(), value.to_owned())
        })
        .collect();
    for (name, _) in &samples {
        let family = name.split('{').next().expect("a name");
        assert!(described.iter().any(|described| family.starts_with(described)), "{family} is not described");
        assert!(!name.contains("slot="), "no label has as many values as there are slots: {name}");
    }
    samples
}

/// The names of all families.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().expect("a name").to_owned()).collect()
}

/// The sum over all samples of a name with these labels, which are whole numbers.
fn sum(samples: &[Sample], name: &str, label: &str) -> u64 {
    let of_name = samples.iter().filter(|(sample, _)| sample.split('{').next() == Some(name) && sample.contains(label));
    of_name.map(|(sample, value)| value.parse::<u64>().unwrap_or_else(|_| panic!("no whole number: {sample} {value}"))).sum()
}

#[test]
fn every_process_of_a_cluster_that_runs_is_alive_and_ready() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "2"]);
    for row in &cluster.rows {
        for path in ["/livez", "/readyz"] {
            let answer = get(port_of(&cluster, &row.who), path);
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path} of {}", row.who);
        }
    }
}

#[test]
fn a_node_that_no_coordinator_has_let_in_is_alive_and_says_why_it_is_not_ready() {
    let directory = TempDir::new().unwrap();
    let port = free_ports(3);
    let address = |offset: u16| format!("127.0.0.1:{}", port + offset);
    let mut command = catena();
    command.args(["node", "--id", "n1", "--listen", &address(0), "--admin", &address(1), "--coordinator", &address(2)]);
    let _node = Process::spawn(command.arg("--data-dir").arg(directory.path().join("n1")));
    eventually("its admin HTTP", || TcpStream::connect(address(1)).ok());
    assert_eq!(get(port + 1, "/livez").status, 200);
    let answer = await_status(port + 1, "/readyz", 503);
    assert!(answer.body.contains("no coordinator has let it in"), "{}", answer.body);
    let answer = get(port + 1, "/admin/v1/state");
    let said: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((answer.status, &said["ready"]), (503, &Value::Bool(false)), "{said}");
    assert_eq!(sum(&samples(port + 1), "catena_storage_ready", ""), 0);
}

#[test]
fn a_node_is_not_ready_while_it_has_no_lease() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "2"]);
    let port = port_of(&cluster, "n1");
    signal(cluster.pid_of("coordinator"), Signal::STOP);
    let answer = await_status(port, "/readyz", 503);
    assert!(answer.body.contains("lease"), "{}", answer.body);
    assert_eq!(get(port, "/livez").status, 200, "it is alive all the same");
    await_event(port, "lease-lost", |_| true);
    assert_eq!(sum(&samples(port), "catena_storage_lease_held", ""), 0);
    signal(cluster.pid_of("coordinator"), Signal::CONT);
    await_status(port, "/readyz", 200);
    let lost = await_event(port, "lease-lost", |_| true)["number"].as_u64();
    await_event(port, "lease-held", |event| event["number"].as_u64() > lost);
}

#[test]
fn figures_of_nodes_count_what_clients_do() {
    const PUTS: u32 = 20;
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "4"]);
    for number in 0..PUTS {
        let put = cluster.run(&["put", &format!("key {number}"), "value"]);
        assert!(put.status.success(), "{}", text(&put.stderr));
    }
    assert!(cluster.run(&["get", "key 1"]).status.success());
    assert_eq!(cluster.run(&["put", "key 1", "again", "--if-absent"]).status.code(), Some(4));
    let nodes = ["n1", "n2", "n3"].map(|who| port_of(&cluster, who));
    let total = |name: &str, label: &str| nodes.iter().map(|port| sum(&samples(*port), name, label)).sum::<u64>();
    let puts = u64::from(PUTS);
    assert_eq!(total("catena_storage_writes_total", "result=\"ok\""), puts);
    // `dev` itself has found out by writes that cannot be done whether every slot is served.
    assert!(total("catena_storage_condition_failures_total", "") >= 5);
    assert!(total("catena_storage_reads_total", "result=\"ok\"") >= 1);
    assert_eq!(total("catena_storage_write_wait_seconds_count", ""), puts);
    // Each session is an entry, too; each entry goes from the head to the middle, and on to the tail.
    assert!(total("catena_storage_forwards_total", "") >= 2 * puts);
    assert!(total("catena_storage_sync_wait_seconds_count", "") >= 3);
    eventually("every replica to apply everything", || (total("catena_storage_commits_total", "") >= 3 * puts).then_some(()));
    assert_eq!(total("catena_storage_replicas", "role=\"head\""), 4);
    assert_eq!(total("catena_storage_replicas", ""), 12);
    assert_eq!(total("catena_storage_links", ""), 6);
    for name in ["catena_storage_ambiguous_writes_total", "catena_storage_backpressure_total", "catena_storage_writes_in_flight"]
    {
        assert_eq!(total(name, ""), 0, "{name}");
    }
    assert!(total("catena_grpc_requests_total", "method=\"Kv/") >= puts);
}

#[test]
fn figures_of_a_coordinator_count_what_becomes_of_its_nodes() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "4", "--replicas", "3", "--slots", "4"]);
    let port = port_of(&cluster, "coordinator");
    let before = samples(port);
    for (name, label, value) in [
        ("catena_coordinator_leading", "", 1),
        ("catena_coordinator_nodes", "health=\"healthy\"", 4),
        ("catena_coordinator_nodes", "", 4),
        ("catena_coordinator_chains", "", 4),
        ("catena_coordinator_short_chains", "", 0),
        ("catena_coordinator_commands_total", "command=\"register\"", 4),
        ("catena_coordinator_dead_nodes_total", "", 0),
        ("catena_coordinator_connected_nodes", "", 4),
    ] {
        assert_eq!(sum(&before, name, label), value, "{name} {label}");
    }
    assert!(sum(&before, "catena_coordinator_liveness_evaluations_total", "") > 0);
    assert!(sum(&before, "catena_coordinator_commit_duration_seconds_count", "") > 0);
    let dispatched = |samples: &[Sample]| sum(samples, "catena_coordinator_dispatch_duration_seconds_count", "") > 0;
    eventually("a decision that is carried out", || dispatched(&samples(port)).then_some(()));
    signal(cluster.pid_of("n2"), Signal::KILL);
    let chains =
        cluster.await_status("four nodes' work by three", |status| status.is_whole(3) && status.node("n2")["replicas"] == 0);
    assert_eq!(chains.node("n2")["health"], "dead");
    let after = samples(port);
    assert_eq!(sum(&after, "catena_coordinator_dead_nodes_total", ""), 1);
    assert_eq!(sum(&after, "catena_coordinator_nodes", "health=\"dead\""), 1);
    let joins = sum(&after, "catena_coordinator_chain_changes_total", "change=\"join-done\"");
    assert!(joins >= 1 && sum(&after, "catena_coordinator_chain_changes_total", "change=\"member-left\"") == joins, "{joins}");
    let nodes = ["n1", "n3", "n4"].map(|who| samples(port_of(&cluster, who)));
    let caught_up: u64 = nodes.iter().map(|node| sum(node, "catena_storage_catch_ups_total", "result=\"done\"")).sum();
    assert_eq!(caught_up, joins);
}

#[test]
fn the_manual_names_every_family() {
    let manual = include_str!("../../../docs/operations.md");
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    let mut named = BTreeSet::new();
    for who in ["coordinator", "n1"] {
        named.extend(families(&get(port_of(&cluster, who), "/metrics").body));
    }
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|family| !manual.contains(&format!("`{family}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing of {missing:#?}");
}

#[test]
fn states_tell_of_chains_and_of_what_happened_to_a_node_that_dies() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--slots", "2"]);
    let (coordinator, node) = (port_of(&cluster, "coordinator"), port_of(&cluster, "n1"));
    assert!(cluster.run(&["put", "key", "value"]).status.success());
    signal(cluster.pid_of("n3"), Signal::KILL);
    await_event(coordinator, "health", |event| event["node_id"] == "n3" && event["detail"] == "dead");
    await_event(coordinator, "chain", |event| event["detail"].as_str().is_some_and(|detail| detail.starts_with("member-left")));
    await_event(node, "link-down", |event| event["node_id"] == "n3");
    await_event(node, "chain-adopted", |event| event["chain_version"].as_u64() > Some(1));
    let told = eventually("chains without n3", || {
        let told = state(coordinator);
        let chains = told["routing"]["chains"].as_array().expect("chains").clone();
        let without = |chain: &Value| !chain["members"].as_array().expect("members").iter().any(|member| member == "n3");
        chains.iter().all(without).then_some(told)
    });
    assert_eq!((&told["process"], &told["ready"], &told["leading"]), (&"coordinator".into(), &true.into(), &true.into()));
    assert_eq!(told["pending"]["waits"].as_object().expect("waits").len(), 2, "there is nobody to take its place");
    let nodes = told["nodes"].as_array().expect("nodes");
    assert_eq!((nodes.len(), &nodes[2]["health"]), (3, &"dead".into()));
    assert_eq!(nodes[2]["suspect_at_ns"].as_array().map(Vec::len), Some(1), "it became suspect once");
    assert!(nodes[0]["heartbeat"]["silence_ms"].as_u64() < nodes[2]["heartbeat"]["silence_ms"].as_u64());
    assert_eq!(nodes[0]["reports"].as_array().map(Vec::len), Some(2), "{}", nodes[0]);
    let told = eventually("a node in both chains", || {
        Some(state(node)).filter(|told| told["replicas"][0]["members"].as_array().is_some_and(|members| members.len() == 2))
    });
    let replicas = told["replicas"].as_array().expect("replicas");
    assert_eq!(replicas.len(), 2);
    let links = told["links"].as_array().expect("links");
    assert_eq!(links.iter().map(|link| link["up"] == true).collect::<Vec<_>>(), [true, false], "{links:?}");
    let numbers: Vec<u64> = events(&told).iter().map(|event| event["number"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted() && !numbers.is_empty(), "{numbers:?}");
}

#[test]
fn orders_are_events_and_so_is_that_a_node_is_drained() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "3", "--replicas", "2", "--slots", "4"]);
    let port = port_of(&cluster, "coordinator");
    let drained = cluster.run(&["node drain", "n2"]);
    assert!(drained.status.success(), "{}", text(&drained.stderr));
    await_event(port, "drained", |event| event["node_id"] == "n2");
    assert!(cluster.run(&["node readmit", "n2"]).status.success());
    assert!(cluster.run(&["node evict", "n2"]).status.success());
    await_event(port, "evict-ordered", |event| event["node_id"] == "n2");
    let told = state(port);
    let of_n2 = events(&told).iter().filter(|event| event["node_id"] == "n2");
    let what: Vec<&str> = of_n2.filter_map(|event| event["what"].as_str()).filter(|what| *what != "health").collect();
    assert_eq!(what, ["registered", "drain-ordered", "drained", "readmit-ordered", "evicted", "evict-ordered"]);
    let orders = samples(port);
    for command in ["drain", "evict", "readmit"] {
        assert_eq!(sum(&orders, "catena_coordinator_commands_total", &format!("command=\"{command}\"")), 1, "{command}");
    }
    assert_eq!(sum(&orders, "catena_coordinator_refused_commands_total", ""), 0);
    assert_eq!(sum(&orders, "catena_coordinator_evictions_total", "reason=\"ordered\""), 1);
}

#[test]
fn other_paths_and_methods_are_refused() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    for who in ["coordinator", "n1"] {
        let port = port_of(&cluster, who);
        for path in ["/admin", "/admin/v1", "/metrics/", "/livez/x", "/page/", "/page/../main.js", "/../etc/passwd"] {
            assert_eq!(get(port, path).status, 404, "{path}");
        }
        assert_eq!(ask(port, "POST", "/admin/v1/state").status, 405);
    }
}

#[test]
fn a_coordinator_has_a_page_that_takes_nothing_from_elsewhere_and_a_node_says_where_it_is() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    let page = get(port_of(&cluster, "coordinator"), "/");
    assert_eq!((page.status, page.kind.as_str()), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe") && !policy.contains("//"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let mut files: Vec<String> = links(&page.body);
    let mut seen = BTreeSet::new();
    while let Some(path) = files.pop() {
        if seen.insert(path.clone()) {
            let file = get(port_of(&cluster, "coordinator"), &path);
            assert_eq!((file.status, file.header("content-security-policy")), (200, policy), "{path}");
            assert!(!file.body.contains("innerHTML") && !file.body.contains("https://"), "{path}");
            files.extend(links(&file.body));
        }
    }
    assert!(seen.len() >= 8, "the style, the icon and the scripts: {seen:?}");
    let node = get(port_of(&cluster, "n1"), "/");
    assert_eq!((node.status, node.kind.as_str()), (200, "text/plain; charset=utf-8"));
    for path in ["/livez", "/readyz", "/metrics", "/admin/v1/state", "coordinator"] {
        assert!(node.body.contains(path), "{path} is missing: {}", node.body);
    }
}

/// The files of the page that a file of it names.
fn links(text: &str) -> Vec<String> {
    let quoted = text.split('"').skip(1).step_by(2);
    let paths = quoted.filter_map(|word| match word.strip_prefix("./") {
        Some(name) => Some(format!("/page/{name}")),
        None => word.starts_with("/page/").then(|| word.to_owned()),
    });
    paths.collect()
}

#[test]
fn rubbish_and_clients_that_never_finish_do_no_harm() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    for who in ["coordinator", "n1"] {
        let port = port_of(&cluster, who);
        let half: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut stream = connect(port);
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").expect("it is taken");
                stream
            })
            .collect();
        let long_line = vec![b'a'; 1 << 20];
        for rubbish in [&b"\0\xff\x16\x03\x01 no HTTP at all\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &long_line] {
            let mut stream = connect(port);
            // It may be closed before all of it is written.
            let _ = stream.write_all(rubbish);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
        }
        assert_eq!(get(port, "/readyz").status, 200);
        assert!(cluster.run(&["put", "key", "value"]).status.success());
        drop(half);
    }
}

#[test]
fn a_client_that_never_finishes_is_shown_out() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "1"]);
    let mut stream = connect(port_of(&cluster, "n1"));
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").expect("it is taken");
    let mut answer = Vec::new();
    // An error is an end as well; a time limit is none.
    let end = stream.read_to_end(&mut answer);
    assert!(end.is_ok_and(|read| read == 0) || answer.is_empty(), "{}", text(&answer));
    assert_eq!(get(port_of(&cluster, "n1"), "/livez").status, 200);
}

#[test]
fn a_taken_admin_port_is_named_and_nothing_is_created() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let listen = format!("127.0.0.1:{}", free_ports(1));
    let node = ["node", "--id", "n1", "--coordinator", &listen];
    for process in [&["coordinator"][..], &node] {
        let mut command = catena();
        command.args(process).args(["--listen", &listen, "--admin", &address, "--data-dir"]).arg(&data);
        let error = refused(&command.env("CATENA_LOG", "off").output().unwrap(), 1);
        assert!(error.contains(&address) && error.contains("taken"), "{error}");
        assert!(!data.exists(), "nothing was created");
    }
}

#[test]
fn a_development_cluster_says_where_its_page_is_and_refuses_a_taken_admin_port() {
    let directory = TempDir::new().unwrap();
    let port = free_ports(8);
    {
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port + ADMIN + 1)).unwrap();
        let error = refused(&Dev::command(directory.path(), port).output().unwrap(), 1);
        assert!(error.contains(&(port + ADMIN + 1).to_string()) && error.contains("admin HTTP of n1"), "{error}");
    }
    let process = Process::spawn(Dev::command(directory.path(), port).args(["--nodes", "1", "--slots", "1"]));
    let said = crate::support::line_with(&process.stdout, "in a browser");
    assert!(said.ends_with(&format!("http://127.0.0.1:{}/", port + ADMIN)), "{said}");
}
