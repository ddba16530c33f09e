//! What this machine lets us do: namespaces of our own, in which networks are cut and small disks mounted, and which go with
//! this process, however it ends.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Set where this process has namespaces of its own; says which.
const INSIDE: &str = "CATENA_SIM_NAMESPACES";

/// Mounts, processes and the network of our own. The first process ends with this one, and all others with the first.
const ALL: &[&str] = &["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// The same with the network of the machine.
const WITHOUT_NETWORK: &[&str] = &["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// What networks need.
const TRY_NETWORK: &str = "mount -t tmpfs none /run && ip link set lo up && ip link add probe type bridge && \
    ip netns add probe && ip link add probe1 type veth peer name probe2 netns probe && \
    ip -n probe rule add pref 10 from 192.0.2.1 blackhole";

/// What small disks need.
const TRY_DISK: &str = "mount -t tmpfs -o size=1m none /run";

/// What cannot be had here, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Means {
    pub(super) no_network: Option<String>,
    pub(super) no_disk: Option<String>,
}

/// Puts this process into namespaces of its own, as far as that is possible: starts it anew there, if so.
///
/// # Errors
/// When it cannot be started anew.
pub(super) fn enter() -> io::Result<Means> {
    match std::env::var(INSIDE).as_deref() {
        Ok("network") => return Ok(Means::default()),
        Ok(why) => return Ok(Means { no_network: Some(why.to_owned()), no_disk: None }),
        Err(_) => {}
    }
    let no_network = match attempt(ALL, TRY_NETWORK) {
        Ok(()) => return Err(start_anew(ALL, "network")),
        Err(why) => why,
    };
    match attempt(WITHOUT_NETWORK, TRY_DISK) {
        Ok(()) => Err(start_anew(WITHOUT_NETWORK, &no_network)),
        Err(why) => Ok(Means { no_network: Some(no_network), no_disk: Some(why) }),
    }
}

/// Whether `script` runs in such namespaces; if not, why.
fn attempt(namespaces: &[&str], script: &str) -> Result<(), String> {
    let output = Command::new("unshare").args(as_root()).args(namespaces).args(["sh", "-c", script]).output();
    let output = output.map_err(|error| format!("unshare does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().next().unwrap_or("unshare fails without a word").to_owned())
}

/// Root in there, whoever this is.
fn as_root() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] }
}

/// Does not return, but for an error.
fn start_anew(namespaces: &[&str], inside: &str) -> io::Error {
    let this = match std::env::current_exe() {
        Ok(this) => this,
        Err(error) => return error,
    };
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    Command::new("unshare").args(as_root()).args(namespaces).arg(this).args(arguments).env(INSIDE, inside).exec()
}
