//! What answers to reads weigh that clients have not taken yet: so much for a node, and no more.
//!
//! An answer is read, and then waits for its client: to be encoded, and to be sent as fast as that one takes it. The room for
//! it is taken before it is read, and given back when the connection has sent it, or has ended. A read for which there is no
//! room waits outside of the node's driver, in order of arrival; the driver is at other things meanwhile.
//!
//! ```text
//!   Kv ── NodeInput::Read ──▶ driver: how large is it? ── room ──▶ reads it ── Caller::send ──▶ Kv ──▶ connection
//!    ▲                                     │ no room                                        (with the room)   │
//!    └── waits for room, asks again ◀── Caller::put_off                                     given back ◀──────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use catena_core::{CallError, Page, Reply, Resource, Slot};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// Answers up to here are small ones, which have room of their own: large ones that nobody takes do not hold them up.
pub(super) const SMALL: usize = 64 << 10;

/// So much of all room, one in so many parts, is for small ones.
const SMALL_SHARE: usize = 4;

/// How long a read may wait for room, in all. Chosen here: below what the Rust client gives a try.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an object takes beside its key and value, and an answer beside its objects, in bytes. Rounded up.
const OVERHEAD: usize = 128;

/// The room of a node.
#[derive(Clone, Debug)]
pub struct Answers {
    limit: usize,
    small: Pool,
    large: Pool,
}

#[derive(Clone, Debug)]
struct Pool {
    limit: usize,
    free: Arc<Semaphore>,
}

/// Room for an answer; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share(OwnedSemaphorePermit);

impl Share {
    /// Gives back what is more than this; `false`: it is less.
    fn shrink(&mut self, bytes: u32) -> bool {
        let Some(more) = self.0.num_permits().checked_sub(bytes as usize) else { return false };
        drop(self.0.split(more));
        true
    }
}

impl Answers {
    /// Room for so many bytes; and for one answer at a time, however large it is.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.clamp(SMALL_SHARE * SMALL, u32::MAX as usize);
        let small = limit / SMALL_SHARE;
        Self { limit, small: Pool::new(small), large: Pool::new(limit - small) }
    }

    /// What an answer of so many bytes takes: one that is larger than all room takes all.
    fn weight(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.large.limit)).expect("no limit is larger")
    }

    fn pool(&self, bytes: u32) -> &Pool {
        if bytes as usize <= SMALL { &self.small } else { &self.large }
    }

    /// Room, if there is some and nobody waits for it.
    fn share(&self, bytes: u32) -> Option<Share> {
        self.pool(bytes).free.clone().try_acquire_many_owned(bytes).ok().map(Share)
    }

    /// Room once there is some; `None`: not in time. Who came first gets it first. Safe to cancel.
    pub(super) async fn wait(&self, bytes: u32, until: Instant) -> Option<Share> {
        let patience = until.saturating_duration_since(Instant::now());
        let share = timeout(patience, self.pool(bytes).free.clone().acquire_many_owned(bytes)).await.ok()?;
        Some(Share(share.expect("nobody closes it")))
    }

    /// What is taken of it, in bytes.
    pub fn taken(&self) -> usize {
        [&self.small, &self.large].map(|pool| pool.limit - pool.free.available_permits()).iter().sum()
    }

    fn exhausted(&self, slot: Slot, bytes: u32) -> CallError {
        let (current, limit) = (self.taken() as u64 + u64::from(bytes), self.limit as u64);
        // As long as it has waited.
        CallError::Backpressure { slot, resource: Resource::NodeAnswers, current, limit, retry_after: PATIENCE }
    }
}

impl Pool {
    fn new(limit: usize) -> Self {
        Self { limit, free: Arc::new(Semaphore::new(limit)) }
    }
}

/// How often a read may be put off.
#[derive(Clone, Copy, Debug)]
pub(super) enum Try {
    /// Until then it may wait for room.
    Until(Instant),
    /// This is the last.
    Last,
}

impl Try {
    /// The first, of a read that has not waited yet.
    pub(super) fn first() -> Self {
        Try::Until(Instant::now() + PATIENCE)
    }
}

/// What an answer may take.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) answers: Answers,
    pub(super) slot: Slot,
    pub(super) share: Option<Share>,
    pub(super) tries: Try,
}

/// What comes back from the driver.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The answer, and the room that it takes.
    Answer(Result<Reply, CallError>, Option<Share>),
    /// Nothing has been done yet: there is no room for an answer of so many bytes.
    PutOff { bytes: u32, until: Instant },
}

