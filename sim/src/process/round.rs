//! A round: clients call, things go wrong, everything is undone, and it has to be well again.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::rng::Rng;

use super::clients::{Clients, last_look};
use super::cluster::Cluster;
use super::fault::{Fault, Kind};
use super::machine::Machine;
use super::network::Host;
use super::old::OldDisks;
use super::record::Record;
use super::report::Report;
use super::{Plant, Trouble};

/// How long a kill takes to show.
const DEATH: Duration = Duration::from_millis(500);
/// How much later everything arrives that goes through the proxy, one way.
const LATE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));

/// What there is to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    End,
}

/// Runs one. `faults`: what was drawn for it.
pub(super) async fn run(
    cluster: &mut Cluster<'_>,
    record: &Record,
    faults: &[Fault],
    plant: Option<Plant>,
    mut rng: Rng,
    report: &mut Report,
) -> Result<(), Trouble> {
    let old = if plant == Some(Plant::OldDisks) { Some(OldDisks::copy(cluster).await?) } else { None };
    let clients = Clients::start(record, &cluster.endpoint(), plant, &mut rng);
    let begun = Instant::now();
    let mut steps: Vec<(Duration, &Fault, Step)> =
        faults.iter().flat_map(|fault| [(fault.at, fault, Step::Begin), (fault.at + fault.lasts, fault, Step::End)]).collect();
    steps.sort_by_key(|(at, ..)| *at);
    for (at, fault, step) in steps {
        sleep_until(begun + at).await;
        cluster.look()?;
        match step {
            Step::Begin => {
                if begin(cluster, fault, old.as_ref(), &mut rng).await? {
                    report.count(fault.kind);
                }
            }
            Step::End => end(cluster, fault).await?,
        }
    }
    match plant {
        // Two of four: chains of three cannot be whole.
        Some(Plant::Unhealed) => (1..=2).for_each(|node| cluster.node(node).pause()),
        Some(Plant::Unasked) => kill_unasked(cluster).await?,
        Some(Plant::OldDisks | Plant::RepeatsOutsideSessions) | None => {}
    }
    if plant != Some(Plant::Unhealed) {
        cluster.heal().await?;
    }
    report.healed(cluster.await_whole().await?);
    clients.stop(record).await?;
    last_look(record, &cluster.endpoint()).await?;
    report.searched(record.check().map_err(Trouble::Violated)?);
    cluster.look()?;
    cluster.machines().for_each(|machine| machine.may_end(false));
    cluster.machines().try_for_each(|machine| machine.has_not_panicked())
}

/// Whether it was done.
async fn begin(cluster: &mut Cluster<'_>, fault: &Fault, old: Option<&OldDisks>, rng: &mut Rng) -> Result<bool, Trouble> {
    let node = fault.node.unwrap_or_default();
    match fault.kind {
        Kind::NodeKill => cluster.node(node).kill().await,
        Kind::AllKill => cluster.kill_all().await,
        Kind::NodeStop => cluster.node(node).stop().await?,
        Kind::NodePause => cluster.node(node).pause(),
        Kind::Wipe if !cluster.may_lose(node).await => return Ok(false),
        Kind::Wipe => cluster.wipe(node).await?,
        Kind::CoordinatorKill => cluster.coordinator.kill().await,
        Kind::CoordinatorPause => cluster.coordinator.pause(),
        Kind::Delay => cluster.proxy.delay(rng.duration(LATE.0, LATE.1)),
        Kind::Reset => cluster.proxy.reset(),
        Kind::DiskReserve => cluster.fill_to_reserve()?,
        Kind::DiskFull => {
            cluster.node(node).may_end(true);
            cluster.fill_disk(Some(0))?;
        }
        Kind::CutOneWay | Kind::Cut | Kind::CoordinatorCut | Kind::Isolate => {
            for (from, to) in cuts(fault) {
                cluster.network.cut(from, to).await?;
            }
        }
        Kind::OldDisks => {
            cluster.kill_all().await;
            old.expect("copied, where this is planted").restore(cluster).await?;
        }
    }
    Ok(true)
}

async fn end(cluster: &mut Cluster<'_>, fault: &Fault) -> Result<(), Trouble> {
    match fault.kind {
        Kind::NodeKill | Kind::NodeStop | Kind::NodePause | Kind::Wipe => {
            cluster.bring_back(fault.node.unwrap_or_default()).await
        }
        Kind::AllKill | Kind::OldDisks => cluster.machines().try_for_each(Machine::start),
        Kind::CoordinatorKill | Kind::CoordinatorPause => cluster.coordinator.start(),
        Kind::Delay => {
            cluster.proxy.delay(Duration::ZERO);
            Ok(())
        }
        Kind::Reset => Ok(()),
        Kind::DiskReserve | Kind::DiskFull => cluster.fill_disk(None),
        Kind::CutOneWay | Kind::Cut | Kind::CoordinatorCut | Kind::Isolate => {
            for (from, to) in cuts(fault) {
                cluster.network.mend(from, to).await?;
            }
            Ok(())
        }
    }
}

/// Who is not heard by whom.
fn cuts(fault: &Fault) -> Vec<(Host, Host)> {
    let node = Host::Node(fault.node.unwrap_or_default());
    match fault.kind {
        Kind::CutOneWay => vec![(node, fault.other)],
        Kind::Cut => vec![(node, fault.other), (fault.other, node)],
        Kind::CoordinatorCut => vec![(node, Host::Coordinator), (Host::Coordinator, node)],
        Kind::Isolate => Host::all().filter(|host| *host != node).flat_map(|host| [(node, host), (host, node)]).collect(),
        _ => Vec::new(),
    }
}

/// Kills a process behind the campaign's back.
async fn kill_unasked(cluster: &mut Cluster<'_>) -> Result<(), Trouble> {
    let pid = cluster.node(1).pid().unwrap_or_default();
    super::network::run("kill", &format!("-9 {pid}")).await?;
    sleep(DEATH).await;
    Ok(())
}
