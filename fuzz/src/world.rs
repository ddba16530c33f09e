//! The simulator's world under a schedule of bytes: which calls are made when, which faults strike when and where, and how
//! everything else is chosen. What any checker of the world notices is a crash.
//!
//! The bytes become the text of a replay file. A crash prints it: `catena-sim replay` runs it again, and draws it.

use std::fmt::Write as _;

use arbitrary::{Arbitrary, Unstructured};
use catena_sim::replay::{Look, Subject};
use catena_sim::{Fault, Printing};

/// A world: what its seed draws of limits, and which faults it knows at all; and a plan for it.
#[derive(Arbitrary, Debug)]
struct Input {
    seed: u8,
    /// Decides what the plan says nothing of.
    rest: u16,
    nodes: Nodes,
    coordinators: Coordinators,
    happenings: Vec<Happening>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Nodes {
    Three,
    Four,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Coordinators {
    One,
    Two,
}

#[derive(Arbitrary, Debug)]
struct Happening {
    /// How long after the one before: by its square, so that little and much are as likely.
    after: u8,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Call { client: u8, choices: [u8; 5] },
    Fault { fault: u8, at: u8, other: u8, choices: [u16; 2] },
}

/// Every world has so many clients at least.
const CLIENTS: u8 = 3;
/// More would not be looked through in a second.
const HAPPENINGS: usize = 64;
/// When chains are there.
const BEGIN_US: u64 = 500_000;

/// Bytes of a plan.
pub fn run(data: &[u8]) {
    run_with("none", data);
}

/// The same with a planted bug.
pub fn run_with(mutant: &str, data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let text = input.replay_file(mutant);
    let subject = Subject::file(&text).unwrap_or_else(|error| panic!("{error}, in what was made here:\n{text}"));
    let replayed = subject.replay(Look { printing: Printing::Off, until: None, page: false }, "");
    if let Some(violation) = replayed.violation {
        panic!("{violation}\ncatena-sim replay FILE runs it again, this being the file:\n{text}");
    }
}

impl Input {
    fn replay_file(&self, mutant: &str) -> String {
        let Self { seed, rest, .. } = self;
        let (nodes, seats) = (self.nodes.count(), self.coordinators.count());
        let (mut items, mut at_us) = (String::new(), BEGIN_US);
        for happening in self.happenings.iter().take(HAPPENINGS) {
            at_us += u64::from(happening.after).pow(2) * 40;
            writeln!(items, "{} {}", seconds(at_us), happening.what.line(nodes, seats)).expect("a text takes all");
        }
        format!(
            "catena-sim replay 2\nseed {seed}\nops 100\nnodes {nodes}\ncoordinators {seats}\ndrift 1\nmutant {mutant}\nwithout-nodes 0\n\
             without-coordinators 0\nwithout-slots 0\nrest {rest}\nheals {}\nseverity safety\nchecker progress\nrule none\n\
             sentence none\nviolated 0.000000000\ntrace 0\n{items}end unchecked\n",
            seconds(at_us + 200_000)
        )
    }
}

impl Nodes {
    fn count(self) -> u8 {
        match self {
            Nodes::Three => 3,
            Nodes::Four => 4,
        }
    }
}

impl Coordinators {
    fn count(self) -> u8 {
        match self {
            Coordinators::One => 1,
            Coordinators::Two => 2,
        }
    }
}

impl What {
    /// As in a replay file, behind the time.
    fn line(&self, nodes: u8, seats: u8) -> String {
        match self {
            What::Call { client, choices } => format!("call client-{} 0 :{}", client % CLIENTS, words(choices)),
            What::Fault { fault, at, other, choices } => {
                let fault = Fault::ALL[usize::from(*fault) % Fault::ALL.len()];
                let place = place(fault, *at, *other, nodes, seats);
                format!("fault {} {place} 0 :{}", fault.name().replace(' ', "-"), words(choices))
            }
        }
    }
}

/// Where such a fault may be: most are injected at a node, others strike what is next done at a place.
fn place(fault: Fault, at: u8, other: u8, nodes: u8, seats: u8) -> String {
    let (node, peer) = (at % nodes + 1, other % nodes + 1);
    let (seat, client) = (other % seats + 1, at % CLIENTS);
    match fault {
        Fault::Drop | Fault::Delay | Fault::Duplicate => format!("n{node}>n{peer}"),
        Fault::LostHeartbeat | Fault::LostAnswer | Fault::DelayedAnswer | Fault::RepeatedAnswer | Fault::LostPush => {
            format!("n{node}>c{seat}")
        }
        Fault::LostRequest | Fault::LostReply if other >= 128 => format!("client-{client}>c{seat}"),
        Fault::StaleRoute => format!("client-{client}>c{seat}"),
        Fault::LostRequest
        | Fault::LostReply
        | Fault::LateRequest
        | Fault::DuplicateRequest
        | Fault::DuplicateElsewhere
        | Fault::Misroute => format!("client-{client}"),
        Fault::SlowCommit => format!("c{seat}"),
        _ => format!("n{node}"),
    }
}

fn words<T: std::fmt::Display>(choices: &[T]) -> String {
    choices.iter().fold(String::new(), |text, choice| format!("{text} {choice}"))
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}000", us / 1_000_000, us % 1_000_000)
}
