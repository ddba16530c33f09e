//! A browser without a window, over the `WebDriver` protocol: JSON by HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Process, eventually, free_ports};

/// Nothing that the browser does by itself, and nothing that it needs a screen or another user for.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A session of its own; ends when it is dropped.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one; fails with advice when there is none on this machine.
    pub(crate) fn start() -> Self {
        const ADVICE: &str = "this test needs chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)";
        let found = Command::new("chromedriver").arg("--version").output();
        assert!(found.is_ok_and(|output| output.status.success()), "{ADVICE}");
        let port = free_ports(1);
        let driver = Process::spawn(Command::new("chromedriver").arg(format!("--port={port}")));
        eventually("chromedriver", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        let profile = TempDir::new().expect("a directory");
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let wish = json!({ "goog:loggingPrefs": { "browser": "ALL" }, "goog:chromeOptions": { "args": flags } });
        let made = call(port, "POST", "/session", &json!({ "capabilities": { "alwaysMatch": wish } }));
        let session = made["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made} ({ADVICE})")).to_owned();
        Self { port, session, _driver: driver, _profile: profile }
    }

    /// Goes to a page, and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Runs a script in the page; what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the element of this id, if it is shown.
    pub(crate) fn text(&self, id: &str) -> Option<String> {
        let text = self.run(&format!("const it = document.getElementById('{id}'); return it.hidden ? null : it.textContent"));
        text.as_str().map(str::to_owned)
    }

    /// Waits for a script's result that fits.
    pub(crate) fn await_result(&self, what: &str, script: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        eventually(what, || {
            let result = self.run(script);
            if result != last {
                println!("{what}: {result}");
                last = result.clone();
            }
            Some(result).filter(|result| fits(result))
        })
    }

    /// What was said on its console since it was asked last.
    pub(crate) fn console(&self) -> Vec<String> {
        let said = self.post("se/log", &json!({ "type": "browser" }));
        said.as_array().expect("lines").iter().map(Value::to_string).collect()
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let value = call(self.port, "POST", &format!("/session/{}/{command}", self.session), body);
        assert!(value.get("error").is_none(), "{command} {body}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its session.
        call(self.port, "DELETE", &format!("/session/{}", self.session), &json!({}));
    }
}

/// The `value` of the driver's answer.
fn call(port: u16, method: &str, path: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the driver listens");
    stream.set_read_timeout(Some(2 * PATIENCE)).expect("a time limit");
    let body = body.to_string();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("it takes a request");
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).expect("the driver answers");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body).expect("all of it");
    serde_json::from_slice::<Value>(&body).expect("JSON")["value"].take()
}
