//! Figures in the forms that drivers need: resolved once, so that counting is an atomic operation and no look-up.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// One label: no figure here has more, and none has a value that a caller makes up.
type Label = [(&'static str, &'static str); 1];

/// Upper bounds in seconds, from 50 µs to 13 s, each twice the one before: from a read out of memory to a call's time limit.
const LATENCIES: [f64; 19] = [
    50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 25.6e-3, 51.2e-3, 0.1024, 0.2048, 0.4096, 0.8192,
    1.6384, 3.2768, 6.5536, 13.1072,
];

/// A histogram of waits.
pub(crate) fn histogram() -> Histogram {
    Histogram::new(LATENCIES)
}

/// A counter for each of a fixed set of values of a label.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    family: Family<Label, Counter>,
    counters: Vec<(&'static str, Counter)>,
}

impl Each {
    pub(crate) fn new(label: &'static str, values: &[&'static str]) -> Self {
        let family = Family::<Label, Counter>::default();
        let counters = values.iter().map(|value| (*value, family.get_or_create_owned(&[(label, *value)]))).collect();
        Self { family, counters }
    }

    /// The counter of a value of the set.
    pub(crate) fn of(&self, value: &'static str) -> &Counter {
        let found = self.counters.iter().find(|(known, _)| *known == value);
        &found.unwrap_or_else(|| panic!("{value} is not in the set")).1
    }

    pub(crate) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.family.clone());
    }
}

/// A gauge for each of a fixed set of values of a label.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    family: Family<Label, Gauge>,
    gauges: Vec<(&'static str, Gauge)>,
}

impl Gauges {
    pub(crate) fn new(label: &'static str, values: &[&'static str]) -> Self {
        let family = Family::<Label, Gauge>::default();
        let gauges = values.iter().map(|value| (*value, family.get_or_create_owned(&[(label, *value)]))).collect();
        Self { family, gauges }
    }

    /// Sets every gauge to how often its value is among `found`.
    pub(crate) fn count(&self, found: impl Iterator<Item = &'static str>) {
        let mut counts = vec![0; self.gauges.len()];
        for value in found {
            let place = self.gauges.iter().position(|(known, _)| *known == value);
            counts[place.unwrap_or_else(|| panic!("{value} is not in the set"))] += 1;
        }
        for ((_, gauge), count) in self.gauges.iter().zip(counts) {
            gauge.set(count);
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry, name: &str, help: &str) {
        registry.register(name, help, self.family.clone());
    }
}

/// A count as a gauge has it.
pub(crate) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as a counter has it.
pub(crate) fn size(count: usize) -> u64 {
    count as u64
}
