//! Whether the disk has room (D3): looked at again and again, on a thread of its own, as a disk may take its time.

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

/// Between two looks. What a fast disk takes in that time is a fraction of the reserve.
const PAUSE: Duration = Duration::from_millis(200);

/// Tells of the disk under `directory` for as long as anybody listens: whether less than `reserve` bytes are free.
pub(super) fn watch(directory: PathBuf, reserve: u64) -> io::Result<watch::Receiver<bool>> {
    let (sender, full) = watch::channel(false);
    let look = move || {
        while !sender.is_closed() {
            // One that cannot be asked fails at the next sync, and says so.
            if let Ok(disk) = rustix::fs::statvfs(&directory) {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
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
