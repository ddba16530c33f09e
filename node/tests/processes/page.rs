//! The page for people, in a browser.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin::get;
use crate::browser::Browser;
use crate::support::{ADMIN, Dev, PATIENT, eventually, signal, text};

/// Verdict, whole chains, those under repair, what the page says of n2, and whether it is still the page that was opened.
const SEEN: &str = "
    const text = (selector) => document.querySelector(selector)?.textContent;
    return {
        verdict: text('#verdict-word'), whole: text('#tile-whole b'), repair: text('#tile-repair b'),
        n2: text('[data-node=n2] .health'), joins: document.querySelectorAll('[data-kind=joining]').length,
        events: text('#events'), problems: text('#problems'), same: window.marked === true,
    }";

fn page(cluster: &Dev) -> String {
    format!("http://127.0.0.1:{}/", cluster.port + ADMIN)
}

#[test]
fn a_dead_node_the_repair_and_its_end_are_seen_without_a_reload() {
    const SLOTS: &str = "16";
    let directory = TempDir::new().unwrap();
    // So slow that the page, which looks once a second, sees it: 80 values of 16 KiB, three quarters of them on n2.
    let settings = format!("{PATIENT}copy-bytes-per-s = \"20KiB\"\n");
    let cluster = Dev::configured(directory.path(), &settings, &["--nodes", "4", "--replicas", "3", "--slots", SLOTS]);
    let value = "x".repeat(16 << 10);
    for number in 0..80 {
        let put = cluster.run(&["put", &format!("key {number}"), &value]);
        assert!(put.status.success(), "{}", text(&put.stderr));
    }
    let browser = Browser::start();
    browser.open(&page(&cluster));
    let whole = |seen: &Value| seen["verdict"] == "Whole" && seen["whole"] == SLOTS && seen["repair"] == "0";
    browser.await_result("a whole cluster", SEEN, |seen| whole(seen) && seen["n2"] == "healthy" && seen["problems"] == "");
    browser.run("window.marked = true");
    signal(cluster.pid_of("n2"), Signal::KILL);
    let repairing = |seen: &Value| seen["verdict"] == "Under repair" && seen["repair"] != "0" && seen["joins"] != 0;
    let seen = browser.await_result("a repair", SEEN, |seen| repairing(seen) && seen["n2"] == "dead");
    assert!(seen["problems"].as_str().is_some_and(|text| text.contains("n2 is dead")), "{seen}");
    let seen = browser.await_result("its end", SEEN, |seen| whole(seen) && seen["joins"] == 0);
    assert_eq!((&seen["n2"], &seen["same"]), (&json!("dead"), &json!(true)), "{seen}");
    // What began it is not lost among the changes of chains.
    browser.run("document.getElementById('with-chains').click()");
    let events = browser.text("events").expect("events");
    assert!(events.contains("n2 is dead") && !events.contains("slot"), "{events}");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn a_lost_connection_is_shown_and_so_is_its_return() {
    let directory = TempDir::new().unwrap();
    let cluster = Dev::start(directory.path(), &["--nodes", "1", "--slots", "2"]);
    let browser = Browser::start();
    browser.open(&page(&cluster));
    let lost = "return document.getElementById('lost').hidden ? null : document.getElementById('lost').textContent";
    let live = |verdict: &Value| verdict == "Whole";
    let verdict = "return document.getElementById('verdict-word').textContent";
    browser.await_result("a whole cluster", verdict, live);
    assert_eq!(browser.text("lost"), None);
    signal(cluster.pid_of("coordinator"), Signal::STOP);
    let said = browser.await_result("a loss", lost, |said| !said.is_null());
    assert!(said.as_str().is_some_and(|said| said.starts_with("Connection lost") && said.contains("as of")), "{said}");
    signal(cluster.pid_of("coordinator"), Signal::CONT);
    browser.await_result("its return", lost, Value::is_null);
    browser.await_result("a whole cluster", verdict, live);
}

/// The quickest of some tries: other tests keep the machine busy.
fn quickest(times: impl Iterator<Item = Duration>) -> Duration {
    times.min().expect("some tries")
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// How long a state takes that is another than the last: the same is kept for a moment.
fn another_state(port: u16, last: &mut String) -> Option<Duration> {
    let began = Instant::now();
    let answer = get(port, "/admin/v1/state");
    let took = began.elapsed();
    assert_eq!(answer.status, 200);
    (answer.body != *last).then(|| {
        *last = answer.body;
        took
    })
}

#[test]
fn four_thousand_slots_are_shown_as_quickly_as_a_few() {
    const BOUND: Duration = Duration::from_millis(200);
    const OPENING: Duration = Duration::from_secs(3);
    let directory = TempDir::new().unwrap();
    let cluster = Dev::configured(directory.path(), PATIENT, &["--nodes", "3", "--replicas", "3", "--slots", "4096"]);
    cluster.await_status("a whole cluster", |status| status.is_whole(3));
    let port = cluster.port + ADMIN;
    let mut last = String::new();
    let state = quickest((0..5).map(|_| eventually("a state that is not the last again", || another_state(port, &mut last))));
    println!("/admin/v1/state: {} bytes", last.len());
    assert!(state <= BOUND, "/admin/v1/state took {state:?}");
    let status = quickest((0..5).map(|_| timed(|| assert!(cluster.run(&["status"]).status.success()))));
    assert!(status <= BOUND, "catena status took {status:?}");
    let browser = Browser::start();
    let open = || {
        browser.open(&page(&cluster));
        browser.await_result("all chains", SEEN, |seen| seen["verdict"] == "Whole" && seen["whole"] == "4,096");
    };
    let opened = quickest((0..3).map(|_| timed(open)));
    println!("/admin/v1/state in {state:.1?}, catena status in {status:.1?}, the page in {opened:.1?}");
    assert!(opened <= OPENING, "the page took {opened:?}");
    // Elements that are made while nothing changes, over some answers, and the quickest drawing.
    browser.run(
        "window.made = 0; window.answers = 0; window.drawn = [];
         new MutationObserver((changes) => {
             for (const change of changes) for (const node of change.addedNodes) window.made += node.nodeType === 1 ? 1 : 0;
         }).observe(document.body, { childList: true, subtree: true });
         new MutationObserver(() => {
             window.answers += 1;
             window.drawn.push(Number(/drawn in (\\d+) ms/.exec(document.getElementById('figures').textContent)[1]));
         }).observe(document.getElementById('figures'), { childList: true });",
    );
    browser.await_result("some answers", "return window.answers", |answers| answers.as_u64() >= Some(4));
    println!("drawings, ms: {}; {}", browser.run("return window.drawn"), browser.text("figures").expect("figures"));
    assert_eq!(browser.run("return window.made"), 0);
    let drawn = browser.run("return Math.min(...window.drawn)").as_u64().expect("a time");
    assert!(u128::from(drawn) <= BOUND.as_millis(), "drawing took {drawn} ms");
    let elements = browser.run("return document.querySelectorAll('*').length").as_u64().expect("a number");
    assert!(elements < 1000, "{elements} elements");
    let rows = "return [...document.querySelectorAll('.chain .slot')].map((slot) => slot.textContent)";
    browser.run("document.querySelector('#chains-pager button:last-of-type').click()");
    assert_eq!(browser.run(rows).as_array().map(|rows| rows[0].clone()), Some(json!("20")), "the second page");
    let filter = "const filter = document.getElementById('filter'); filter.value = ";
    browser.run(&format!("{filter}'4090-5000'; filter.dispatchEvent(new Event('input'))"));
    assert_eq!(browser.run(rows), json!(["4090", "4091", "4092", "4093", "4094", "4095"]));
    assert_eq!(browser.console(), Vec::<String>::new());
}
