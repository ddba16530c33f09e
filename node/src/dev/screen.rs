//! What `catena dev` says: what runs where, some commands to try, and what happened to whom.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::directory::{Directory, Shape};
use super::plan::{Plan, Planned, quoted};
use crate::cli::DEFAULT_ENDPOINT;

/// The table of what runs where, and some commands to try.
pub(super) fn ready(plan: &Plan, directory: &Directory, pids: &[u32], took: Duration) -> String {
    let Shape { nodes, replicas, slots, .. } = directory.shape;
    let took = took.as_secs_f64();
    let mut lines = vec![
        format!("Catena is ready: {nodes} nodes, {replicas} copies of every key, {slots} slots ({took:.1} s)"),
        String::new(),
        format!("  {:<12} {:>8} {:>6}  directory", "who", "pid", "port"),
    ];
    let rows = plan.processes.iter().zip(pids);
    lines.extend(
        rows.map(|(process, pid)| format!("  {:<12} {pid:>8} {:>6}  {}", process.who, process.port, process.directory.display())),
    );
    let admin = plan.processes.iter().map(|process| process.admin).next().expect("the coordinator is there");
    lines.push(format!("\nThe cluster in a browser: http://127.0.0.1:{admin}/"));
    lines.push("Each process has admin HTTP 1000 ports further on, with /metrics and /admin/v1/state.".to_owned());
    let catena = own_name(&plan.program);
    let endpoints = match plan.endpoint.as_str() {
        DEFAULT_ENDPOINT => String::new(),
        endpoint => format!(" --endpoints {endpoint}"),
    };
    let last = pids.last().expect("a cluster has at least one node");
    lines.extend([
        "\nTry, in another terminal:\n".to_owned(),
        format!("  {catena} put{endpoints} greeting hello"),
        format!("  {catena} get{endpoints} greeting"),
        format!("  {catena} status{endpoints}"),
        format!("  kill -9 {last}"),
        "\nCtrl-C stops everything; the data stays.".to_owned(),
    ]);
    lines.join("\n")
}

/// That a process has died.
pub(super) fn died(process: &Planned, pid: u32, how: ExitStatus) -> String {
    format!("{} (pid {pid}) died: {how}.", process.who)
}

/// How to start a process again by hand.
pub(super) fn by_hand(plan: &Plan, process: &Planned) -> String {
    format!("Start it again with:\n  {}", process.command_line(&plan.program))
}

/// That a process is started again by itself.
pub(super) fn by_itself(wait: Duration) -> String {
    format!("It is started again in {:.1} s.", wait.as_secs_f64())
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
