//! The lines of a replay file.

use std::fmt::Display;
use std::iter::Enumerate;
use std::str::{SplitTerminator, SplitWhitespace};

use catena_core::Time;
use catena_core::mutants::Mutant;

use super::file::{Expected, File};
use super::{Item, Key, Place, Plan, Rest, Step};
use crate::check::{Checker, Severity};
use crate::faults::Fault;
use crate::mutation;
use crate::options::{LeftOut, MOST_DRIFT, Options, Scale};

/// No world lasts longer.
const LONGEST: Time = Time(600_000_000_000);

/// What is wrong with a line, and what would be right.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

/// And which line that is, counted from 1.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) wrong: Wrong,
}

/// What is left to read.
struct Lines<'a> {
    lines: Enumerate<SplitTerminator<'a, char>>,
    /// Of the line that was read last.
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.lines.find(|(_, line)| !line.starts_with('#')).map(|(index, line)| {
            self.number = index + 1;
            line
        })
    }

    /// The value in the next line, which has this name.
    fn value<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, Wrong>) -> Result<T, Line> {
        let line = self.next().unwrap_or_default();
        let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let wrong = || Wrong(format!("{line:?} stands where {name:?} and its value belong"));
        value.ok_or_else(wrong).and_then(read).map_err(|wrong| self.at(wrong))
    }

    fn at(&self, wrong: Wrong) -> Line {
        Line { number: self.number, wrong }
    }
}

/// All of it but the last line.
pub(super) fn file(text: &str) -> Result<File, Line> {
    // A carriage return is part of its line: a sentence may end in one.
    let mut lines = Lines { lines: text.split_terminator('\n').enumerate(), number: 1 };
    lines.next();
    let seed = lines.value("seed", number)?;
    let operations = lines.value("ops", |text| between(text, 1, 1_000_000))?;
    let nodes = lines.value("nodes", |text| between(text, 1, 9))?;
    let drawn = |text: &str| if text == "drawn" { Ok(None) } else { between(text, 1, 5).map(Some) };
    let coordinators = lines.value("coordinators", drawn)?;
    let drift = lines.value("drift", |text| between(text, 1, MOST_DRIFT))?;
    let scale = Scale { nodes, operations, coordinators, drift };
    let mutant = lines.value("mutant", mutant)?;
    let options = Options::draw(seed, scale);
    let replicas = options.coordinator.cluster.replicas as usize;
    let out = LeftOut {
        nodes: lines.value("without-nodes", |text| between(text, 0, nodes - replicas.min(nodes)))?,
        coordinators: lines.value("without-coordinators", |text| between(text, 0, options.coordinators - 1))?,
        slots: lines.value("without-slots", |text| between(text, 0, options.slots as usize - 1))?,
    };
    let rest = |text: &str| match text {
        "simple" => Ok(Rest::Simple),
        _ => number(text).map(Rest::Drawn).map_err(|_| Wrong(format!("{text:?} is neither simple nor a number"))),
    };
    let mut plan = Plan {
        seed,
        scale,
        mutant,
        out,
        rest: lines.value("rest", rest)?,
        heals: lines.value("heals", time)?,
        items: Vec::new(),
    };
    let expected = Expected {
        severity: lines.value("severity", |text| named(Severity::ALL, |one| one.name().to_owned(), text))?,
        checker: lines.value("checker", |text| named(Checker::ALL, ToString::to_string, text))?,
        rule: lines.value("rule", |text| Ok(text.to_owned()))?,
        sentence: lines.value("sentence", |text| Ok(text.to_owned()))?,
        at: lines.value("violated", time)?,
        hash: lines.value("trace", hash)?,
    };
    while let Some(line) = lines.next() {
        let item = item(line).and_then(|item| fits(item, &plan, &options)).map_err(|wrong| lines.at(wrong))?;
        plan.items.push(item);
    }
    Ok(File { plan, expected })
}

