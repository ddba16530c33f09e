//! One answer for many who ask at about the same time: the driver is asked no oftener than that.

use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// For so long an answer is as good as a new one. Chosen here: an interval of heartbeats.
const FRESH: Duration = Duration::from_millis(100);

/// The last answer; while one is being made, others wait for it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Shared {
    /// The last answer, if it is fresh, or a new one.
    pub(super) async fn get<E>(&self, make: impl Future<Output = Result<Bytes, E>>) -> Result<Bytes, E> {
        let mut last = self.last.lock().await;
        if let Some((made, answer)) = &*last
            && made.elapsed() < FRESH
        {
            return Ok(answer.clone());
        }
        let answer = make.await?;
        *last = Some((Instant::now(), answer.clone()));
        Ok(answer)
    }
}
