//! Reads at the tail (R1, R2).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Context, Replica};
use crate::{CallError, Effect, MismatchReason, Object, Operation, Page, Reply, RequestId, Role, Target};

impl Replica {
    /// A client's read. `stored` was read before this step's `now` was taken, so the lease is checked after the
    /// answer has been assembled (R1).
    pub(crate) fn on_read(
        &mut self,
        request: RequestId,
        target: Target,
        key: &Bytes,
        stored: Option<Object>,
        cx: &mut Context<'_>,
    ) {
        let admitted = cx.config.limits.admit_key(key).and_then(|()| self.admit_read(target, cx));
        let result = admitted.map(|()| Reply::Read { version: self.version(), object: self.committed_object(key, stored) });
        cx.out.push(Effect::Reply { request, result });
    }

    /// A client's scan, as a read of every key that is in the page's range.
    pub(crate) fn on_scan(
        &mut self,
        request: RequestId,
        target: Target,
        after: Option<&Bytes>,
        bytes: usize,
        stored: Page,
        cx: &mut Context<'_>,
    ) {
        let result = self.admit_read(target, cx).map(|()| {
            let page = self.committed_page(after, bytes, stored);
            Reply::Scanned { version: self.version(), page }
        });
        cx.out.push(Effect::Reply { request, result });
    }

    fn admit_read(&self, target: Target, cx: &Context<'_>) -> Result<(), CallError> {
        self.admit_route(target, Role::is_tail, cx.me)?;
        if !self.serving() {
            return Err(self.mismatch(target.version, self.role(cx.me), MismatchReason::Inactive));
        }
        if !cx.leased && !mutant!(ReadWithoutLease) {
            reached!(ReadWithoutLease);
            return Err(CallError::NoLease { slot: self.slot });
        }
        let caught_up = self.matched && self.committed >= self.barrier;
        if !caught_up && !mutant!(ReadBeforeBarrier) {
            reached!(ReadBelowBarrier);
            return Err(CallError::NotCaughtUp { slot: self.slot });
        }
        reached!(ReadWhileInFlight if self.committed < self.last());
        Ok(())
    }

    /// The page, with what committed entries in memory make of it: of about `bytes`, and one object at least.
    fn committed_page(&self, after: Option<&Bytes>, bytes: usize, stored: Page) -> Page {
        let Page { objects, mut next } = stored;
        let mut page: BTreeMap<Bytes, Object> = objects.into_iter().collect();
        let keys = self.log.keys(after, next.as_ref());
        for key in keys.into_iter().filter(|_| !mutant!(ScanOfAppliedOnly)) {
            if let Some(object) = self.committed_object(&key, page.remove(&key)) {
                page.insert(key, object);
            }
        }
        let (mut objects, mut weight) = (Vec::new(), 0);
        for (key, object) in page {
            weight += key.len() + object.value.len();
            if weight > bytes && !objects.is_empty() {
                next = objects.last().map(|(key, _): &(Bytes, Object)| key.clone());
                break;
            }
            objects.push((key, object));
        }
        Page { objects, next }
    }

    /// Committed entries in memory have the last word over the store, which may not have applied them yet.
    fn committed_object(&self, key: &Bytes, stored: Option<Object>) -> Option<Object> {
        let mut to = self.committed;
        if mutant!(ReadUncommitted) {
            to = self.last();
        }
        let Some(entry) = self.log.latest(key, to) else { return stored };
        match &entry.operation {
            Operation::Put { value, .. } => entry.metadata().map(|metadata| Object { value: value.clone(), metadata }),
            Operation::Delete { .. } | Operation::Nothing { .. } | Operation::OpenSession | Operation::Expire { .. } => None,
        }
    }
}
