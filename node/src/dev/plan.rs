//! Which processes a development cluster consists of, and the command line of each.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use catena_core::NodeId;
use catena_store::{DirectoryError, Owner};

use super::child::Wish;
use super::directory::{Found, Shape};
use super::error::DevError;

/// One process that is to run.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// `coordinator`, or the node's id.
    pub(super) who: String,
    pub(super) port: u16,
    /// For admin HTTP.
    pub(super) admin: u16,
    pub(super) directory: PathBuf,
    owner: Owner,
    /// After the program's name.
    pub(super) arguments: Vec<OsString>,
}

/// So far behind the port of a process is that of its admin HTTP.
const ADMIN: u16 = 1000;

/// Everything that is to run.
#[derive(Debug)]
pub(super) struct Plan {
    /// This program's file.
    pub(super) program: PathBuf,
    /// Where clients begin.
    pub(super) endpoint: String,
    /// The coordinator first.
    pub(super) processes: Vec<Planned>,
}

impl Plan {
    /// Plans the cluster in `directory`, the coordinator on `port` and the nodes on the ones after it; admin HTTP of each is
    /// [`ADMIN`] ports further on. Each reads `settings`, but for what its command line says.
    pub(super) fn new(directory: &Found, port: u16, settings: Option<&Path>) -> Result<Self, DevError> {
        let Shape { nodes, .. } = directory.shape;
        let too_few = DevError::TooFewPorts { nodes, port };
        let last = u16::try_from(nodes).ok().and_then(|nodes| port.checked_add(nodes));
        let last = last.filter(|last| last.checked_add(ADMIN).is_some()).ok_or(too_few)?;
        let program = std::env::current_exe().map_err(DevError::OwnProgram)?;
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let names: Vec<String> = (1..=nodes).map(|n| format!("n{n}")).collect();
        let mut processes = vec![coordinator(directory, port, &endpoint)];
        for (name, port) in names.iter().zip(port + 1..=last) {
            processes.push(node(directory, port, &endpoint, name));
        }
        if let Some(file) = settings {
            let file = std::path::absolute(file).map_err(|source| DevError::Settings { file: file.to_owned(), source })?;
            let words = [OsString::from("--config"), file.into()];
            for process in &mut processes {
                process.arguments.extend(words.clone());
            }
        }
        Ok(Self { program, endpoint, processes })
    }

    /// Demands that every process could start: no other holds its directory, and its port is free.
    pub(super) fn demand_free(&self) -> Result<(), DevError> {
        self.processes.iter().try_for_each(Planned::demand_free_directory)?;
        self.processes.iter().try_for_each(Planned::demand_free_ports)
    }
}

impl Planned {
    /// The command line that starts the process by hand, from any directory.
    pub(super) fn command_line(&self, program: &Path) -> String {
        let words = std::iter::once(program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str));
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// When it is to stop: the coordinator before the nodes, so that it takes none of them for gone, and moves no data.
    pub(super) fn stops_at(&self) -> Wish {
        match self.owner {
            Owner::Coordinator => Wish::StopCoordinator,
            Owner::Node(_) => Wish::Stop,
        }
    }

    /// What else is wrong with it, the process itself says when it starts.
    fn demand_free_directory(&self) -> Result<(), DevError> {
        if !self.directory.exists() {
            return Ok(());
        }
        match catena_store::Directory::open(&self.directory, &self.owner) {
            Err(source @ DirectoryError::InUse { .. }) => Err(DevError::ChildInUse { who: self.who.clone(), source }),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn demand_free_ports(&self) -> Result<(), DevError> {
        demand_free(self.port, self.who.clone())?;
        demand_free(self.admin, format!("admin HTTP of {}", self.who))
    }
}

fn demand_free(port: u16, who: String) -> Result<(), DevError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(DevError::PortTaken { port, who }),
        Err(source) => Err(DevError::Port { port, who, source }),
    }
}

fn coordinator(directory: &Found, port: u16, endpoint: &str) -> Planned {
    let who = "coordinator";
    let data = directory.path.join(who);
    let mut arguments = words(&["coordinator", "--listen", endpoint, "--data-dir"]);
    arguments.push(data.clone().into());
    let Shape { nodes, replicas, slots, .. } = directory.shape;
    // All of them, so that the first chains are spread over all of them.
    let [nodes, replicas, slots] = [nodes, replicas, slots].map(|number| number.to_string());
    arguments.extend(words(&["--founders", &nodes, "--replicas", &replicas, "--slots", &slots]));
    let admin = with_admin(&mut arguments, port);
    Planned { who: who.to_owned(), port, admin, directory: data, owner: Owner::Coordinator, arguments }
}

fn node(directory: &Found, port: u16, endpoint: &str, name: &str) -> Planned {
    let data = directory.path.join(name);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
    let mut arguments = words(&["node", "--id", name, "--listen", &listen, "--coordinator", endpoint, "--data-dir"]);
    arguments.push(data.clone().into());
    let owner = Owner::Node(NodeId::new(name).expect("a letter and a number make a node id"));
    let admin = with_admin(&mut arguments, port);
    Planned { who: name.to_owned(), port, admin, directory: data, owner, arguments }
}

/// Adds where admin HTTP is to be, of the process on `port`.
fn with_admin(arguments: &mut Vec<OsString>, port: u16) -> u16 {
    let admin = port + ADMIN;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, admin)).to_string();
    arguments.extend(words(&["--admin", &address]));
    admin
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// A word as a shell takes it literally.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_word_is_taken_literally_by_a_shell() {
        assert_eq!(quoted("/tmp/data"), "/tmp/data");
        assert_eq!(quoted("/tmp/my data"), "'/tmp/my data'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
