//! Group commit: as many batches as are waiting share one sync.

use catena_core::{Batch, Entry, Session, Ticket, Write};

use crate::{Store, StoreError};

/// A group takes no further batch once it weighs this much, so that one burst of large values does not hold up the
/// tickets of all. Chosen here: about what a sync of 10 ms carries on a slow disk.
pub const GROUP_BYTES: usize = 8 << 20;

/// One step of group commit: submits `first` and what `waiting` yields up to [`GROUP_BYTES`], syncs once, returns the last
/// ticket that is durable. `waiting` must not block: it ends the group by `None`.
///
/// The storage thread runs it over a channel; a simulated node, which may have no thread, in a task.
///
/// # Errors
/// As [`Store::submit`] and [`Store::sync`]: the store is of no further use.
pub fn commit_group<S: Store>(
    store: &mut S,
    first: Batch,
    mut waiting: impl FnMut() -> Option<Batch>,
) -> Result<Ticket, StoreError> {
    let mut bytes = weight(&first);
    store.submit(first)?;
    while bytes < GROUP_BYTES
        && let Some(batch) = waiting()
    {
        bytes += weight(&batch);
        store.submit(batch)?;
    }
    let ticket = store.sync()?;
    Ok(ticket.expect("a sync after a submit names a ticket"))
}

/// What a batch weighs on its way to the disk, in bytes.
fn weight(batch: &Batch) -> usize {
    let entries = |entries: &[Entry]| entries.iter().map(Entry::weight).sum::<usize>();
    let writes = batch.writes.iter().map(|write| match write {
        Write::Append(written) | Write::Spill(written) => entries(written),
        Write::Apply { entries: applied, sessions } => {
            entries(applied) + sessions.iter().filter_map(|(_, session)| session.as_ref()).map(session_weight).sum::<usize>()
        }
        Write::Stage { pin: _, objects } => objects.iter().map(|(key, object)| FRAME + key.len() + object.value.len()).sum(),
        Write::Install { pin: _, end } => end.sessions.iter().map(|(_, session)| session_weight(session)).sum(),
        Write::Chain(_) | Write::Truncate { .. } | Write::DropSpill | Write::Clear | Write::Quarantine => 0,
    });
    writes.sum()
}

/// About what a record has besides its content, and what an answer takes.
const FRAME: usize = 64;

fn session_weight(session: &Session) -> usize {
    FRAME * (1 + session.answers.len())
}
