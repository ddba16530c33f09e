//! The page of a replay in a real browser. Needs Debian's `chromium`.
#![cfg(not(madsim))]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use catena_core::mutants::Mutant;
use catena_sim::replay::{Look, Replayed, Subject, shrink};
use catena_sim::{Printing, Scale};

const PAGE: Look = Look { printing: Printing::Off, until: None, page: true };

/// A directory of this test that is gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("cargo's directory for tests is there");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a browser that is slow to end may still write there
    }
}

/// Opens a page in a browser without a window. What the document has become, and what was said on its console.
fn opened(name: &str, page: &str) -> (String, String) {
    let place = Place::new(name);
    let file = place.0.join("page.html");
    std::fs::write(&file, page).expect("the directory was just made");
    let Output { status, stdout, stderr } = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--window-size=1500,950", "--dump-dom"])
        .arg(format!("--user-data-dir={}", place.0.join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap_or_else(|error| panic!("chromium cannot be run ({error}): apt-get install chromium"));
    let console = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{status}: {console}");
    (String::from_utf8_lossy(&stdout).into_owned(), console)
}

/// An attribute of the body.
fn figure<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("data-{name}=\"")).unwrap_or_else(|| panic!("no data-{name}: {document:.3000}"));
    rest.split_once('"').expect("attributes end").0
}

fn looks_right(name: &str, replayed: &Replayed) -> String {
    let page = replayed.page.as_ref().expect("it was asked for");
    for outside in ["http://", "https://", "src=", "href="] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
    let (_, rest) = page.split_once("id=\"data\">").expect("the data is embedded");
    let (json, _) = rest.split_once("</script>").expect("the data ends");
    let data: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let count = |list: &str| data[list].as_array().expect("a list").len();

    let (document, console) = opened(name, page);
    assert!(!console.contains("CONSOLE"), "the browser complains: {console}");
    assert!(!document.contains("data-error"), "a script has failed: {}", figure(&document, "error"));
    assert_eq!(figure(&document, "ready"), "yes");
    assert_eq!(figure(&document, "notes"), count("notes").to_string());
    assert_eq!(figure(&document, "messages"), count("messages").to_string());
    let rows: usize = figure(&document, "rows").parse().expect("a number");
    assert!(rows > 10, "{rows} rows are shown of {} notes and {} messages", count("notes"), count("messages"));
    document
}

#[test]
fn a_shrunk_bug_is_shown_with_what_was_violated() {
    let small = shrink(2, Scale::default(), Some(Mutant::ReadWithoutLease), std::time::Duration::from_mins(1), |_, _| {});
    let small = small.expect("it fails");
    let replayed = Subject::file(&small.file).expect("just written").replay(PAGE, "the line that replays it");
    let document = looks_right("shrunk", &replayed);
    let sentence = replayed.violation.expect("it fails").sentence;
    let shown = document.split_once("id=\"violation\"").expect("there is a place for it").1;
    assert!(shown.starts_with(&format!("><b>serving (R1): </b>{sentence}</p>")), "{shown:.500}");
    assert!(document.contains("ReadWithoutLease breaks rule R1"), "what was planted is named");
    assert!(document.contains("the line that replays it"));
    assert_ne!(figure(&document, "highlighted"), "0", "the page begins where it was violated, and marks it");
    let story = document.split_once("id=\"story\"").expect("there is a place for it").1;
    let told = story.split_once("</ol>").expect("it ends").0.matches("<li").count();
    assert!((small.events + 1..=small.events + 4).contains(&told), "{told} lines about {} events", small.events);
}

#[test]
fn a_whole_seed_of_thousands_of_messages_is_drawn_quickly() {
    let replayed = Subject::seed(3, Scale::default(), None).replay(PAGE, "");
    assert_eq!(replayed.violation, None);
    let document = looks_right("whole", &replayed);
    let messages: usize = figure(&document, "messages").parse().expect("a number");
    assert!(messages > 5_000, "{messages}");
    let took: f64 = figure(&document, "took").parse().expect("milliseconds");
    assert!(took < 5_000.0, "laid out and drawn in {took} ms");
    assert_eq!(figure(&document, "highlighted"), "0", "nothing was violated");
}
