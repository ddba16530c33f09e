//! The search for an order: depth first, one op placed after the other, and back where none fits.

use std::collections::HashSet;

use super::line::Line;
use super::{Deal, Known, Op, State, Verdict};

/// Looks for an order, and tries an op at a place so often at most.
pub(super) fn search(ops: &[Op<'_>], known: &Known, patience: u64) -> Verdict {
    let mut search = Search::new(ops, known);
    let (mut furthest, mut stuck) = (0, None);
    let mut next = search.first();
    loop {
        let Some(response) = search.line.first_response() else { return Verdict::Linearizable };
        if search.tries > patience {
            return Verdict::GivenUp;
        }
        if search.place_one(next) {
            next = search.first();
            continue;
        }
        if stuck.is_none() || search.frames.len() > furthest {
            (furthest, stuck) = (search.frames.len(), Some(ops[response].id));
        }
        match search.go_back() {
            Some(candidate) => next = search.after(candidate),
            None => return Verdict::Not { placed: furthest, then: stuck.expect("just set") },
        }
    }
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    /// A bit for each op that is placed.
    placed: Box<[u64]>,
    state: State,
    /// The last op placed is open: whatever comes next has to look at what it did, or it might as well not have happened.
    owes_a_look: bool,
}

impl Place {
    fn has(&self, op: usize) -> bool {
        self.placed[op / 64] & (1 << (op % 64)) != 0
    }

    fn flip(&mut self, op: usize) {
        self.placed[op / 64] ^= 1 << (op % 64);
    }
}

/// An op that may come next: first those that have returned, of these first those that only look, then those that are open.
#[derive(Clone, Copy, Debug)]
enum Candidate {
    /// By its place in the line.
    Looks(usize),
    /// By its place in the line.
    Changes(usize),
    /// By its number among the open ones.
    Open(usize),
}

/// An op that was placed, and how things stood before.
struct Frame {
    op: usize,
    candidate: Candidate,
    state: State,
    owed_a_look: bool,
}

struct Search<'a> {
    ops: &'a [Op<'a>],
    known: &'a Known,
    /// Ops that have returned and are not placed.
    line: Line,
    /// Ops that are open, in the order of their invocation; with the one before that nobody could tell from it.
    open: Vec<(usize, Option<usize>)>,
    /// For each put, how many ops that have returned and are not placed can only come right after it.
    wanted: Vec<usize>,
    place: Place,
    /// Where the search has been in vain. Not where it has come through: it cannot come there twice, as each place has an op more.
    barren: HashSet<Place>,
    frames: Vec<Frame>,
    tries: u64,
}

impl<'a> Search<'a> {
    fn new(ops: &'a [Op<'a>], known: &'a Known) -> Self {
        let mut sorted: Vec<usize> = (0..ops.len()).filter(|op| ops[*op].returned.is_none()).collect();
        sorted.sort_unstable_by_key(|op| ops[*op].invoked);
        let alike = |a: usize, b: usize| ops[a].deal == ops[b].deal && ops[a].conditions == ops[b].conditions;
        let mut wanted = vec![0; known.calls];
        ops.iter().filter(|op| op.returned.is_some()).filter_map(|op| op.after).for_each(|put| wanted[put] += 1);
        let twin = |index: usize| sorted[..index].iter().rev().copied().find(|before| alike(*before, sorted[index]));
        Self {
            ops,
            known,
            line: Line::new(ops),
            open: sorted.iter().enumerate().map(|(index, op)| (*op, twin(index))).collect(),
            wanted,
            place: Place { placed: vec![0; ops.len().div_ceil(64)].into(), state: None, owes_a_look: false },
            barren: HashSet::new(),
            frames: Vec::new(),
            tries: 0,
        }
    }

    fn first(&self) -> Candidate {
        Candidate::Looks(self.line.first())
    }

    fn after(&self, candidate: Candidate) -> Candidate {
        match candidate {
            Candidate::Looks(at) => Candidate::Looks(self.line.after(at)),
            Candidate::Changes(at) => Candidate::Changes(self.line.after(at)),
            Candidate::Open(index) => Candidate::Open(index + 1),
        }
    }

    /// Places the first op from here on that fits, of those invoked before any that is not placed had returned.
    fn place_one(&mut self, from: Candidate) -> bool {
        let mut candidate = from;
        loop {
            let op = match candidate {
                Candidate::Looks(at) | Candidate::Changes(at) => self.line.invoked_at(at),
                Candidate::Open(index) => self.open.get(index).map(|(op, _)| *op),
            };
            candidate = match (candidate, op) {
                (Candidate::Looks(_), None) => Candidate::Changes(self.line.first()),
                (Candidate::Changes(_), None) => Candidate::Open(0),
                (Candidate::Open(_), None) => return false,
                (Candidate::Open(_), Some(op)) if self.ops[op].invoked > self.line.first_returned() => return false,
                (_, Some(op)) if self.is_kind(candidate, op) && self.fits(candidate, op) => return true,
                (_, Some(_)) => self.after(candidate),
            };
        }
    }

    fn is_kind(&self, candidate: Candidate, op: usize) -> bool {
        let looks = matches!(self.ops[op].deal, Deal::Saw(_));
        match candidate {
            Candidate::Looks(_) => looks,
            Candidate::Changes(_) => !looks,
            Candidate::Open(_) => true,
        }
    }

    /// Places an op, if it fits and this leads where the search has not been.
    fn fits(&mut self, candidate: Candidate, op: usize) -> bool {
        self.tries += 1;
        let Place { state, owes_a_look, .. } = self.place;
        let Some(after) = self.ops[op].step(state, self.known) else { return false };
        let is_open = matches!(candidate, Candidate::Open(_));
        if owes_a_look && self.ops[op].is_blind() || after != state && self.is_wanted(state, op) || is_open && after == state {
            return false;
        }
        if let Candidate::Open(index) = candidate
            && (self.place.has(op) || self.open[index].1.is_some_and(|twin| !self.place.has(twin)))
        {
            return false;
        }
        let frame = Frame { op, candidate, state, owed_a_look: owes_a_look };
        self.place.flip(op);
        (self.place.state, self.place.owes_a_look) = (after, is_open);
        if self.barren.contains(&self.place) {
            self.restore(&frame);
            return false;
        }
        if !is_open {
            self.line.take_out(op);
            self.ops[op].after.into_iter().for_each(|put| self.wanted[put] -= 1);
        }
        self.frames.push(frame);
        true
    }

    /// Whether an op other than this one can only come right after the put that wrote the object: a value never returns.
    fn is_wanted(&self, object: State, op: usize) -> bool {
        let Op { returned, after, .. } = self.ops[op];
        let own = usize::from(returned.is_some() && after.is_some() && after == object);
        object.is_some_and(|put| self.wanted[put] > own)
    }

    /// Takes ops out of their places again, up to the last for which there was a choice.
    fn go_back(&mut self) -> Option<Candidate> {
        loop {
            let frame = self.frames.pop()?;
            self.barren.insert(self.place.clone());
            self.restore(&frame);
            if self.ops[frame.op].returned.is_some() {
                self.line.put_back(frame.op);
                self.ops[frame.op].after.into_iter().for_each(|put| self.wanted[put] += 1);
            }
            // What only looks, and may look now, need not wait: whatever is possible later is possible then.
            if !matches!(self.ops[frame.op].deal, Deal::Saw(_)) {
                return Some(frame.candidate);
            }
        }
    }

    fn restore(&mut self, frame: &Frame) {
        self.place.flip(frame.op);
        (self.place.state, self.place.owes_a_look) = (frame.state, frame.owed_a_look);
    }
}
