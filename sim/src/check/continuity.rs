//! A slot's configurations follow on each other, and who is left out of one shows nothing any more (C1, C3, C4, C9).

use catena_core::{Chain, ChainVersion, Epoch, Member, Slot, Time};

use super::Violation;

/// Every version that has taken effect, by slot.
#[derive(Debug)]
pub(crate) struct Chains {
    slots: Vec<Vec<Chain>>,
    /// The newest leadership.
    epoch: Epoch,
}

/// How a member that is being left out is, in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Its data directory is another by now.
    OtherDirectory,
    /// Its process is not there: the next one takes no part in versions that it had adopted (C10).
    Down,
    /// It has said that it leaves, and shows nothing.
    Stopping,
    /// It runs, in this version.
    Running {
        version: ChainVersion,
        shows: Shows,
        /// By its own clock: its lease ends, were every answer on its way to arrive.
        leased_until: Time,
        now: Time,
    },
}

/// Whether a replica may show state in its version, given a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Yes,
    /// It is fenced (C4).
    Fenced,
    /// It has restarted in it, or adopts another (C10, C2).
    Inactive,
}

impl Chains {
    pub(crate) fn new(slots: u32) -> Self {
        Self { slots: vec![Vec::new(); slots as usize], epoch: Epoch(0) }
    }

    /// The version in effect.
    pub(crate) fn current(&self, slot: Slot) -> Option<&Chain> {
        self.slots[slot.0 as usize].last()
    }

    /// How many versions there were after the first.
    pub(crate) fn changes(&self) -> u64 {
        self.slots.iter().map(|versions| versions.len().saturating_sub(1) as u64).sum()
    }

    /// How many of them had other members than the one before.
    pub(crate) fn reconfigurations(&self) -> u64 {
        let other = |pair: &&[Chain]| pair[0].members != pair[1].members;
        self.slots.iter().map(|versions| versions.windows(2).filter(other).count() as u64).sum()
    }

    /// A coordinator is elected.
    pub(crate) fn elected(&mut self, epoch: Epoch) -> Result<(), Violation> {
        demand!(epoch > self.epoch, Continuity, "C1", "a coordinator is elected under epoch {epoch} after {}", self.epoch);
        self.epoch = epoch;
        Ok(())
    }

    /// The store takes something of a leader: of the newest only.
    pub(crate) fn stored_under(&self, epoch: Epoch) -> Result<(), Violation> {
        demand!(
            epoch == self.epoch,
            Continuity,
            "C1",
            "the store takes a change of epoch {epoch}, and epoch {} leads",
            self.epoch
        );
        Ok(())
    }

    /// Somebody goes by a chain: it must be one that took effect, as it did.
    pub(crate) fn adopted(&self, chain: &Chain, node: &str) -> Result<(), Violation> {
        let known = self.slots[chain.slot.0 as usize].iter().rev().find(|known| known.version == chain.version);
        demand!(
            known == Some(chain),
            Continuity,
            "C1, C2",
            "slot {}: {node} goes by {chain:?}, in effect is {known:?}",
            chain.slot
        );
        Ok(())
    }

    /// A version takes effect. The member of the one before that it leaves out, if it does.
    pub(crate) fn decide(&mut self, chain: &Chain) -> Result<Option<Member>, Violation> {
        let slot = chain.slot;
        well_formed(chain)?;
        let versions = &mut self.slots[slot.0 as usize];
        let removed = match versions.last() {
            None => {
                demand!(
                    chain.version == ChainVersion(1) && chain.tail_ready,
                    Continuity,
                    "C1",
                    "slot {slot}: the first chain in effect is {chain:?}"
                );
                None
            }
            Some(before) => follows(before, chain)?,
        };
        versions.push(chain.clone());
        Ok(removed)
    }

    /// The member that `chain` leaves out must show nothing any more when it takes effect (C4).
    pub(crate) fn cut_off(chain: &Chain, removed: &Member, truth: Truth) -> Result<(), Violation> {
        let Truth::Running { version, shows, leased_until, now } = truth else { return Ok(()) };
        let does = match shows {
            Shows::Yes => "shows state",
            Shows::Fenced => "is fenced",
            Shows::Inactive => "does not act",
        };
        let silent = version.next() >= chain.version && shows != Shows::Yes;
        demand!(
            silent || now >= leased_until,
            Continuity,
            "C4",
            "slot {}: version {} leaves out {}, which is in {version}, {does} there, and may hold a lease for another {} ns of its clock",
            chain.slot,
            chain.version,
            removed.node,
            leased_until.0.saturating_sub(now.0)
        );
        Ok(())
    }
}

fn well_formed(chain: &Chain) -> Result<(), Violation> {
    let slot = chain.slot;
    let twice = chain.replicas().enumerate().any(|(index, one)| chain.replicas().skip(index + 1).any(|two| one.node == two.node));
    demand!(
        !chain.members.is_empty() && !twice,
        Continuity,
        "C3",
        "slot {slot}: a chain has members, and each node once: {chain:?}"
    );
    let early = chain.replicas().all(|replica| replica.activated <= chain.version);
    demand!(early, Continuity, "C3", "slot {slot}: a replica is there before it was activated: {chain:?}");
    Ok(())
}

