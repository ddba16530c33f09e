//! What `catena dev` says: what runs where, three commands to try, and what happened to whom.

use std::path::Path;
use std::time::Duration;

use super::directory::Directory;
use super::plan::{Plan, Planned, quoted};

/// The table of what runs where, and three commands to try.
pub(super) fn ready(plan: &Plan, directory: &Directory, pids: &[u32], took: Duration) -> String {
    let shape = directory.shape;
    let mut text = format!(
        "Catena is ready: {} nodes, {} copies of every key, {} slots ({:.1} s)\n\n",
        shape.nodes,
        shape.replicas,
        shape.slots,
        took.as_secs_f64()
    );
    text.push_str(&format!("  {:<12} {:>8} {:>6}  {}\n", "who", "pid", "port", "directory"));
    for (process, pid) in plan.processes.iter().zip(pids) {
        text.push_str(&format!("  {:<12} {pid:>8} {:>6}  {}\n", process.who, process.port, process.directory.display()));
    }
    let catena = own_name(&plan.program);
    let endpoints = if plan.endpoint == crate::cli::DEFAULT_ENDPOINT {
        String::new()
    } else {
        format!(" --endpoints {}", plan.endpoint)
    };
    let last = pids.last().expect("a cluster has at least one node");
    text.push_str(&format!(
        "\nTry, in another terminal:\n\n  {catena} put{endpoints} greeting hello\n  {catena} get{endpoints} greeting\n  kill -9 {last}\n\nCtrl-C stops everything; the data stays."
    ));
    text
}

/// That a process has died, and how to start it again by hand.
pub(super) fn died(plan: &Plan, process: &Planned, pid: u32, how: &str) -> String {
    format!("{} (pid {pid}) died: {how}. Start it again with:\n  {}", process.who, process.command_line(&plan.program))
}

/// The program as the person at the terminal would type it.
fn own_name(program: &Path) -> String {
    let on_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| program.parent().is_some_and(|parent| parent == directory))
    });
    if on_path && let Some(name) = program.file_name() {
        return quoted(&name.to_string_lossy());
    }
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| program.strip_prefix(here).ok());
    match relative {
        Some(relative) if relative.components().count() > 1 => quoted(&relative.to_string_lossy()),
        Some(relative) => quoted(&format!("./{}", relative.display())),
        None => quoted(&program.to_string_lossy()),
    }
}
