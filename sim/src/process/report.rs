//! What the rounds of a campaign did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::fault::Kind;
use super::host::Means;
use super::record::Tally;
use crate::check::Searches;

/// Sums over rounds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// That were run to their end.
    pub rounds: u64,
    calls: u64,
    answered: u64,
    unknown: u64,
    longest: Duration,
    healing: Duration,
    replicas: usize,
    searches: Searches,
    faults: BTreeMap<Kind, u64>,
}

impl Report {
    pub(super) fn count(&mut self, kind: Kind) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// The cluster took so long to be whole again.
    pub(super) fn healed(&mut self, took: Duration) {
        self.longest = self.longest.max(took);
        self.healing += took;
    }

    /// What came of the searches after a round.
    pub(super) fn searched(&mut self, searches: Searches) {
        self.searches += searches;
    }

    /// A cluster is done with.
    pub(super) fn ended(&mut self, tally: Tally, replicas: usize) {
        self.calls += tally.calls;
        self.answered += tally.answered;
        self.unknown += tally.unknown;
        self.replicas += replicas;
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: u64| part as f64 * 100.0 / self.calls.max(1) as f64;
        let (answered, unknown) = (share(self.answered), share(self.unknown));
        writeln!(f, "{} rounds, {} faults", self.rounds, self.faults())?;
        writeln!(f, "  {:>8} calls, {answered:.1} % answered, {unknown:.1} % of unknown outcome", self.calls)?;
        let mean = self.healing.as_secs_f64() / self.rounds.max(1) as f64;
        writeln!(
            f,
            "  {:>7.1}s until all chains were whole again at the longest, {mean:.1} s on average",
            self.longest.as_secs_f64()
        )?;
        writeln!(f, "  {:>8} replicas compared on disk", self.replicas)?;
        let Searches { keys, given_up } = self.searches;
        writeln!(f, "  {keys:>8} times an order of a key's calls was searched for; {given_up} given up")?;
        writeln!(f, "faults:")?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>8} {}", kind.name())?;
        }
        Ok(())
    }
}

/// The faults that this machine lets us have, and why not the others.
pub(super) fn table(means: &Means) -> String {
    let (on, off): (Vec<Kind>, Vec<Kind>) = Kind::DRAWN.iter().partition(|kind| kind.missing(means).is_none());
    let names = |kinds: &[Kind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>();
    let mut table = format!("faults that may occur:\n  {}\n", names(&on).join("\n  "));
    let mut reasons: BTreeMap<&str, Vec<Kind>> = BTreeMap::new();
    for kind in off {
        reasons.entry(kind.missing(means).unwrap_or_default()).or_default().push(kind);
    }
    let left_out = reasons
        .iter()
        .map(|(why, kinds)| format!("left out, since here they cannot be had ({why}): {}\n", names(kinds).join("; ")));
    table.extend(left_out);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said_with_its_reason_in_one_line() {
        assert!(!table(&Means::default()).contains("left out"));
        let table = table(&Means { no_network: Some("no bridge".to_owned()), no_disk: None });
        let left_out: Vec<&str> = table.lines().filter(|line| line.contains("left out")).collect();
        assert!(matches!(left_out[..], [line] if line.contains("no bridge") && line.contains("two processes cut")), "{table}");
    }
}