/// One change per version (C3).
fn follows(before: &Chain, chain: &Chain) -> Result<Option<Member>, Violation> {
    let slot = chain.slot;
    demand!(
        chain.version == before.version.next() && chain.epoch >= before.epoch,
        Continuity,
        "C1",
        "slot {slot}: version {} of epoch {} follows on version {} of epoch {}",
        chain.version,
        chain.epoch,
        before.version,
        before.epoch
    );
    let activated = activates(before, chain);
    let kept: Vec<&Member> = chain.members.iter().take(chain.members.len() - usize::from(activated)).collect();
    let left: Vec<&Member> = before.members.iter().filter(|member| !kept.contains(member)).collect();
    let in_order = before.members.iter().filter(|member| kept.contains(member)).eq(kept.iter().copied());
    demand!(
        in_order,
        Continuity,
        "C3",
        "slot {slot}: the members of version {} are not those of {} in their order, and at most the one that joined: {chain:?} after {before:?}",
        chain.version,
        before.version
    );
    demand!(
        left.len() + usize::from(activated) <= 1,
        Continuity,
        "C3",
        "slot {slot}: more than one change from version {} to {}: {chain:?} after {before:?}",
        before.version,
        chain.version
    );
    let copies = chain.copies().iter().filter(|copy| before.copies().contains(copy)).count();
    demand!(
        copies > 0,
        Continuity,
        "C3",
        "slot {slot}: version {} keeps no copy of version {}: {chain:?} after {before:?}",
        chain.version,
        before.version
    );
    readiness(before, chain, activated, left.first().copied())?;
    if let (false, Some(joining)) = (chain.joining == before.joining, &chain.joining) {
        demand!(
            joining.activated == chain.version,
            Continuity,
            "C11",
            "slot {slot}: {joining:?} begins to join in version {}",
            chain.version
        );
    }
    Ok(left.first().map(|member| (*member).clone()))
}

/// Whether the tail is the replica that was joining.
fn activates(before: &Chain, chain: &Chain) -> bool {
    let tail = chain.tail();
    let joined =
        before.joining.as_ref().is_some_and(|joining| joining.node == tail.node && joining.incarnation == tail.incarnation);
    joined && tail.activated == chain.version && chain.joining.is_none()
}

