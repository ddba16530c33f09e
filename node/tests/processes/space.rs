//! A small disk that fills up (D3).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use crate::admin::{get, port_of, state};
use crate::support::{Dev, Process, alive, catena, eventually, refused, text};

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
    let (disk, other) = (Small::new(512), TempDir::new().expect("a directory"));
    let (ballast, config) = (disk.path().join("ballast"), other.path().join("catena.toml"));
    fs::write(&ballast, vec![1; 128 * MIB]).expect("there is room");
    fs::write(&config, "[node]\ndisk-reserve = \"160MiB\"\n").expect("a file");
    let cluster = Dev::start(&disk.path().join("data"), &["--config", config.to_str().expect("a path")]);
    assert!(cluster.run(&["put", "before", "value"]).status.success());

    let (lines, mut input) = std::io::pipe().expect("a pipe");
    let mut load = Process::spawn(catena().args(["load", "-", "--endpoints", &cluster.endpoint()]).stdin(lines));
    thread::spawn(move || {
        let value = "v".repeat(64 << 10);
        (1..10_000).try_for_each(|line| writeln!(input, "{{\"key\":\"key {line}\",\"value\":\"{value}\"}}"))
    });
    let error = eventually("the disk is full", || load.stderr.try_recv().ok());
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
