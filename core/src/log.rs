//! The window of a slot's history that is in memory: the entries that are not known to be in the object state yet, and
//! those that are kept for a successor that is being filled (W6).

use std::collections::{BTreeSet, VecDeque};
use std::ops::{Bound, Range};

use bytes::Bytes;

use crate::{ChainVersion, Entry, EntryId, LogSummary, Recovered, Seq, WallTime};

/// Entries `trim + 1 ..= last`, in order and without gaps, with an index by key of those that are not applied.
#[derive(Debug)]
pub(crate) struct Log {
    trim: EntryId,
    /// What the disk has of the entries before, for a successor that is being filled: those up to `trim`.
    spilled: Option<LogSummary>,
    /// The object state has entries up to here. Those in memory are kept for somebody.
    applied: Seq,
    /// What they weigh.
    retained: usize,
    /// Entries up to here have buffers of their own.
    compacted: Seq,
    /// The time of the last entry ever appended: times never run backwards within a slot (W2).
    last_at: WallTime,
    entries: VecDeque<Entry>,
    by_key: BTreeSet<(Bytes, Seq)>,
    weight: usize,
}

/// The longest key or value that is copied to be compacted: a longer one is most of its message.
const COMPACTED: usize = 64 << 10;

/// Where two logs have nothing to compare, or differ where nothing may be cut (C7).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DoNotMeet;

impl Log {
    pub(crate) fn empty() -> Self {
        Self::at(EntryId::default(), WallTime(0))
    }

    /// An empty log behind `trim`, an entry of time `trim_at`.
    pub(crate) fn at(trim: EntryId, trim_at: WallTime) -> Self {
        Self {
            trim,
            spilled: None,
            applied: trim.seq,
            retained: 0,
            compacted: trim.seq,
            last_at: trim_at,
            entries: VecDeque::new(),
            by_key: BTreeSet::new(),
            weight: 0,
        }
    }

    pub(crate) fn recovered(recovered: Recovered) -> Self {
        let mut log = Self::at(recovered.trim, recovered.trim_at);
        for entry in recovered.log {
            assert_eq!(entry.previous_id(), log.last(), "the store gave a log with a gap");
            log.push(entry);
        }
        log
    }

    /// The last entry that is not in memory any more.
    pub(crate) fn trim(&self) -> EntryId {
        self.trim
    }

    /// The last entry that a successor cannot be given any more.
    pub(crate) fn floor(&self) -> EntryId {
        self.spilled.as_ref().map_or(self.trim, |spilled| spilled.trim)
    }

    /// The last entry.
    pub(crate) fn last(&self) -> EntryId {
        self.entries.back().map_or(self.trim, |entry| entry.id)
    }

    /// The time of the entry to be ordered at wall-clock time `now` (W2).
    pub(crate) fn next_at(&self, now: WallTime) -> WallTime {
        now.max(WallTime(self.last_at.0 + 1))
    }

    /// Up to where the object state has its entries.
    pub(crate) fn applied(&self) -> Seq {
        self.applied
    }

