//! Invocations and responses in the order of time: a list that ops are taken out of, and put back in reverse, at no cost.

use super::Op;
use crate::history::Instant;

/// Where the line begins and ends.
const END: usize = 0;

/// The ops that have returned and are not placed yet.
pub(super) struct Line {
    /// What stands where, from 1 on.
    moments: Vec<Moment>,
    /// For each place the one after and the one before; that after the last, and before the first, is [`END`].
    after: Vec<usize>,
    before: Vec<usize>,
    /// Where each op is invoked and returns; nowhere, if it is open.
    places: Vec<[usize; 2]>,
}

#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    op: usize,
    is_response: bool,
}

impl Line {
    pub(super) fn new(ops: &[Op<'_>]) -> Self {
        let mut moments = Vec::with_capacity(2 * ops.len());
        for (op, Op { invoked, returned, .. }) in ops.iter().enumerate() {
            let Some(returned) = returned else { continue };
            moments.push(Moment { at: *invoked, op, is_response: false });
            moments.push(Moment { at: *returned, op, is_response: true });
        }
        moments.sort_unstable_by_key(|moment| moment.at);
        let mut places = vec![[END; 2]; ops.len()];
        for (index, moment) in moments.iter().enumerate() {
            places[moment.op][usize::from(moment.is_response)] = index + 1;
        }
        let count = moments.len() + 1;
        Self {
            moments,
            after: (0..count).map(|place| (place + 1) % count).collect(),
            before: (0..count).map(|place| (place + count - 1) % count).collect(),
            places,
        }
    }

    fn moment(&self, place: usize) -> Option<&Moment> {
        self.moments.get(place.checked_sub(1)?)
    }

    /// The first place.
    pub(super) fn first(&self) -> usize {
        self.after[END]
    }

    /// The place after this one.
    pub(super) fn after(&self, place: usize) -> usize {
        self.after[place]
    }

    /// The op that is invoked here, if it is that.
    pub(super) fn invoked_at(&self, place: usize) -> Option<usize> {
        self.moment(place).filter(|moment| !moment.is_response).map(|moment| moment.op)
    }

    fn response(&self) -> Option<&Moment> {
        let mut place = self.first();
        while self.invoked_at(place).is_some() {
            place = self.after(place);
        }
        self.moment(place)
    }

    /// The op that returns first. `None`: all are placed.
    pub(super) fn first_response(&self) -> Option<usize> {
        self.response().map(|moment| moment.op)
    }

    /// When it returns.
    pub(super) fn first_returned(&self) -> Instant {
        self.response().map_or(Instant(u64::MAX), |moment| moment.at)
    }

    /// The op is placed.
    pub(super) fn take_out(&mut self, op: usize) {
        for place in self.places[op] {
            let (before, after) = (self.before[place], self.after[place]);
            (self.after[before], self.before[after]) = (after, before);
        }
    }

    /// The op that was taken out last of all is not placed any more.
    pub(super) fn put_back(&mut self, op: usize) {
        for place in self.places[op].into_iter().rev() {
            let (before, after) = (self.before[place], self.after[place]);
            (self.after[before], self.before[after]) = (place, place);
        }
    }
}
