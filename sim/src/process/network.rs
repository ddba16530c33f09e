//! Where the processes of a cluster live: each in a network namespace of its own, on one bridge; or all on loopback.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::process::Command;

use super::Trouble;
use super::fault::NODES;

/// As many as may have an address: the coordinator, nodes, the clients.
const HOSTS: u8 = 10;
/// Where what is for us is looked up, behind what is dropped.
const LOCAL: &str = "100";
/// Of rules that drop.
const DROP: &str = "10";

/// Who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    Coordinator,
    /// From 1 on.
    Node(usize),
    /// This process: the clients and the proxy.
    Clients,
}

impl Host {
    /// Everybody.
    pub(super) fn all() -> impl Iterator<Item = Host> {
        [Host::Coordinator, Host::Clients].into_iter().chain((1..=NODES).map(Host::Node))
    }

    fn number(self) -> u8 {
        match self {
            Host::Coordinator => 10,
            Host::Node(node) => 10 + u8::try_from(node).expect("a few nodes"),
            Host::Clients => 10 + HOSTS - 1,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Coordinator => f.write_str("coordinator"),
            Host::Node(node) => write!(f, "n{node}"),
            Host::Clients => f.write_str("clients"),
        }
    }
}

/// The network of a campaign.
#[derive(Debug)]
pub(super) enum Network {
    /// From this port on.
    Loopback(u16),
    /// Cuts in force: who is not heard by whom.
    Bridge(Vec<(Host, Host)>),
}

impl Network {
    /// On loopback.
    pub(super) fn loopback() -> Result<Self, Trouble> {
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let mut ports = (10_000..30_000).step_by(usize::from(HOSTS));
        let first = ports.find(|first| (*first..*first + u16::from(HOSTS)).all(free));
        first.map(Self::Loopback).ok_or_else(|| Trouble::Here("no free ports between 10000 and 30000 on loopback".to_owned()))
    }

    /// A namespace for each process, in a network namespace that is ours alone.
    pub(super) async fn bridge() -> Result<Self, Trouble> {
        run("mount", "-t tmpfs none /run").await?;
        ip("link set lo up").await?;
        ip("link add catena type bridge").await?;
        ip(&format!("addr add {}/24 dev catena", ip_of(Host::Clients))).await?;
        ip("link set catena up").await?;
        for host in Host::all() {
            if host != Host::Clients {
                ip(&format!("netns add {host}")).await?;
                ip(&format!("link add to-{host} type veth peer name eth0 netns {host}")).await?;
                ip(&format!("link set to-{host} master catena up")).await?;
                within(host, &format!("addr add {}/24 dev eth0", ip_of(host))).await?;
                within(host, "link set eth0 up").await?;
                within(host, "link set lo up").await?;
            }
            // What is to be dropped must be looked at before what is for us.
            within(host, &format!("rule add pref {LOCAL} table local")).await?;
            within(host, "rule del pref 0").await?;
        }
        Ok(Self::Bridge(Vec::new()))
    }

    /// Where a process listens; of the clients, their proxy.
    pub(super) fn address(&self, host: Host) -> SocketAddr {
        match self {
            Network::Loopback(first) => (Ipv4Addr::LOCALHOST, first + u16::from(host.number() - 10)).into(),
            Network::Bridge(_) => (ip_of(host), 7400).into(),
        }
    }

    /// What runs a command there.
    pub(super) fn prefix(&self, host: Host) -> Vec<OsString> {
        match (self, host) {
            (Network::Bridge(_), Host::Coordinator | Host::Node(_)) => {
                ["ip", "netns", "exec", &host.to_string()].map(OsString::from).to_vec()
            }
            (Network::Loopback(_), _) | (Network::Bridge(_), Host::Clients) => Vec::new(),
        }
    }

    /// From now on `to` hears nothing of `from`, and nobody is told.
    pub(super) async fn cut(&mut self, from: Host, to: Host) -> Result<(), Trouble> {
        let Network::Bridge(cuts) = self else { panic!("no cut is drawn on loopback") };
        if !cuts.contains(&(from, to)) {
            within(to, &format!("rule add pref {DROP} from {} blackhole", ip_of(from))).await?;
            cuts.push((from, to));
        }
        Ok(())
    }

    /// Whoever was not heard is heard again.
    pub(super) async fn mend(&mut self, from: Host, to: Host) -> Result<(), Trouble> {
        let Network::Bridge(cuts) = self else { return Ok(()) };
        if let Some(index) = cuts.iter().position(|cut| *cut == (from, to)) {
            within(to, &format!("rule del pref {DROP} from {} blackhole", ip_of(from))).await?;
            cuts.swap_remove(index);
        }
        Ok(())
    }

    /// Mends all cuts.
    pub(super) async fn mend_all(&mut self) -> Result<(), Trouble> {
        let cuts = if let Network::Bridge(cuts) = self { cuts.clone() } else { Vec::new() };
        for (from, to) in cuts {
            self.mend(from, to).await?;
        }
        Ok(())
    }
}

fn ip_of(host: Host) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, host.number())
}

/// Runs `ip` in a process's namespace.
async fn within(host: Host, arguments: &str) -> Result<(), Trouble> {
    let namespace = if host == Host::Clients { String::new() } else { format!("-n {host} ") };
    ip(&format!("{namespace}{arguments}")).await
}

async fn ip(arguments: &str) -> Result<(), Trouble> {
    run("ip", arguments).await
}

/// Runs a command to its end; its arguments are words.
pub(super) async fn run(program: &str, arguments: &str) -> Result<(), Trouble> {
    let failed = |why: &str| Trouble::Here(format!("{program} {arguments}: {why}"));
    let output = Command::new(program).args(arguments.split_whitespace()).output().await;
    let output = output.map_err(|error| failed(&error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(failed(String::from_utf8_lossy(&output.stderr).trim())) }
}