/// A tail that was activated is not ready until a version says so that changes nothing else (C9).
fn readiness(before: &Chain, chain: &Chain, activated: bool, left: Option<&Member>) -> Result<(), Violation> {
    let same_tail = before.tail() == chain.tail();
    let legal = if activated {
        before.tail_ready && !chain.tail_ready
    } else if !same_tail {
        // The tail has gone: the one before it is an old copy.
        chain.tail_ready
    } else {
        chain.tail_ready == before.tail_ready || (chain.tail_ready && left.is_none())
    };
    demand!(
        legal,
        Continuity,
        "C9",
        "slot {}: the tail of version {} is {}, after {before:?} it cannot be: {chain:?}",
        chain.slot,
        chain.version,
        if chain.tail_ready { "ready" } else { "not ready" }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use catena_core::{Incarnation, NodeId};

    use super::*;

    fn member(name: &str) -> Member {
        let incarnation = Incarnation(u128::from(name.as_bytes()[0]));
        Member { node: NodeId::new(name).expect("a name"), incarnation, activated: ChainVersion(1) }
    }

    /// Version 5: {a, b, c}, d joining.
    fn chain() -> Chain {
        Chain {
            slot: Slot(0),
            version: ChainVersion(5),
            epoch: Epoch(2),
            members: ["a", "b", "c"].map(member).into(),
            tail_ready: true,
            joining: Some(Member { activated: ChainVersion(5), ..member("d") }),
        }
    }

    /// What version 6 gives, after version 5.
    fn next(change: impl FnOnce(&mut Chain)) -> Result<Option<Member>, Violation> {
        let mut chains = Chains { slots: vec![vec![chain()]], epoch: Epoch(2) };
        let mut next = Chain { version: ChainVersion(6), ..chain() };
        change(&mut next);
        chains.decide(&next)
    }

    fn activate(chain: &mut Chain) {
        let joined = chain.joining.take().expect("it joins");
        chain.members.push(Member { activated: chain.version, ..joined });
        chain.tail_ready = false;
    }

    #[test]
    fn each_single_change_is_legal() {
        assert_eq!(next(|_| {}), Ok(None), "a newer version after a restart");
        assert_eq!(next(|chain| chain.joining = None), Ok(None));
        assert_eq!(next(activate), Ok(None));
        assert_eq!(next(|chain| drop(chain.members.remove(0))), Ok(Some(member("a"))));
        assert_eq!(next(|chain| drop(chain.members.remove(2))), Ok(Some(member("c"))));
        assert_eq!(next(|chain| chain.epoch = Epoch(3)), Ok(None));
    }

    #[test]
    fn each_change_that_does_not_follow_is_caught() {
        type Wrong = fn(&mut Chain);
        let wrong: [(&str, Wrong); 12] = [
            ("C1", |chain| chain.version = ChainVersion(5)),
            ("C1", |chain| chain.version = ChainVersion(7)),
            ("C1", |chain| chain.epoch = Epoch(1)),
            ("C3", |chain| chain.members.swap(0, 1)),
            ("C3", |chain| chain.members.truncate(1)),
            ("C3", |chain| chain.members.clear()),
            ("C3", |chain| chain.members.push(member("e"))),
            ("C3", |chain| chain.members[1].incarnation = Incarnation(9)),
            ("C3", |chain| {
                activate(chain);
                chain.members.remove(0);
            }),
            ("C9", |chain| {
                activate(chain);
                chain.tail_ready = true;
            }),
            ("C9", |chain| chain.tail_ready = false),
            ("C11", |chain| chain.joining = Some(member("e"))),
        ];
        for (case, (rule, wrong)) in wrong.into_iter().enumerate() {
            assert_eq!(next(wrong).expect_err(&format!("case {case}")).rule, rule, "case {case}");
        }
    }

    #[test]
    fn a_tail_that_is_not_ready_is_no_copy_and_stays_so() {
        let mut unready = chain();
        activate(&mut unready);
        let after = |change: fn(&mut Chain)| {
            let mut chains = Chains { slots: vec![vec![unready.clone()]], epoch: Epoch(2) };
            let mut next = Chain { version: ChainVersion(6), ..unready.clone() };
            change(&mut next);
            chains.decide(&next)
        };
        assert_eq!(after(|chain| chain.tail_ready = true), Ok(None));
        assert!(after(|chain| drop(chain.members.remove(1))).is_ok(), "it stays not ready");
        let forgotten = after(|chain| {
            chain.members.remove(1);
            chain.tail_ready = true;
        });
        assert_eq!(forgotten.expect_err("ready by a removal").rule, "C9");
        let last = after(|chain| drop(chain.members.drain(..3)));
        assert_eq!(last.expect_err("only the tail that is not ready is left").rule, "C3");
        let second = after(|chain| {
            chain.joining = Some(Member { activated: ChainVersion(6), ..member("e") });
        });
        assert!(second.is_ok(), "one may be attached");
        let with_joiner = Chain { joining: Some(member("e")), ..unready.clone() };
        let mut chains = Chains { slots: vec![vec![with_joiner]], epoch: Epoch(2) };
        let mut next = Chain { version: ChainVersion(6), joining: Some(member("e")), ..unready.clone() };
        activate(&mut next);
        assert_eq!(chains.decide(&next).expect_err("a second activation").rule, "C9");
        let gone = after(|chain| drop(chain.members.pop()));
        assert_eq!(gone.expect_err("the tail behind it is an old copy, and ready").rule, "C9");
    }

    #[test]
    fn leaving_out_a_member_that_may_still_show_state_is_caught() {
        let next = Chain { version: ChainVersion(6), ..chain() };
        let running = |version, shows, leased_until| {
            let truth =
                Truth::Running { version: ChainVersion(version), shows, leased_until: Time(leased_until), now: Time(100) };
            Chains::cut_off(&next, &member("a"), truth)
        };
        assert_eq!(running(5, Shows::Yes, 100), Ok(()), "its lease has run out");
        assert_eq!(running(5, Shows::Fenced, 101), Ok(()));
        assert_eq!(running(5, Shows::Inactive, 101), Ok(()));
        running(5, Shows::Yes, 101).expect_err("one nanosecond is left");
        running(4, Shows::Fenced, 101).expect_err("fenced in an older version than the one that is replaced");
        for gone in [Truth::OtherDirectory, Truth::Down, Truth::Stopping] {
            assert_eq!(Chains::cut_off(&next, &member("a"), gone), Ok(()));
        }
    }

    #[test]
    fn a_first_chain_of_another_version_and_a_node_twice_are_caught() {
        let mut chains = Chains::new(1);
        chains.decide(&chain()).expect_err("version 5 first");
        let first = Chain { version: ChainVersion(1), joining: None, ..chain() };
        assert_eq!(chains.decide(&first), Ok(None));
        assert_eq!((chains.current(Slot(0)), chains.changes()), (Some(&first), 0));
        assert_eq!(chains.adopted(&first, "a"), Ok(()));
        chains.adopted(&Chain { version: ChainVersion(2), ..first.clone() }, "a").expect_err("not in effect");
        chains.adopted(&Chain { tail_ready: false, ..first.clone() }, "a").expect_err("another content");
        let twice = Chain { members: vec![member("a"), member("a")], ..first };
        Chains::new(1).decide(&twice).expect_err("a node twice");
    }

    #[test]
    fn a_leadership_that_is_not_newer_and_a_change_of_a_deposed_leader_are_caught() {
        let mut chains = Chains::new(1);
        assert_eq!((chains.elected(Epoch(1)), chains.elected(Epoch(2)), chains.stored_under(Epoch(2))), (Ok(()), Ok(()), Ok(())));
        chains.stored_under(Epoch(1)).expect_err("deposed");
        chains.elected(Epoch(2)).expect_err("a second leader of one epoch");
    }
}