fn item(line: &str) -> Result<Item, Wrong> {
    let (line, _meaning) = line.split_once('#').unwrap_or((line, ""));
    let (names, choices) = line.split_once(':').ok_or_else(|| Wrong("a \":\" is missing before the choices".to_owned()))?;
    let mut words = names.split_whitespace();
    let at = time(word(&mut words, "a time")?)?;
    let key = match word(&mut words, "fault, call or step")? {
        "fault" => Key::Fault(fault(word(&mut words, "a fault")?)?, place(&mut words)?),
        "call" => match place(&mut words)? {
            Place::Client(client) => Key::Call(client),
            place => return Err(Wrong(format!("{place} makes no calls: name a client, such as client-0"))),
        },
        "step" => Key::Step(named(Step::ALL, |step| step.name().to_owned(), word(&mut words, "a step")?)?, place(&mut words)?),
        other => return Err(Wrong(format!("{other:?} is none of fault, call and step"))),
    };
    let nth = number(word(&mut words, "a count")?)
        .and_then(|nth| u32::try_from(nth).map_err(|_| Wrong(format!("{nth} is too many"))))?;
    match words.next() {
        None => Ok(Item { at, key, nth, choices: choices.split_whitespace().map(number).collect::<Result<_, _>>()? }),
        Some(word) => Err(Wrong(format!("{word:?} is too much"))),
    }
}

/// An item that is in order, and about what is there.
fn fits(item: Item, plan: &Plan, drawn: &Options) -> Result<Item, Wrong> {
    if plan.items.last().is_some_and(|before| before.at > item.at) {
        return Err(Wrong("it is earlier than the line before".to_owned()));
    }
    let clients = drawn.clients;
    let (nodes, seats) = (drawn.scale.nodes - plan.out.nodes, drawn.coordinators - plan.out.coordinators);
    let there = match item.key {
        Key::Call(client) => client < clients,
        Key::Fault(..) | Key::Step(..) => item.key.exists(nodes, seats),
    };
    if there { Ok(item) } else { Err(Wrong(format!("there are {nodes} nodes, {seats} coordinators and {clients} clients"))) }
}

fn word<'a>(words: &mut SplitWhitespace<'a>, what: &str) -> Result<&'a str, Wrong> {
    words.next().ok_or_else(|| Wrong(format!("{what} is missing")))
}

fn place(words: &mut SplitWhitespace<'_>) -> Result<Place, Wrong> {
    let text = word(words, "a place")?;
    text.parse().map_err(|()| Wrong(format!("{text:?} is no place: write it as n1, c1, client-0, n1>n2 or n1>c1")))
}

fn fault(text: &str) -> Result<Fault, Wrong> {
    named(Fault::ALL, |fault| fault.name().replace(' ', "-"), text)
}

fn named<T: Copy>(all: &[T], name: impl Fn(&T) -> String, text: &str) -> Result<T, Wrong> {
    let known = || all.iter().map(&name).collect::<Vec<_>>().join(", ");
    all.iter().copied().find(|one| name(one) == text).ok_or_else(|| Wrong(format!("{text:?} is none of {}", known())))
}

fn mutant(text: &str) -> Result<Option<Mutant>, Wrong> {
    let unknown = || Wrong(format!("there is no mutant {text:?} in this build: {}", mutation::names()));
    if text == "none" { Ok(None) } else { mutation::named(text).map(Some).ok_or_else(unknown) }
}

fn number(text: &str) -> Result<u64, Wrong> {
    text.parse().map_err(|_| Wrong(format!("{text:?} is no number")))
}

fn between<T: TryFrom<u64> + PartialOrd + Display + Copy>(text: &str, low: T, high: T) -> Result<T, Wrong> {
    let found = number(text)?;
    let fitting = T::try_from(found).ok().filter(|found| (low..=high).contains(found));
    fitting.ok_or_else(|| Wrong(format!("{found} is not between {low} and {high}")))
}

fn hash(text: &str) -> Result<u64, Wrong> {
    u64::from_str_radix(text, 16).map_err(|_| Wrong(format!("{text:?} is no hash of a trace")))
}

/// Seconds, with nine digits behind the point.
fn time(text: &str) -> Result<Time, Wrong> {
    let wrong = || Wrong(format!("{text:?} is no time in seconds, such as 1.250000000"));
    let (whole, part) = text.split_once('.').filter(|(_, part)| part.len() == 9).ok_or_else(wrong)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let (whole, part) = digits(whole).zip(digits(part)).ok_or_else(wrong)?;
    let at = Time(whole.min(LONGEST.0 / 1_000_000_000 + 1) * 1_000_000_000 + part);
    if at > LONGEST { Err(Wrong(format!("{text} is later than any world lasts: 600 s at most"))) } else { Ok(at) }
}
