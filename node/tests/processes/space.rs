//! A small disk that fills up (D3).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use catena_core::CallError;
use catena_net::Refusal;
use catena_net::client::ClientError;
use tempfile::TempDir;

use crate::admin::{get, port_of, state};
use crate::bulk::complaint;
use crate::load::client;
use crate::support::{Dev, Process, alive, block_on, catena, eventually, refused, text};

const MIB: usize = 1 << 20;

/// A file system in memory, with so many MiB.
struct Small(TempDir);

impl Small {
    fn new(mib: usize) -> Self {
        let directory = TempDir::new().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(directory.path());
        let output = mount.output().expect("mount is there");
        assert!(output.status.success(), "this test mounts a tmpfs, for which it has to be root: {}", text(&output.stderr));
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Three nodes on it, each with this reserve.
    fn cluster(&self, reserve: &str) -> Dev {
        let config = self.path().join("catena.toml");
        fs::write(&config, format!("[node]\ndisk-reserve = \"{reserve}\"\n")).expect("a file");
        Dev::start(&self.path().join("data"), &["--config", config.to_str().expect("a path")])
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What is left of a mount goes with the machine; a panic here would hide the test's own.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Whether the disk is full, in the state and the figures of a node that is on it.
fn shown(cluster: &Dev, full: bool) {
    let port = port_of(cluster, "n1");
    eventually("the node knows", || (state(port)["disk"]["full"] == full).then_some(()));
    let figure = format!("catena_storage_disk_full {}\n", u8::from(full));
    eventually("its figure too", || get(port, "/metrics").body.contains(&figure).then_some(()));
}

#[test]
fn puts_are_refused_before_the_disk_is_full_and_taken_again_when_there_is_room() {
    // What three nodes take until they know that the disk is full, 200 MiB, may go to tables once more; after that, each keeps a
    // journal of up to 64 MB, as fjall begins no other before. The reserve has room for the first, the ballast for all of it.
    let disk = Small::new(896);
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 512 * MIB]).expect("there is room");
    let cluster = disk.cluster("256MiB");
    assert!(cluster.run(&["put", "before", "value"]).status.success());

    let (lines, mut input) = std::io::pipe().expect("a pipe");
    let mut load = Process::spawn(catena().args(["load", "-", "--endpoints", &cluster.endpoint()]).stdin(lines));
    thread::spawn(move || {
        let value = "v".repeat(64 << 10);
        (1..10_000).try_for_each(|line| writeln!(input, "{{\"key\":\"key {line}\",\"value\":\"{value}\"}}"))
    });
    let error = eventually("the disk is full", || complaint(&load));
    assert_eq!(load.wait().code(), Some(5), "surely not executed: {error}");
    assert!(error.contains("nearly full") && error.contains("--from-line"), "{error}");

    let error = refused(&cluster.run(&["put", "more", "value"]), 5);
    assert!(error.contains("nearly full"), "{error}");
    assert_eq!(cluster.run(&["get", "before"]).stdout, b"value");
    assert!(cluster.run(&["del", "before"]).status.success());
    for name in ["n1", "n2", "n3"] {
        assert!(alive(cluster.pid_of(name)), "{name} goes on");
    }
    shown(&cluster, true);
    fs::remove_file(&ballast).expect("it is there");
    eventually("room again", || cluster.run(&["put", "more", "value"]).status.success().then_some(()));
    shown(&cluster, false);
    assert!(cluster.stop().success());
}

/// Nobody makes room beside the store, and nothing is written to it but deletes.
#[test]
fn what_deletes_free_on_a_full_disk_is_given_back() {
    const CALLERS: u32 = 32;
    let disk = Small::new(384);
    let cluster = disk.cluster("192MiB");
    let full = |error: &ClientError| matches!(error, ClientError::Refused(Refusal::Call(CallError::DiskFull { .. })));
    block_on(async {
        let client = client(&cluster.endpoint()).await;
        let callers = (0..CALLERS).map(|caller| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut keys = (0_u32..).map(|number| format!("{caller}-{number}"));
                let mut written = Vec::new();
                let error = loop {
                    let key = keys.next().expect("there is no end of them");
                    match client.put(key.clone(), vec![b'v'; 900], Vec::new()).await {
                        Ok(_) => written.push(key),
                        Err(error) => break error,
                    }
                };
                assert!(full(&error), "{error}");
                for key in written {
                    client.delete(key, Vec::new()).await.expect("deletes are taken");
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("no panic");
        }
    });
    eventually("room again", || cluster.run(&["put", "more", "value"]).status.success().then_some(()));
    for name in ["n1", "n2", "n3"] {
        assert!(alive(cluster.pid_of(name)), "{name} goes on");
    }
}