    /// What the entries that are not applied weigh, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.weight - self.retained
    }

    /// What the entries that are applied, and in memory all the same, weigh, in bytes.
    pub(crate) fn retained(&self) -> usize {
        self.retained
    }

    /// The object state has everything up to `to`, and the last word about it.
    pub(crate) fn apply_to(&mut self, to: Seq) {
        for index in self.indices(self.applied, to) {
            let entry = &self.entries[index];
            self.retained += entry.weight();
            if let Some(key) = entry.operation.key() {
                self.by_key.remove(&(key.clone(), entry.id.seq));
            }
        }
        self.applied = self.applied.max(to);
    }

    /// What is applied and still here takes little more memory than it weighs from now on: keys and values are parts of the
    /// message that they came in, which may be far larger.
    pub(crate) fn compact(&mut self) {
        for index in self.indices(self.compacted, self.applied) {
            let (key, value) = self.entries[index].operation.bytes_mut();
            for bytes in key.into_iter().chain(value).filter(|bytes| bytes.len() <= COMPACTED) {
                *bytes = Bytes::copy_from_slice(bytes);
            }
        }
        self.compacted = self.applied;
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.id.seq, self.last().seq.next(), "a log has no gaps");
        self.last_at = self.last_at.max(entry.at);
        self.weight += entry.weight();
        if let Some(key) = entry.operation.key() {
            self.by_key.insert((key.clone(), entry.id.seq));
        }
        self.entries.push_back(entry);
    }

    /// Removes every entry after `last`.
    pub(crate) fn cut(&mut self, last: Seq) {
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.id.seq > last) {
            self.forget(&entry);
        }
    }

    /// Removes every entry up to `to`, as far as the object state has them.
    pub(crate) fn trim_to(&mut self, to: Seq) {
        let to = to.min(self.applied);
        self.spilled.take_if(|_| to >= self.trim.seq);
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.id.seq <= to) {
            self.trim = entry.id;
            self.forget(&entry);
        }
    }

    /// Removes every entry up to `to` from memory: the disk keeps them for a successor.
    pub(crate) fn spill_to(&mut self, to: Seq) {
        assert!(to <= self.applied, "{to} is spilled, and not applied");
        let mut spilled = self.spilled.take().unwrap_or(LogSummary { trim: self.trim, runs: Vec::new() });
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.id.seq <= to) {
            spilled.extend(entry.id);
            self.trim = entry.id;
            self.forget(&entry);
        }
        self.spilled = Some(spilled);
    }

    fn forget(&mut self, entry: &Entry) {
        self.weight -= entry.weight();
        if entry.id.seq <= self.applied {
            self.retained -= entry.weight();
        }
        if let Some(key) = entry.operation.key() {
            self.by_key.remove(&(key.clone(), entry.id.seq));
        }
    }

    /// The entries after `after`, up to `to`.
    pub(crate) fn range(&self, after: Seq, to: Seq) -> impl Iterator<Item = &Entry> {
        self.entries.range(self.indices(after, to))
    }

    /// The entries after `after`, up to `to`, of about `bytes` in all; one at least, if there is one.
    pub(crate) fn up_to(&self, after: Seq, to: Seq, bytes: usize) -> Vec<Entry> {
        let mut weight = 0;
        let fits = |entry: &&Entry| {
            weight += entry.weight();
            weight <= bytes || entry.id.seq == after.next()
        };
        self.range(after, to).take_while(fits).cloned().collect()
    }

    fn indices(&self, after: Seq, to: Seq) -> Range<usize> {
        let skip = after.0.saturating_sub(self.trim.seq.0);
        let end = to.0.saturating_sub(self.trim.seq.0).min(self.entries.len() as u64);
        let index = |position: u64| usize::try_from(position).expect("bounded by a length in memory");
        index(skip.min(end))..index(end)
    }

    /// The identity of the entry at `seq`; `None` below what a successor can be given, and beyond the end.
    pub(crate) fn id_at(&self, seq: Seq) -> Option<EntryId> {
        if seq == self.trim.seq {
            return Some(self.trim);
        }
        if seq < self.trim.seq {
            let version = self.spilled.as_ref()?.version_at(seq)?;
            return Some(EntryId { version, seq });
        }
        let index = usize::try_from(seq.0.checked_sub(self.trim.seq.0 + 1)?).ok()?;
        self.entries.get(index).map(|entry| entry.id)
    }

    /// The last entry about `key` up to `to`; `None`: the object state has the last word.
    pub(crate) fn latest(&self, key: &Bytes, to: Seq) -> Option<&Entry> {
        let (_, seq) = self.by_key.range((key.clone(), Seq(0))..=(key.clone(), to)).next_back()?;
        self.range(Seq(seq.0 - 1), *seq).next()
    }

    /// The keys behind `after`, up to `to`, that entries which are not applied are about.
    pub(crate) fn keys(&self, after: Option<&Bytes>, to: Option<&Bytes>) -> Vec<Bytes> {
        let after = after.map_or(Bound::Unbounded, |after| Bound::Excluded((after.clone(), Seq(u64::MAX))));
        let to = to.map_or(Bound::Unbounded, |to| Bound::Included((to.clone(), Seq(u64::MAX))));
        let mut keys: Vec<Bytes> = self.by_key.range((after, to)).map(|(key, _)| key.clone()).collect();
        keys.dedup();
        keys
    }

    /// What a successor can be given.
    pub(crate) fn summary(&self) -> LogSummary {
        let mut summary = self.spilled.clone().unwrap_or(LogSummary { trim: self.trim, runs: Vec::new() });
        self.entries.iter().for_each(|entry| summary.extend(entry.id));
        summary
    }

    /// The end of the longest prefix that this log shares with `other` (C7). Entries that agree in (version, seq) agree
    /// in everything before, so logs are compared from the later trim point on, which itself must be equal.
    pub(crate) fn common_prefix(&self, other: &LogSummary) -> Result<Seq, DoNotMeet> {
        let start = self.trim.seq.max(other.trim.seq);
        let same = |seq: Seq| -> bool {
            let mine: Option<ChainVersion> = self.id_at(seq).map(|id| id.version);
            mine.is_some() && mine == other.version_at(seq)
        };
        if !same(start) {
            return Err(DoNotMeet);
        }
        let mut end = start;
        while same(end.next()) {
            end = end.next();
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Operation;

    fn id(version: u64, seq: u64) -> EntryId {
        EntryId { version: ChainVersion(version), seq: Seq(seq) }
    }

    /// A log trimmed at (1, `trim`) with entries of the given versions after it.
    fn log(trim: EntryId, versions: &[u64]) -> Log {
        let mut log = Log::at(trim, WallTime(0));
        for version in versions {
            let last = log.last();
            log.push(Entry {
                id: EntryId { version: ChainVersion(*version), seq: last.seq.next() },
                previous: last.version,
                at: log.next_at(WallTime(0)),
                origin: None,
                operation: Operation::Delete { key: Bytes::from(format!("k{}", last.seq.0 % 2)) },
            });
        }
        log
    }

    #[test]
    fn prefix_ends_where_versions_differ_though_both_logs_go_on() {
        let mine = log(id(0, 0), &[1, 1, 1, 2]);
        let theirs = log(id(0, 0), &[1, 1, 3, 3, 3]);
        assert_eq!(mine.common_prefix(&theirs.summary()), Ok(Seq(2)));
        assert_eq!(theirs.common_prefix(&mine.summary()), Ok(Seq(2)));
    }

    #[test]
    fn trimmed_logs_are_compared_from_the_later_trim_point() {
        let long = log(id(0, 0), &[1, 1, 2, 2, 2]);
        let trimmed = log(id(2, 3), &[2]);
        assert_eq!(long.common_prefix(&trimmed.summary()), Ok(Seq(4)));
        assert_eq!(trimmed.common_prefix(&long.summary()), Ok(Seq(4)));
    }

    #[test]
    fn a_trim_point_of_another_version_or_beyond_the_other_log_does_not_meet() {
        let long = log(id(0, 0), &[1, 1, 1]);
        assert_eq!(long.common_prefix(&log(id(2, 3), &[]).summary()), Err(DoNotMeet));
        assert_eq!(long.common_prefix(&log(id(1, 4), &[]).summary()), Err(DoNotMeet));
        assert_eq!(log(id(1, 4), &[]).common_prefix(&long.summary()), Err(DoNotMeet));
    }

    #[test]
    fn latest_finds_the_last_entry_of_a_key_within_the_bound() {
        let log = log(id(1, 10), &[1, 1, 1, 1]); // seqs 11, 13 are about k0; 12, 14 about k1
        let seq = |key: &'static str, to| log.latest(&Bytes::from(key), Seq(to)).map(|entry| entry.id.seq);
        assert_eq!(seq("k0", 14), Some(Seq(13)));
        assert_eq!(seq("k0", 12), Some(Seq(11)));
        assert_eq!(seq("k1", 11), None);
        assert_eq!(seq("absent", 14), None);
    }

    #[test]
    fn cut_and_trim_forget_what_they_remove() {
        let mut log = log(id(1, 10), &[1, 1, 2, 2]);
        log.cut(Seq(13));
        log.apply_to(Seq(12));
        assert!(log.retained() > 0 && log.weight() > 0);
        log.trim_to(Seq(99));
        assert_eq!(log.retained(), 0);
        assert_eq!((log.trim(), log.last(), log.entries.len()), (id(1, 12), id(2, 13), 1));
        assert_eq!(log.latest(&Bytes::from("k1"), Seq(99)), None);
        assert_eq!(log.weight(), log.range(Seq(0), Seq(99)).map(Entry::weight).sum::<usize>());
        log.apply_to(Seq(13));
        log.trim_to(Seq(13));
        assert_eq!((log.weight(), log.by_key.len()), (0, 0));
    }

    /// What a log is, without an index or a window: all entries ever, and how many of them are trimmed.
    #[derive(Debug, Default)]
    struct Twin {
        entries: Vec<Entry>,
        /// So many are nowhere.
        gone: usize,
        /// So many are not in memory.
        trimmed: usize,
        applied: usize,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { key: u8, version: u64 },
        Cut(usize),
        Trim(usize),
        Spill(usize),
        Apply(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u8, 0..2u64).prop_map(|(key, version)| Step::Push { key, version }),
            1 => (0..6usize).prop_map(Step::Cut),
            1 => (0..12usize).prop_map(Step::Trim),
            1 => (0..6usize).prop_map(Step::Spill),
            1 => (0..6usize).prop_map(Step::Apply),
        ]
    }

    fn run(steps: &[Step]) -> (Log, Twin) {
        let (mut log, mut twin) = (Log::empty(), Twin::default());
        for step in steps {
            match step {
                Step::Push { key, version } => {
                    let last = log.last();
                    let entry = Entry {
                        id: EntryId { version: ChainVersion(last.version.0 + version), seq: last.seq.next() },
                        previous: last.version,
                        at: log.next_at(WallTime(5)),
                        origin: None,
                        operation: Operation::Delete { key: Bytes::from(vec![*key]) },
                    };
                    twin.entries.push(entry.clone());
                    log.push(entry);
                }
                Step::Cut(keep) => {
                    let keep = (twin.applied + keep).min(twin.entries.len());
                    twin.entries.truncate(keep);
                    log.cut(Seq(keep as u64));
                }
                Step::Trim(more) => {
                    let to = (twin.gone + more).min(twin.applied);
                    if to >= twin.trimmed {
                        (twin.gone, twin.trimmed) = (to, to);
                    }
                    log.trim_to(Seq(to as u64));
                }
                Step::Spill(more) => {
                    twin.trimmed = (twin.trimmed + more).min(twin.applied);
                    log.spill_to(Seq(twin.trimmed as u64));
                }
                Step::Apply(more) => {
                    twin.applied = (twin.applied + more).min(twin.entries.len());
                    log.apply_to(Seq(twin.applied as u64));
                    log.compact();
                }
            }
        }
        (log, twin)
    }

    proptest! {
        #[test]
        fn does_what_a_plain_list_does(steps in proptest::collection::vec(step(), 0..60), key in 0..4u8, to in 0..60u64) {
            let (log, twin) = run(&steps);
            let window = &twin.entries[twin.trimmed..];
            prop_assert_eq!(log.entries.len(), window.len());
            let weight = |entries: &[Entry]| entries.iter().map(Entry::weight).sum::<usize>();
            prop_assert_eq!(log.weight(), weight(&twin.entries[twin.applied..]));
            prop_assert_eq!(log.retained(), weight(&twin.entries[twin.trimmed..twin.applied]));
            prop_assert!(log.range(Seq(0), Seq(u64::MAX)).eq(window));
            let mut bounded = window.iter().filter(|entry| entry.id.seq.0 <= to);
            prop_assert!(log.range(Seq(0), Seq(to)).eq(bounded.clone()));
            let about = |entry: &&Entry| entry.operation.key() == Some(&Bytes::from(vec![key]));
            let latest = bounded.rfind(about).filter(|entry| entry.id.seq.0 > twin.applied as u64);
            prop_assert_eq!(log.latest(&Bytes::from(vec![key]), Seq(to)), latest);
            prop_assert_eq!(log.floor().seq, Seq(twin.gone as u64));
            prop_assert_eq!(log.summary().trim, log.floor());
            for entry in &twin.entries[twin.gone..] {
                prop_assert_eq!(log.id_at(entry.id.seq), Some(entry.id));
                prop_assert_eq!(log.summary().version_at(entry.id.seq), Some(entry.id.version));
            }
        }

        #[test]
        fn a_log_and_its_own_longer_or_shorter_past_meet_at_the_shorter_end(
            steps in proptest::collection::vec(step(), 0..40),
            more in proptest::collection::vec(step().prop_filter("only grows", |step| matches!(step, Step::Push { .. })), 0..20),
        ) {
            let (short, _) = run(&steps);
            let (long, _) = run(&[steps, more].concat());
            prop_assert_eq!(long.common_prefix(&short.summary()), Ok(short.last().seq));
            prop_assert_eq!(short.common_prefix(&long.summary()), Ok(short.last().seq));
        }
    }
}
