//! What only a real disk can do to the coordinator's store: damage, and a write that fails.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use catena_core::{
    Chain, ChainVersion, Change, ClusterConfig, ClusterId, Epoch, Incarnation, Member, NodeId, NodeRecord, Record, Revision,
    Slot, Standing, StoredNode,
};
use catena_store::{ConfigError, ConfigStore, FjallConfigStore, StoreError};
use fjall::{Database, PersistMode};

fn node(revision: u64, address: String) -> Change {
    let (node, labels) = (NodeId::new("n1").unwrap(), [].into());
    let record = NodeRecord { node, incarnation: Incarnation(5), address, labels };
    let record = Record::Node(StoredNode { record, standing: Standing::Member, flaps: vec![], evictions: 0 });
    Change { revision: Revision(revision), record }
}

fn chain(revision: u64) -> Change {
    let member = Member { node: NodeId::new("n1").unwrap(), incarnation: Incarnation(5), activated: ChainVersion(1) };
    let (slot, version, epoch) = (Slot(3), ChainVersion(1), Epoch(1));
    let chain = Chain { slot, version, epoch, members: vec![member], joining: None, tail_ready: true };
    Change { revision: Revision(revision), record: Record::Chain(chain) }
}

fn config() -> ClusterConfig {
    ClusterConfig { cluster: ClusterId(77), slots: 16, replicas: 2, founders: 3, lease: Duration::from_millis(600) }
}

/// A leader takes over, if the store lets it.
fn lead(store: &mut impl ConfigStore) -> Result<Vec<Change>, ConfigError> {
    let over = store.observe()?;
    Ok(store.lead(over)?.unwrap().1)
}

fn records(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = Database::builder(path).open().unwrap();
    let config = database.keyspace("config", || unreachable!("it exists")).unwrap();
    let plain = |record: fjall::Guard| {
        let (key, value) = record.into_inner().unwrap();
        (key.to_vec(), value.to_vec())
    };
    config.iter().map(plain).collect()
}

/// D2: no coordinator leads on what it cannot read, and it says which record that is.
#[test]
fn a_damaged_record_is_named_and_nobody_leads_with_it() {
    let path = tempfile::tempdir().unwrap();
    let mut store = FjallConfigStore::open_unidentified(path.path()).unwrap();
    store.establish(&config()).unwrap();
    lead(&mut store).unwrap();
    store.commit(Epoch(1), &[node(1, "n1:1".to_owned()), chain(2)]).unwrap();
    drop(store);
    let sound = records(path.path());
    let keys: Vec<&[u8]> = sound.iter().map(|(key, _)| key.as_slice()).collect();
    assert_eq!(keys, [b"chain/00000003".as_slice(), b"cluster", b"leadership", b"node/n1"]);
    for (key, record) in &sound {
        for byte in 0..record.len() {
            let mut rotten = record.clone();
            rotten[byte] ^= 1 << (byte % 8);
            write(path.path(), key, &rotten);
            let before = records(path.path());
            let mut store = FjallConfigStore::open_unidentified(path.path()).unwrap();
            let refused = store.establish(&config()).and_then(|()| lead(&mut store).map(|_| ()));
            let name = String::from_utf8(key.clone()).unwrap();
            let Err(ConfigError::Store(error @ StoreError::Corrupt { .. })) = &refused else { panic!("{name}: {refused:?}") };
            assert!(error.to_string().contains(&name), "{error}");
            drop(store);
            assert_eq!(records(path.path()), before, "it stays as it is");
        }
        write(path.path(), key, record);
    }
    assert_eq!(lead(&mut FjallConfigStore::open_unidentified(path.path()).unwrap()).unwrap().len(), 2);
}

/// Behind the store's back.
fn write(path: &Path, key: &[u8], record: &[u8]) {
    let database = Database::builder(path).open().unwrap();
    database.keyspace("config", || unreachable!("it exists")).unwrap().insert(key, record).unwrap();
    database.persist(PersistMode::SyncAll).unwrap();
}

const DIRECTORY: &str = "CATENA_TEST_DIRECTORY";

/// An address so long that a few dozen of them fill a file.
fn long(revision: u64) -> String {
    format!("{revision}{}", ".".repeat(1 << 20))
}

/// Not a test: commits, says what is committed, until the disk fails.
#[test]
#[ignore = "another test runs it, in a process of its own"]
fn commit_until_the_end() {
    let mut store = FjallConfigStore::open_unidentified(Path::new(&std::env::var(DIRECTORY).unwrap())).unwrap();
    lead(&mut store).unwrap();
    for revision in 1.. {
        let change = node(revision, long(revision));
        if let Err(error) = store.commit(Epoch(1), &[change]) {
            assert!(matches!(error, ConfigError::Store(StoreError::Failed { .. })), "{error}");
            let again = store.commit(Epoch(1), &[chain(revision)]);
            assert!(matches!(again, Err(ConfigError::Store(StoreError::Poisoned))), "{again:?}");
            println!("\nfailed");
            return;
        }
        println!("\ncommitted {revision}");
    }
}

/// D1: what a failed write or sync covered may be gone, so nothing is written after it, and nothing that was reported is lost.
#[test]
fn a_failed_write_stops_the_store_and_loses_nothing_that_was_reported() {
    let path = tempfile::tempdir().unwrap();
    // No file may grow over 64 MiB, the size that fjall gives a new journal: the write beyond it fails.
    let script = "trap '' XFSZ; ulimit -f 131072; exec \"$0\" --exact commit_until_the_end --ignored --nocapture";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, path.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert!(lines.iter().any(|line| line == "failed"), "{lines:?}");
    let reported: u64 = lines.iter().rev().find_map(|line| line.strip_prefix("committed ")).unwrap().parse().unwrap();
    let stored = lead(&mut FjallConfigStore::open_unidentified(path.path()).unwrap()).unwrap();
    assert!(stored == [node(reported, long(reported))] || stored == [node(reported + 1, long(reported + 1))]);
}
