//! What a script does to processes, disks and links, and has operators order.

use catena_core::{NodeId, Order};

use super::command::{Deed, Link, OrderKind, Party, Record};
use super::render;
use super::run::{Halt, Run};
use crate::world::script::End;

impl Run {
    pub(super) fn process(&mut self, deed: Deed, party: Party) -> Result<(), Halt> {
        let stage = &mut self.scene()?.stage;
        let done = match (deed, party) {
            (Deed::Kill, Party::Node(node)) => {
                stage.kill_node(node);
                Ok(())
            }
            (Deed::PowerOff, Party::Node(node)) => {
                stage.power_off(node);
                Ok(())
            }
            (Deed::Wipe, Party::Node(node)) => {
                stage.wipe(node);
                Ok(())
            }
            (Deed::Pause, Party::Node(node)) => {
                stage.pause_node(node);
                Ok(())
            }
            (Deed::Start, Party::Node(node)) => stage.start_node(node),
            (Deed::Stop, Party::Node(node)) => stage.stop_node(node),
            (Deed::Resume, Party::Node(node)) => stage.resume_node(node),
            (Deed::Kill, Party::Coordinator(seat)) => stage.kill_coordinator(seat),
            (Deed::Resume, Party::Coordinator(seat)) => stage.resume_coordinator(seat),
            (Deed::Start, Party::Coordinator(seat)) => {
                stage.start_coordinator(seat);
                Ok(())
            }
            (Deed::Pause, Party::Coordinator(seat)) => {
                stage.pause_coordinator(seat);
                Ok(())
            }
            (_, Party::Client(_) | Party::Store) | (Deed::PowerOff | Deed::Stop | Deed::Wipe, Party::Coordinator(_)) => {
                unreachable!("the parser lets nothing else through")
            }
        };
        self.checked(done)?;
        self.look();
        Ok(())
    }

    /// Notes what a command has brought about by itself.
    fn look(&mut self) {
        if let Some(scene) = &mut self.scene {
            scene.stage.notice();
            scene.collect();
        }
    }

    pub(super) fn damage(&mut self, node: usize, what: &Record) -> Result<(), Halt> {
        let line = self.line;
        let stage = &mut self.scene()?.stage;
        let was_there = match what {
            Record::Log(slot) => stage.damage_log(node, *slot),
            Record::Object(key) => stage.damage_object(node, key),
        };
        if was_there { Ok(()) } else { Err(Halt::NothingThere { line }) }
    }

    pub(super) fn deliver(&mut self) -> Result<(), Halt> {
        let delivered = self.scene()?.stage.deliver();
        self.checked(delivered)?;
        self.look();
        Ok(())
    }

    pub(super) fn cut(&mut self, link: Link) -> Result<(), Halt> {
        let stage = &mut self.scene()?.stage;
        match (link.from, link.to) {
            (Party::Client(client), _) | (_, Party::Client(client)) => stage.cut_off_client(client),
            (Party::Coordinator(seat), Party::Store) => stage.cut_store(seat),
            (from, to) => stage.cut(end(from), end(to)),
        }
        Ok(())
    }

    pub(super) fn mend(&mut self, link: Link) -> Result<(), Halt> {
        let stage = &mut self.scene()?.stage;
        match (link.from, link.to) {
            (Party::Client(client), _) | (_, Party::Client(client)) => stage.mend_client(client),
            (Party::Coordinator(seat), Party::Store) => stage.mend_store(seat),
            (from, to) => stage.mend(end(from), end(to)),
        }
        Ok(())
    }

    pub(super) fn order(&mut self, kind: OrderKind, node: usize) -> Result<(), Halt> {
        let line = self.line;
        let id = NodeId::new(&render::node(node)).expect("letters and digits");
        let order = match kind {
            OrderKind::Drain => Order::Drain(id),
            OrderKind::Evict => Order::Evict(id),
            OrderKind::Readmit => Order::Readmit(id),
        };
        let asked = self.scene()?.stage.order(order);
        if !self.checked(asked)? {
            return Err(Halt::NobodyLeads { line });
        }
        self.look();
        Ok(())
    }
}

fn end(party: Party) -> End {
    match party {
        Party::Node(node) => End::Node(node),
        Party::Coordinator(seat) => End::Coordinator(seat),
        Party::Client(_) | Party::Store => unreachable!("the caller has looked"),
    }
}
