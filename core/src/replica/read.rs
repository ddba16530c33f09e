//! Reads at the tail (R1, R2).

use bytes::Bytes;

use super::{Context, Replica};
use crate::{CallError, Effect, MismatchReason, Object, Operation, Reply, RequestId, Role, Target};

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
        let result = self
            .admit_read(target, key, cx)
            .map(|()| Reply::Read { version: self.version(), object: self.committed_object(key, stored) });
        cx.out.push(Effect::Reply { request, result });
    }

    fn admit_read(&self, target: Target, key: &[u8], cx: &Context<'_>) -> Result<(), CallError> {
        cx.config.limits.admit_key(key)?;
        self.admit_route(target, Role::is_tail, cx.me)?;
        if !self.serving() {
            return Err(self.mismatch(target.version, self.role(cx.me), MismatchReason::Inactive));
        }
        if !cx.leased && !mutant!(ReadWithoutLease) {
            return Err(CallError::NoLease { slot: self.slot });
        }
        let caught_up = self.matched && self.committed >= self.barrier;
        if !caught_up && !mutant!(ReadBeforeBarrier) {
            return Err(CallError::NotCaughtUp { slot: self.slot });
        }
        Ok(())
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
