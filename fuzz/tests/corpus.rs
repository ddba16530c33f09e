//! What fuzzing has found worth keeping, run again.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use catena_fuzz::{TARGETS, Target};

/// So much may be kept of a target: it is read by people, and run with every commit.
const MOST_FILES: usize = 30;
const MOST_BYTES: u64 = 100_000;

fn corpus(target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("it is there");
    let files = corpus(target);
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!((1..=MOST_FILES).contains(&files.len()) && bytes <= MOST_BYTES, "{} files, {bytes} bytes", files.len());
    for file in files {
        println!("{}", file.display()); // shown if it fails
        (target.run)(&fs::read(&file).unwrap());
    }
}

/// They are compiled only where there is a C++ compiler.
#[test]
fn every_binary_calls_its_target() {
    for Target { name, .. } in TARGETS {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets").join(name).with_extension("rs");
        let call = format!("libfuzzer_sys::fuzz_target!(|data: &[u8]| catena_fuzz::{name}::run(data));\n");
        assert!(fs::read_to_string(&file).unwrap().ends_with(&call), "{}", file.display());
    }
}

macro_rules! each {
    ($($target:ident)*) => {
        $(#[test] fn $target() { replay(stringify!($target)); })*

        #[test]
        fn every_target_is_here() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($target)),*]);
        }
    };
}

each!(chain chunks records replays scenarios settings stores wire world);
