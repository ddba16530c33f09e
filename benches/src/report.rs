//! The table: medians over rounds, their spread, and the ratios to the floors, formed round by round.

use std::fmt::Write;

use crate::measure::{Callers, Rounds, Sample, What};

/// The median of some figures and their extremes.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Self { median: figures[figures.len() / 2], min: figures[0], max: figures[figures.len() - 1] }
    }
}

impl Rounds {
    /// One case's samples, by round.
    fn case(&self, what: What, callers: Callers) -> impl Iterator<Item = &Sample> {
        let case = self.cases.iter().position(|case| *case == (what, callers)).expect("it is measured");
        self.samples.iter().map(move |round| &round[case])
    }

    /// The median latency in microseconds of one caller, by round.
    fn p50(&self, what: What) -> Vec<f64> {
        self.case(what, Callers::One).map(|sample| micros(sample, 0.5)).collect()
    }

    fn ratio(&self, what: What, floor: impl Fn(usize) -> f64) -> Spread {
        Spread::of(self.p50(what).into_iter().enumerate().map(|(round, figure)| figure / floor(round)))
    }
}

/// A quantile in microseconds.
fn micros(sample: &Sample, quantile: f64) -> f64 {
    sample.latency.value_at_quantile(quantile) as f64 / 1000.0
}

fn label(what: What, callers: Callers, clients: u32) -> String {
    let text = match what {
        What::EmptyCall => "empty unary call",
        What::BidiEcho => "bidi echo",
        What::Sync => "append + fdatasync",
        What::ThreeSyncs => "slowest of three at once",
        What::Get1 => "get, 1 replica",
        What::Get3 => "get, 3 replicas",
        What::UnaryGet3 => "unary get, 3 replicas",
        What::Put1 => "put, 1 replica",
        What::Put3 => "put, 3 replicas",
        What::EtcdPut => "put, 3 members of etcd",
    };
    match callers {
        Callers::One => text.to_owned(),
        Callers::Many => format!("{text}, {clients} callers"),
    }
}

/// The whole report, in Markdown.
pub(crate) fn table(rounds: &Rounds) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes every line");
    line(format!(
        "{} rounds, values of {} bytes; medians over rounds of each round's quantile (lowest – highest round)\n",
        rounds.samples.len(),
        rounds.value_bytes
    ));
    line("| | p50 µs | p99 µs | per second |".to_owned());
    line("|---|---|---|---|".to_owned());
    for (what, callers) in rounds.cases.iter().copied() {
        let case = |figure: fn(&Sample) -> f64| Spread::of(rounds.case(what, callers).map(figure));
        let (p50, p99, rate) = (case(|s| micros(s, 0.5)), case(|s| micros(s, 0.99)), case(|s| s.rate));
        line(format!(
            "| {} | {:.0} ({:.0} – {:.0}) | {:.0} ({:.0} – {:.0}) | {:.0} ({:.0} – {:.0}) |",
            label(what, callers, rounds.clients),
            p50.median,
            p50.min,
            p50.max,
            p99.median,
            p99.min,
            p99.max,
            rate.median,
            rate.min,
            rate.max,
        ));
    }
    let (empty, bidi) = (rounds.p50(What::EmptyCall), rounds.p50(What::BidiEcho));
    let (sync, three) = (rounds.p50(What::Sync), rounds.p50(What::ThreeSyncs));
    let ratios = [
        ("get, 3 replicas / bidi echo", rounds.ratio(What::Get3, |round| bidi[round])),
        ("unary get, 3 replicas / empty call", rounds.ratio(What::UnaryGet3, |round| empty[round])),
        ("put, 1 replica / (bidi echo + fdatasync)", rounds.ratio(What::Put1, |round| bidi[round] + sync[round])),
        (
            "put, 3 replicas / (empty call + 2 bidi echoes + slowest of three)",
            rounds.ratio(What::Put3, |round| empty[round] + 2.0 * bidi[round] + three[round]),
        ),
    ];
    line("\n| ratio of p50s, round by round | median | lowest – highest |".to_owned());
    line("|---|---|---|".to_owned());
    let mut ratio = |name: &str, spread: &Spread| {
        line(format!("| {name} | {:.2} | {:.2} – {:.2} |", spread.median, spread.min, spread.max));
    };
    for (name, spread) in &ratios {
        ratio(name, spread);
    }
    if rounds.cases.contains(&(What::EtcdPut, Callers::Many)) {
        let rates = |what| rounds.case(what, Callers::Many).map(|sample| sample.rate);
        let beside = Spread::of(rates(What::Put3).zip(rates(What::EtcdPut)).map(|(ours, theirs)| ours / theirs));
        ratio(&format!("puts a second, {} callers: 3 replicas / 3 members of etcd", rounds.clients), &beside);
    }
    text
}
