//! What a replica is made of when its disk is read, and what becomes of it when the disk cannot give back what it had (C10, D2).

use super::disk::Promise;
use super::transfer::Staged;
use super::{Context, Damage, Replica, Standing};
use crate::log::Log;
use crate::{Effect, MismatchReason, Recovered, RequestId, Role, Sessions, Write};

impl Replica {
    /// A replica as its disk has it: a member takes part again in a version newer than the one it knows (C10).
    pub(crate) fn recovered(mut recovered: Recovered, cx: &mut Context<'_>) -> Self {
        let chain = recovered.chain.take();
        let damage = match (&recovered.damaged, recovered.quarantined) {
            (Some(_), _) if !mutant!(CorruptIsAbsent) => Damage::All,
            (_, true) if !mutant!(DamageForgotten) => Damage::Objects,
            (_, _) => Damage::None,
        };
        reached!(DamagedLog if damage == Damage::All);
        let standing = match chain.as_ref().map_or(Role::None, |chain| chain.role(cx.me)) {
            Role::Joining | Role::None => Standing::Removed,
            _ if damage == Damage::All => Standing::Astray,
            Role::Head | Role::Middle | Role::Tail | Role::Only => Standing::Restarted,
        };
        let staged = recovered.staged.take();
        let stored_sessions = Sessions::new(std::mem::take(&mut recovered.sessions));
        let slot = recovered.slot;
        let log = Log::recovered(recovered);
        let (trim, last) = (log.trim().seq, log.last().seq);
        let mut replica = Self {
            chain,
            standing,
            damage,
            sessions: stored_sessions.clone(),
            stored_sessions,
            submitted: last,
            durable: last,
            committed: trim,
            applying: trim,
            staged: staged.map(|(pin, after)| Staged { pin, after }),
            ..Self::new(slot)
        };
        replica.log = log;
        replica.recount_sessions();
        if let Some(chain) = replica.chain.clone().filter(|_| mutant!(ActAfterRestart) && standing == Standing::Restarted) {
            replica.adopt(chain, cx);
        }
        replica
    }

    /// A joining replica goes on in the version that it restarted in (C10).
    pub(crate) fn rejoin(&mut self, cx: &mut Context<'_>) {
        if self.role(cx.me) == Role::Joining
            && let Some(chain) = self.chain.clone()
        {
            self.adopt(chain, cx);
        }
    }

    /// A record that was to be read is damaged: somebody else has to take its place (D2).
    pub(crate) fn on_damaged(&mut self, request: Option<RequestId>, cx: &mut Context<'_>) {
        if self.damage == Damage::None {
            reached!(DamagedObject);
            self.damage = Damage::Objects;
            self.submit(vec![Write::Quarantine], Promise::Quarantined, cx);
        }
        match request {
            Some(request) => {
                let error = self.mismatch(self.version(), self.role(cx.me), MismatchReason::Damaged);
                cx.out.push(Effect::Reply { request, result: Err(error) });
            }
            // Should this be the only copy, the record may still be overwritten, or read another time.
            None => self.stop_keeping(cx),
        }
    }
}