/// Who waits for an answer, and has room for it. Dropping it tells them that the outcome is unknown.
#[derive(Debug)]
pub struct Caller {
    reply: oneshot::Sender<Verdict>,
    /// Of reads and scans. Other answers weigh nothing.
    room: Option<Room>,
}

/// Why an answer must not be read: there is no room for it.
#[derive(Debug)]
pub enum NoRoom {
    /// The caller waits for some, and asks again: [put it off](Caller::put_off).
    Yet(PutOff),
    /// It has waited for long enough, and is to be told this.
    Refused(CallError),
}

/// Nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// With what a caller is put off.
#[derive(Debug)]
pub struct PutOff {
    bytes: u32,
    until: Instant,
}

impl Caller {
    pub(super) fn new(room: Option<Room>) -> (Self, oneshot::Receiver<Verdict>) {
        let (reply, verdict) = oneshot::channel();
        (Self { reply, room }, verdict)
    }

    /// Takes room for an answer of one object, with so many bytes of key and value; or of several that together have as many.
    /// In place of what was taken before.
    ///
    /// # Errors
    /// When there is none: the answer must not be read.
    pub fn make_room(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.make_room_for(bytes, 1)
    }

    /// The same for a page that has been read.
    ///
    /// # Errors
    /// When there is none: it is to be dropped.
    pub fn make_room_for_page(&mut self, page: &Page) -> Result<(), NoRoom> {
        let (bytes, objects) = weight(page);
        self.make_room_for(bytes, objects)
    }

    fn make_room_for(&mut self, bytes: usize, objects: usize) -> Result<(), NoRoom> {
        let Some(Room { answers, slot, share, tries }) = &mut self.room else { return Ok(()) };
        let bytes = answers.weight(bytes + (objects + 1) * OVERHEAD);
        if share.as_mut().is_some_and(|share| share.shrink(bytes)) {
            return Ok(());
        }
        // Given back first: who asks for more at once would wait for itself.
        drop(share.take());
        *share = answers.share(bytes);
        match (&share, *tries) {
            (Some(_), _) => Ok(()),
            (None, Try::Until(until)) => Err(NoRoom::Yet(PutOff { bytes, until })),
            (None, Try::Last) => Err(NoRoom::Refused(answers.exhausted(*slot, bytes))),
        }
    }

    /// Has the caller wait for room and ask again, as if it had not asked yet.
    pub fn put_off(self, PutOff { bytes, until }: PutOff) {
        // A caller that has gone does not wait.
        let _ = self.reply.send(Verdict::PutOff { bytes, until });
    }

    /// Answers. An answer to a read that has no room, or less than it takes, is not sent: its caller waits, or is refused.
    ///
    /// # Errors
    /// When nobody waits for it any more.
    pub fn send(mut self, result: Result<Reply, CallError>) -> Result<(), Gone> {
        let room = match &result {
            Ok(Reply::Read { object, .. }) => self.make_room(object.as_ref().map_or(0, |object| object.value.len())),
            Ok(Reply::Scanned { page, .. }) => self.make_room_for_page(page),
            Ok(_) | Err(_) => {
                self.room = None;
                Ok(())
            }
        };
        let verdict = match room {
            Ok(()) => Verdict::Answer(result, self.room.and_then(|room| room.share)),
            Err(NoRoom::Yet(PutOff { bytes, until })) => Verdict::PutOff { bytes, until },
            Err(NoRoom::Refused(error)) => Verdict::Answer(Err(error), None),
        };
        self.reply.send(verdict).map_err(|_| Gone)
    }

    /// Whether nobody waits any more.
    pub fn is_closed(&self) -> bool {
        self.reply.is_closed()
    }
}

