//! Whose directory it is, and what is said to everybody else.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use catena_core::{ClusterId, Incarnation, NodeId};
use catena_store::{Directory, DirectoryError, DirectoryIdentity, FjallConfigStore, FjallStore, Opened, Owner, StoreError};

fn n1() -> Owner {
    Owner::Node(NodeId::new("n1").unwrap())
}

fn initialised(path: &Path) -> Directory {
    let (mut directory, opened) = Directory::open(path, &n1()).unwrap();
    assert_eq!(opened, Opened::Fresh);
    directory.initialise(Incarnation(7)).unwrap();
    directory.join(ClusterId(9)).unwrap();
    directory
}

/// Opens what must be refused; the refusal names the directory and contains `words`. Nothing in it may change.
fn refused(path: &Path, owner: &Owner, words: &[&str]) -> DirectoryError {
    let before = listing(path);
    let error = Directory::open(path, owner).unwrap_err();
    let text = error.to_string();
    for word in words.iter().copied().chain([path.to_str().unwrap()]) {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert_eq!(listing(path), before);
    error
}

fn listing(path: &Path) -> Vec<(String, u64)> {
    let Ok(entries) = fs::read_dir(path) else { return vec![] };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_identity_survives_reopening() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    drop(initialised(&path));
    let expected = DirectoryIdentity { owner: n1(), incarnation: Incarnation(7), cluster: Some(ClusterId(9)) };
    let (mut directory, opened) = Directory::open(&path, &n1()).unwrap();
    assert_eq!(opened, Opened::Existing(expected.clone()));
    assert_eq!(directory.join(ClusterId(9)).unwrap(), expected);
}

#[test]
fn an_incarnation_is_kept_when_the_first_start_ends_before_the_cluster_is_known() {
    let root = tempfile::tempdir().unwrap();
    let (mut directory, _) = Directory::open(root.path(), &n1()).unwrap();
    directory.initialise(Incarnation(7)).unwrap();
    drop(directory);
    let (_directory, opened) = Directory::open(root.path(), &n1()).unwrap();
    assert_eq!(opened, Opened::Existing(DirectoryIdentity { owner: n1(), incarnation: Incarnation(7), cluster: None }));
}

#[test]
fn a_second_opener_is_refused_until_the_first_and_its_store_are_gone() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = initialised(root.path());
    let store = FjallStore::open(&mut directory).unwrap();
    let pid = std::process::id().to_string();
    let error = refused(root.path(), &n1(), &["in use by process", &pid]);
    assert!(matches!(error, DirectoryError::InUse { .. }));
    drop(directory);
    refused(root.path(), &n1(), &["in use by process", &pid]);
    drop(store);
    Directory::open(root.path(), &n1()).unwrap();
}

#[test]
fn a_directory_of_another_node_or_kind_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    drop(initialised(root.path()));
    let n2 = Owner::Node(NodeId::new("n2").unwrap());
    refused(root.path(), &n2, &["belongs to node n1", "not to node n2"]);
    let error = refused(root.path(), &Owner::Coordinator, &["belongs to node n1", "not to coordinator"]);
    assert!(matches!(error, DirectoryError::OtherOwner { .. }));
}

#[test]
fn a_directory_of_another_cluster_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = initialised(root.path());
    let error = directory.join(ClusterId(10)).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherCluster { .. }));
    let text = error.to_string();
    assert!(text.contains(&ClusterId(9).to_string()) && text.contains(&ClusterId(10).to_string()), "{text}");
}

#[test]
fn another_format_is_refused_with_both_versions() {
    let root = tempfile::tempdir().unwrap();
    drop(initialised(root.path()));
    fs::write(root.path().join("identity"), "catena data directory\nformat 4\nwho knows\n").unwrap();
    let error = refused(root.path(), &n1(), &["has format 4", "reads 3 only", "newer build"]);
    assert!(matches!(error, DirectoryError::NewerFormat { .. }));
    fs::write(root.path().join("identity"), "catena data directory\nformat 2\nas it was\n").unwrap();
    let error = refused(root.path(), &n1(), &["has format 2", "reads 3 only", "the build that wrote it"]);
    assert!(matches!(error, DirectoryError::OlderFormat { .. }));
}

#[test]
fn a_damaged_identity_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(initialised(root.path()));
    let file = root.path().join("identity");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("node n1", "node n3")).unwrap();
    let error = refused(root.path(), &n1(), &["identity file", "corrupt", "checksum"]);
    assert!(matches!(error, DirectoryError::CorruptIdentity { .. }));
}

#[test]
fn a_foreign_directory_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.tex"), "years").unwrap();
    let error = refused(root.path(), &n1(), &["not a Catena data directory", "thesis.tex"]);
    assert!(matches!(error, DirectoryError::NotCatena { .. }));
}

#[test]
fn an_unusable_path_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(&file.join("below"), &n1(), &["cannot use data directory"]);
    assert!(matches!(error, DirectoryError::Unwritable { .. }));
    refused(&file, &n1(), &["cannot use data directory"]);
}

#[test]
fn leftovers_of_a_first_start_that_was_killed_are_no_obstacle() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("lock"), "").unwrap();
    fs::write(root.path().join("identity.new"), "half").unwrap();
    drop(initialised(root.path()));
    // Killed while the store was being created.
    fs::create_dir_all(root.path().join("data/keyspaces")).unwrap();
    fs::write(root.path().join("data/0.jnl"), "half").unwrap();
    let (mut directory, _) = Directory::open(root.path(), &n1()).unwrap();
    FjallStore::open(&mut directory).unwrap();
}

#[test]
fn data_that_has_gone_missing_is_refused_and_not_replaced_by_an_empty_store() {
    let root = tempfile::tempdir().unwrap();
    let mut directory = initialised(root.path());
    drop(FjallStore::open(&mut directory).unwrap());
    fs::remove_dir_all(root.path().join("data")).unwrap();
    let missing = |error| matches!(error, StoreError::Directory(DirectoryError::DataMissing { .. }));
    assert!(FjallStore::open(&mut directory).err().is_some_and(missing));
    assert!(FjallConfigStore::open(&mut directory).err().is_some_and(missing));
    drop(directory);
    let (mut directory, _) = Directory::open(root.path(), &n1()).unwrap();
    assert!(FjallStore::open(&mut directory).err().is_some_and(missing));
}
