//! A campaign: clusters one after the other, each for some rounds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::rng::Rng;

use super::cluster::Cluster;
use super::fault::{self, Fault};
use super::host::{self, Means};
use super::network::Network;
use super::record::Record;
use super::report::{Report, table};
use super::{Campaign, Failure, Plant, Trouble, round, stores};

/// Rounds that one cluster lives through; then it is stopped, and its disks are compared.
const ROUNDS_EACH: u64 = 10;

/// A campaign under way.
struct Run<'a, P> {
    campaign: &'a Campaign,
    means: Means,
    report: Report,
    progress: P,
    /// Where it is: the cluster's seed, the round in its life, and what was drawn for that.
    seed: u64,
    round: u64,
    faults: Vec<Fault>,
}

/// Runs a campaign. `say` hears what is to be known before it begins, `progress` of the report as it grows.
///
/// # Errors
/// What went wrong first.
pub fn run(campaign: &Campaign, say: impl FnOnce(&str), progress: impl FnMut(&Report)) -> Result<Report, Box<Failure>> {
    let mut run = Run {
        campaign,
        means: Means::default(),
        report: Report::default(),
        progress,
        seed: campaign.seed,
        round: 0,
        faults: Vec::new(),
    };
    let (place, kept) = match run.place() {
        Ok(found) => found,
        Err(trouble) => return Err(Box::new(run.failed(trouble, None))),
    };
    say(&table(&run.means));
    match run.run(&place) {
        Ok(()) => Ok(run.report),
        Err(trouble @ Trouble::Violated(_)) => {
            // It is removed otherwise.
            let kept = kept.map_or(place, TempDir::keep);
            let kept = kept.join(format!("seed-{}", run.seed));
            Err(Box::new(run.failed(trouble, Some(kept))))
        }
        Err(trouble) => Err(Box::new(run.failed(trouble, None))),
    }
}

impl<P: FnMut(&Report)> Run<'_, P> {
    fn failed(&self, trouble: Trouble, kept: Option<PathBuf>) -> Failure {
        let faults = self.faults.iter().map(Fault::to_string).collect();
        Failure { trouble, seed: self.seed, round: self.round, faults, kept }
    }

    /// Where data and logs go, and that directory if it is to be removed.
    fn place(&mut self) -> Result<(PathBuf, Option<TempDir>), Trouble> {
        let here = |error: io::Error| Trouble::Here(error.to_string());
        self.means = host::enter().map_err(here)?;
        if let Some(keep) = &self.campaign.keep {
            return Ok((keep.clone(), None));
        }
        let place = tempfile::Builder::new().prefix("catena-sim-").tempdir().map_err(here)?;
        Ok((place.path().to_owned(), Some(place)))
    }

    fn run(&mut self, place: &Path) -> Result<(), Trouble> {
        let here = |error: io::Error| Trouble::Here(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(here)?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).map_err(here)?;
            let mut terminate = signal(SignalKind::terminate()).map_err(here)?;
            tokio::select! {
                biased;
                _ = interrupt.recv() => Err(Trouble::Interrupted),
                _ = terminate.recv() => Err(Trouble::Interrupted),
                ended = self.clusters(place) => ended,
            }
        })
    }

    /// One cluster after the other.
    async fn clusters(&mut self, place: &Path) -> Result<(), Trouble> {
        let mut network = if self.means.no_network.is_none() { Network::bridge().await? } else { Network::loopback()? };
        let mut left = self.campaign.rounds;
        while left > 0 {
            let rounds = left.min(ROUNDS_EACH);
            let directory = place.join(format!("seed-{}", self.seed));
            (self.round, self.faults) = (0, Vec::new());
            self.cluster(&directory, rounds, &mut network).await?;
            if self.campaign.keep.is_none() {
                // What is left of it goes with the campaign.
                let _ = fs::remove_dir_all(&directory);
            }
            self.seed = self.seed.wrapping_add(1);
            left -= rounds;
        }
        Ok(())
    }

    /// A cluster's life.
    async fn cluster(&mut self, directory: &Path, rounds: u64, network: &mut Network) -> Result<(), Trouble> {
        let record = Record::new();
        let mut cluster = Cluster::new(self.campaign, directory, network, &self.means)?;
        let lived = self.live(&mut cluster, &record, rounds).await;
        cluster.proxy.stop().await;
        if lived.is_err() {
            cluster.save().await;
        }
        if lived.is_err() || self.campaign.keep.is_some() {
            // What cannot be written is not there to be read: the failure itself is told all the same.
            let _ = fs::write(directory.join("history.txt"), record.lines());
        }
        lived
    }

    async fn live(&mut self, cluster: &mut Cluster<'_>, record: &Record, rounds: u64) -> Result<(), Trouble> {
        cluster.heal().await?;
        cluster.await_whole().await?;
        let mut rng = Rng::new(self.seed);
        for round in 1..=rounds {
            self.round = round;
            let mut rng = rng.fork();
            self.faults = self.draw(&mut rng);
            round::run(cluster, record, &self.faults, self.campaign.plant, rng, &mut self.report).await?;
            self.report.rounds += 1;
            (self.progress)(&self.report);
        }
        // Whatever is found now is of the cluster's whole life.
        self.faults.clear();
        let replicas = stores::compare(cluster).await?;
        self.report.ended(record.tally(), replicas);
        Ok(())
    }

    fn draw(&self, rng: &mut Rng) -> Vec<Fault> {
        let drawn = fault::draw(&self.means, rng);
        match self.campaign.plant {
            Some(Plant::OldDisks) => vec![fault::old_disks()],
            Some(Plant::RepeatsOutsideSessions) => fault::lost_answers(),
            Some(Plant::Unhealed | Plant::Unasked) | None => drawn,
        }
    }
}