/// The bytes of its keys and values, and of how many objects.
fn weight(page: &Page) -> (usize, usize) {
    let bytes = page.objects.iter().map(|(key, object)| key.len() + object.value.len()).sum();
    (bytes, page.objects.len())
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use bytes::Bytes;
    use catena_core::{ChainVersion, Metadata, Object, Seq, WallTime};

    use super::*;

    const LIMIT: usize = 1 << 20;
    const LARGE: usize = 512 << 10;

    fn caller(answers: &Answers, tries: Try) -> (Caller, oneshot::Receiver<Verdict>) {
        Caller::new(Some(Room { answers: answers.clone(), slot: Slot(3), share: None, tries }))
    }

    fn found(len: usize) -> Reply {
        let metadata = Metadata { version: Seq(1), created_at: WallTime(1), updated_at: WallTime(1) };
        let object = Object { value: Bytes::from(vec![7; len]), metadata };
        Reply::Read { version: ChainVersion(1), object: Some(object) }
    }

    #[tokio::test]
    async fn an_answer_has_its_room_until_it_is_dropped() {
        let answers = Answers::new(LIMIT);
        let (mut first, mut at_first) = caller(&answers, Try::first());
        first.make_room(LARGE).expect("all of it is there");
        first.send(Ok(found(LARGE))).expect("it waits");
        let (mut second, mut at_second) = caller(&answers, Try::first());
        let Err(NoRoom::Yet(put_off)) = second.make_room(LARGE) else { panic!("no room for two") };
        second.put_off(put_off);
        assert!(matches!(at_second.try_recv(), Ok(Verdict::PutOff { .. })));
        let (last, mut at_last) = caller(&answers, Try::Last);
        last.send(Ok(found(LARGE))).expect("it waits");
        let current = 2 * (LARGE + 2 * OVERHEAD) as u64;
        let (slot, resource, limit) = (Slot(3), Resource::NodeAnswers, LIMIT as u64);
        let error = CallError::Backpressure { slot, resource, current, limit, retry_after: PATIENCE };
        assert!(matches!(at_last.try_recv(), Ok(Verdict::Answer(Err(refused), None)) if refused == error));
        // Small ones have room of their own.
        let (mut small, _at_small) = caller(&answers, Try::Last);
        small.make_room(SMALL / 2).expect("room for small ones");
        drop(at_first.try_recv());
        let (mut third, _at_third) = caller(&answers, Try::Last);
        third.make_room(LARGE).expect("there is room again");
    }

    #[tokio::test]
    async fn what_turns_out_smaller_gives_back_the_rest_and_what_turns_out_larger_asks_again() {
        let answers = Answers::new(LIMIT);
        let (mut reads, mut verdict) = caller(&answers, Try::first());
        reads.make_room(LARGE).expect("all of it is there");
        reads.send(Ok(found(10))).expect("it waits");
        let Ok(Verdict::Answer(Ok(_), Some(share))) = verdict.try_recv() else { panic!("answered") };
        assert_eq!(answers.taken(), 10 + 2 * OVERHEAD);
        drop(share);
        let (mut reads, mut verdict) = caller(&answers, Try::first());
        reads.make_room(10).expect("all of it is there");
        let rest = answers.share(u32::try_from(LARGE).expect("small")).expect("all of it is there");
        reads.send(Ok(found(LARGE))).expect("it waits");
        assert!(matches!(verdict.try_recv(), Ok(Verdict::PutOff { bytes, .. }) if bytes as usize > LARGE));
        assert_eq!(answers.taken(), LARGE, "what it had is given back");
        drop(rest);
        // One that is larger than all room has its turn when there is nothing else.
        let (reads, mut verdict) = caller(&answers, Try::Last);
        reads.send(Ok(found(2 * LIMIT))).expect("it waits");
        assert!(matches!(verdict.try_recv(), Ok(Verdict::Answer(Ok(_), Some(_)))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_room_in_order_or_is_told_in_time_that_there_is_none() {
        let answers = Answers::new(LIMIT);
        let bytes = u32::try_from(LARGE).expect("small");
        let first = answers.share(bytes).expect("all of it is there");
        let until = Instant::now() + PATIENCE;
        let (large, waits) = (answers.clone(), answers.clone());
        let second = tokio::spawn(async move { large.wait(bytes, until).await });
        tokio::task::yield_now().await;
        let third = tokio::spawn(async move { waits.wait(u32::try_from(SMALL).expect("small") + 1, until).await });
        tokio::task::yield_now().await;
        assert!(answers.share(u32::try_from(SMALL).expect("small") + 1).is_none(), "nobody passes those who wait");
        drop(first);
        let share = second.await.expect("no panic").expect("its turn");
        third.await.expect("no panic").expect("there is room for both");
        let began = Instant::now();
        assert!(answers.wait(bytes, began + PATIENCE).await.is_none(), "the second has it still");
        assert_eq!(began.elapsed(), PATIENCE);
        drop(share);
        assert_eq!(answers.taken(), 0);
    }
}
