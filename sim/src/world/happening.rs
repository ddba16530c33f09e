//! What can happen in a world.

use catena_core::client::ClientEvent;
use catena_core::{Envelope, Time};

use super::Life;
use super::bouts::Bout;
use super::clients::Prompt;
use super::hosts::Input;
use super::recovery::Undo;
use super::streams::{Down, Up};
use crate::faults::Fault;
use crate::network::Connection;
use crate::plan::{Key, Place, Step};

/// Something that happens at a time.
#[derive(Debug)]
pub(super) enum Happening {
    /// To a process, while it lives.
    Input {
        node: usize,
        life: Life,
        input: Input,
    },
    /// A message arrives, if its connection still is.
    Frame {
        from: usize,
        to: usize,
        connection: Connection,
        envelope: Envelope,
    },
    /// A side learns of a new connection.
    LinkUp {
        node: usize,
        peer: usize,
        connection: Connection,
    },
    /// Two nodes try to connect.
    Connect {
        a: usize,
        b: usize,
    },
    /// A process's timer.
    Wake {
        node: usize,
        life: Life,
        at: Time,
    },
    /// A sync ends.
    Synced {
        node: usize,
        life: Life,
    },
    /// A process that was told to end looks whether it can.
    Leave {
        node: usize,
        life: Life,
        until: Time,
    },
    /// A fault that comes again and again does.
    Bout(Bout),
    /// A node dials the next coordinator.
    OpenStream {
        node: usize,
        life: Life,
    },
    ToCoordinator {
        node: usize,
        seat: usize,
        life: Life,
        stream: u64,
        up: Up,
    },
    FromCoordinator {
        node: usize,
        stream: u64,
        down: Down,
    },
    /// A coordinator's timer.
    WakeCoordinator {
        seat: usize,
        life: Life,
        at: Time,
    },
    /// An operation reaches the coordinators' store.
    StoreActs {
        errand: u64,
    },
    /// Its outcome reaches the coordinator that asked.
    StoreReports {
        errand: u64,
    },
    /// A client asks for the route.
    AskRoute {
        client: usize,
        coordinator: usize,
    },
    Client {
        client: usize,
        event: ClientEvent,
    },
    Prompt {
        client: usize,
        prompt: Prompt,
    },
    /// Injects a fault, and goes on to the next.
    Inject,
    /// What a plan has in this place.
    Planned {
        index: usize,
    },
    Injure {
        fault: Fault,
        node: usize,
    },
    Undo(Undo),
    /// An operator takes in whoever is out.
    Readmit,
    /// Looks whether faults have to end, or the world has come to rest.
    Look,
}

impl Happening {
    /// Its name among those of the same time.
    pub(super) fn key(&self) -> Key {
        let (step, place) = match self {
            Happening::Input { node, .. } => (Step::Input, Place::Node(*node)),
            Happening::Frame { from, to, .. } => (Step::Frame, Place::Link(*from, *to)),
            Happening::LinkUp { node, peer, .. } => (Step::LinkUp, Place::Link(*peer, *node)),
            Happening::Connect { a, b } => (Step::Connect, Place::Link(*a, *b)),
            Happening::Wake { node, .. } => (Step::Wake, Place::Node(*node)),
            Happening::Synced { node, .. } => (Step::Synced, Place::Node(*node)),
            Happening::Leave { node, .. } => (Step::Leave, Place::Node(*node)),
            Happening::Bout(bout) => (bout.step(), bout.place()),
            Happening::OpenStream { node, .. } => (Step::Dial, Place::Node(*node)),
            Happening::ToCoordinator { node, seat, .. } => (Step::Up, Place::Line(*node, *seat)),
            Happening::FromCoordinator { node, .. } => (Step::Down, Place::Node(*node)),
            Happening::WakeCoordinator { seat, .. } => (Step::WakeCoordinator, Place::Seat(*seat)),
            Happening::StoreActs { .. } => (Step::Store, Place::World),
            Happening::StoreReports { .. } => (Step::Report, Place::World),
            Happening::AskRoute { client, coordinator } => (Step::Route, Place::Subscription(*client, *coordinator)),
            Happening::Prompt { client, prompt: Prompt::Arrive(_) } => (Step::Arrive, Place::Client(*client)),
            Happening::Client { client, .. } | Happening::Prompt { client, .. } => (Step::Client, Place::Client(*client)),
            Happening::Undo(undo) => (Step::Undo, undo.place()),
            Happening::Readmit => (Step::Undo, Place::World),
            Happening::Inject | Happening::Injure { .. } | Happening::Planned { .. } | Happening::Look => {
                (Step::Look, Place::World)
            }
        };
        Key::Step(step, place)
    }
}
