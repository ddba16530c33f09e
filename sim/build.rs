//! Fails where `cargo sim` would silently run nothing: a `RUSTFLAGS` variable overrides the alias's flag. And names the commit that
//! this is built from: a program that asked when it runs would name that of whatever checkout it is started in.

use std::path::Path;
use std::process::Command;

/// What the program is built from, beside the manifest of its dependencies.
const SOURCES: [&str; 10] = [
    "build.rs",
    "Cargo.toml",
    "src",
    "../core/src",
    "../store/src",
    "../net/src",
    "../net/proto",
    "../net/build.rs",
    "../Cargo.toml",
    "../Cargo.lock",
];

fn main() {
    println!("cargo::rerun-if-env-changed=SIM_ALIAS");
    let (alias, simulated) = (std::env::var_os("SIM_ALIAS"), std::env::var_os("CARGO_CFG_MADSIM"));
    assert!(
        alias.is_none() || simulated.is_some(),
        "cargo sim sets --cfg madsim, and something overrides it: unset RUSTFLAGS and CARGO_ENCODED_RUSTFLAGS"
    );
    println!("cargo::rerun-if-env-changed=CATENA_COMMIT");
    let given = std::env::var("CATENA_COMMIT").ok().filter(|commit| !commit.is_empty());
    println!("cargo::rustc-env=CATENA_COMMIT={}", given.or_else(of_the_checkout).unwrap_or_else(|| "unknown".to_owned()));
}

/// The commit that is checked out, and whether the sources are others than its own.
fn of_the_checkout() -> Option<String> {
    // Sources that were unpacked in somebody else's checkout are not of its commit.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    for source in SOURCES {
        watch(source);
    }
    watch_the_head();
    let commit = git(&["rev-parse", "--short=9", "HEAD"])?;
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changes = git(&[&status[..], &SOURCES[..]].concat())?;
    Some(if changes.is_empty() { commit } else { format!("{commit}, changed") })
}

/// Has this run again when another commit is checked out, or made.
fn watch_the_head() {
    let place = |name: &str| git(&["rev-parse", "--git-path", name]).unwrap_or_default();
    watch(&place("HEAD"));
    // There is no branch where a commit itself is checked out.
    let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]).map(|name| place(&name)) else { return };
    if Path::new(&branch).exists() {
        return watch(&branch);
    }
    // It is packed. The next commit makes a file of it: in a folder that may not be there either.
    watch(&place("packed-refs"));
    let folder = Path::new(&branch).ancestors().skip(1).find(|folder| folder.exists());
    watch(folder.and_then(Path::to_str).unwrap_or_default());
}

/// Cargo runs this at each build as long as such a path is not there.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    // Whoever looks must not write: a refreshed index would be news to others who watch it.
    let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
