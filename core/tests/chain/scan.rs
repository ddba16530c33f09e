//! A client goes through a slot's objects, page by page.

use std::collections::BTreeMap;

use bytes::Bytes;
use catena_core::{Action, NodeConfig};
use proptest::prelude::*;

use crate::bench::Bench;

proptest! {
    /// Some writes are applied, and some only in the log: a scan finds what reads do, whatever the size of a page.
    #[test]
    fn a_scan_finds_what_reads_find(
        applied in proptest::collection::vec((0..12_u8, any::<bool>()), 0..30),
        logged in proptest::collection::vec((0..12_u8, any::<bool>()), 0..30),
        bytes in 1..60_usize,
    ) {
        let mut config = NodeConfig::new(1);
        config.limits.apply_entries = 1_000;
        let mut bench = Bench::with(config);
        let mut expected = BTreeMap::new();
        for (writes, wait) in [(applied, 300), (logged, 5)] {
            for (key, put) in writes {
                let (key, value) = (format!("key-{key:02}"), format!("value-{}", expected.len()));
                let action = if put { Action::Put { value: value.clone().into() } } else { Action::Delete };
                bench.write(&key, action, Vec::new(), None);
                if put { expected.insert(Bytes::from(key), Bytes::from(value)) } else { expected.remove(key.as_bytes()) };
            }
            bench.wait(wait);
        }
        let (found, pages) = bench.scan(bytes);
        let weight: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        prop_assert!(pages > weight / (bytes + 14), "{} pages of {} bytes", pages, bytes);
    }
}
