//! Whether the disk has room (D3), and how it gets some: on threads of their own, as a disk may take its time.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use catena_store::{FjallReclaimer, Reclaimed};
use tokio::sync::watch;
use tracing::{info, warn};

/// Between two looks. What a fast disk takes in that time is a fraction of the reserve.
const PAUSE: Duration = Duration::from_millis(200);

/// Tells of the disk under `directory` for as long as anybody listens: whether less than `reserve` bytes are free.
pub(super) fn watch(directory: PathBuf, reserve: u64) -> io::Result<watch::Receiver<bool>> {
    let (sender, full) = watch::channel(false);
    let look = move || {
        while !sender.is_closed() {
            // One that cannot be asked fails at the next sync, and says so.
            if let Some(free) = free(&directory) {
                sender.send_if_modified(|full| {
                    let before = std::mem::replace(full, is_full(*full, free, reserve));
                    before != *full
                });
            }
            thread::sleep(PAUSE);
        }
    };
    thread::Builder::new().name("catena-space".to_owned()).spawn(look)?;
    Ok(full)
}

/// Makes room in the store under `directory` for as long as it is open, whenever the disk is full and something was written,
/// which then is mostly deletes.
pub(super) fn reclaim(directory: PathBuf, full: watch::Receiver<bool>, mut store: FjallReclaimer) -> io::Result<()> {
    /// After each time a multiple of what it took: it costs processor and disk, and may be in vain.
    const RESTS: u32 = 4;
    let look = move || {
        loop {
            let began = Instant::now();
            let done = if *full.borrow() {
                store.reclaim(|| free(&directory).unwrap_or(0))
            } else if store.is_closed() {
                Ok(Reclaimed::Closed)
            } else {
                Ok(Reclaimed::Nothing)
            };
            let took = began.elapsed();
            match done {
                Ok(Reclaimed::Closed) => return,
                Ok(Reclaimed::Nothing) => {}
                Ok(Reclaimed::Some) => info!("the disk is full: made room in the store, in {} ms", took.as_millis()),
                // If it is not just a want of room, the next sync fails, and says so.
                Err(error) => warn!("the disk is full, and no room can be made in the store: {error}"),
            }
            thread::sleep((took * RESTS).max(PAUSE));
        }
    };
    thread::Builder::new().name("catena-reclaim".to_owned()).spawn(look)?;
    Ok(())
}

/// Bytes that are free on the disk that has this directory, if it can be asked.
fn free(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// It has room again only when there is a quarter of the reserve more: a few writes must not fill it at once.
fn is_full(before: bool, free: u64, reserve: u64) -> bool {
    free < if before { reserve.saturating_add(reserve / 4) } else { reserve }
}

#[cfg(test)]
mod tests {
    use super::is_full;

    #[test]
    fn a_full_disk_has_room_again_when_there_is_some_to_spare() {
        assert!(!is_full(false, 1000, 1000) && is_full(false, 999, 1000));
        assert!(is_full(true, 1249, 1000) && !is_full(true, 1250, 1000));
    }
}
