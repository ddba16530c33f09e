//! Runs a script on a stage, and keeps what there is to see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catena_core::Time;
use catena_core::client::Delivery;

use super::command::{CallWish, Command, Goal, Pace, Waiting};
use super::lines::{Line, condensed};
use super::render;
use super::scene::Scene;
use super::script::{Block, Script};
use super::shape::Shape;
use super::traffic::Traffic;
use crate::check::Violation;
use crate::history::{self, CallId, Wish};
use crate::trace::Printing;
use crate::world::script::{Curtain, Stage, Step};

/// A call that a command waits for has ended by then: the client's machine gives up before.
const CALL: Duration = Duration::from_secs(30);

/// Why a script did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// A checker has found something.
    #[error("line {line}: {violation}")]
    Violated {
        /// Of the command.
        line: usize,
        /// What.
        violation: Violation,
    },
    /// What the script waits for did not come.
    #[error("line {line}: not so within {} ms: {why}", .within.as_millis())]
    Unmet {
        /// Of the command.
        line: usize,
        /// It waited for so long.
        within: Duration,
        /// How things are instead.
        why: String,
    },
    /// There is no cluster yet.
    #[error("line {line}: there is no cluster yet: begin with the command cluster")]
    NoCluster {
        /// Of the command.
        line: usize,
    },
    /// A record that is to be damaged is not there.
    #[error("line {line}: there is no such record on that disk: wait until it is written, with until NODE applied SEQ")]
    NothingThere {
        /// Of the command.
        line: usize,
    },
    /// Nobody leads who could be told.
    #[error("line {line}: no coordinator leads, so nobody takes the order: wait for one")]
    NobodyLeads {
        /// Of the command.
        line: usize,
    },
}

/// A script under way.
pub(super) struct Run {
    printing: Printing,
    pub(super) scene: Option<Scene>,
    /// Of the command under way.
    pub(super) line: usize,
    /// Of blocks that have ended.
    outputs: Vec<Vec<String>>,
}

impl Run {
    pub(super) fn new(printing: Printing) -> Self {
        Self { printing, scene: None, line: 0, outputs: Vec::new() }
    }

    /// Runs all blocks, and says why it came no further.
    pub(super) fn all(&mut self, script: &Script) -> Result<(), Halt> {
        for block in &script.blocks {
            self.block(block)?;
            let lines = self.scene.as_mut().map(|scene| std::mem::take(&mut scene.lines));
            self.outputs.push(condensed(&lines.unwrap_or_default()));
        }
        self.end()
    }

    /// What there was to see, as far as it came; and where that was.
    pub(super) fn left(self) -> (Vec<Vec<String>>, usize) {
        let Self { scene, line, mut outputs, printing: _ } = self;
        outputs.extend(scene.map(|scene| condensed(&scene.lines)).filter(|output| !output.is_empty()));
        (outputs, line)
    }

    fn block(&mut self, block: &Block) -> Result<(), Halt> {
        if let Some(scene) = &mut self.scene {
            scene.since = scene.stage.now();
        }
        for located in &block.commands {
            self.line = located.line;
            self.command(&located.command)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        let Some(scene) = self.scene.take() else { return Ok(()) };
        let ended = scene.stage.end(scene.curtain);
        self.checked(ended).map(drop)
    }

    pub(super) fn checked<T>(&self, result: Result<T, Violation>) -> Result<T, Halt> {
        result.map_err(|violation| Halt::Violated { line: self.line, violation })
    }

    pub(super) fn scene(&mut self) -> Result<&mut Scene, Halt> {
        let line = self.line;
        self.scene.as_mut().ok_or(Halt::NoCluster { line })
    }

    fn command(&mut self, command: &Command) -> Result<(), Halt> {
        match command {
            Command::Cluster(shape) => self.cluster(shape),
            Command::NoRest => {
                self.scene()?.curtain = Curtain::Falls;
                Ok(())
            }
            Command::Run(long) => {
                let until = self.scene()?.stage.now() + *long;
                self.advance(until, |_| false).map(drop)
            }
            Command::Until { goal, within } => self.until(goal, *within),
            Command::Call { wish, waiting } => self.call(wish, *waiting),
            Command::Wait => {
                let until = self.scene()?.stage.now() + CALL;
                self.await_met(until, CALL, |scene| scene.open.is_empty(), "a call goes on")
            }
            Command::Load { count, bytes } => self.load(*count, *bytes),
            Command::Traffic(pace) => self.traffic(*pace),
            Command::Process { deed, whom } => whom.iter().try_for_each(|party| self.process(*deed, *party)),
            Command::Stall { node, long } => {
                self.scene()?.stage.stall(*node, *long);
                Ok(())
            }
            Command::Damage { node, what } => self.damage(*node, what),
            Command::Jump { node, by } => {
                self.scene()?.stage.jump(*node, *by);
                Ok(())
            }
            Command::Cut(links) => links.iter().try_for_each(|link| self.cut(*link)),
            Command::Mend(None) => {
                self.scene()?.stage.mend_all();
                Ok(())
            }
            Command::Mend(Some(links)) => links.iter().try_for_each(|link| self.mend(*link)),
            Command::Hold(lines) => {
                self.scene()?.stage.hold(lines);
                Ok(())
            }
            Command::Deliver => self.deliver(),
            Command::Order { kind, node } => self.order(*kind, *node),
            Command::Status => {
                let scene = self.scene()?;
                let lines = render::status(&scene.stage);
                scene.lines.extend(lines.into_iter().map(Line::plain));
                Ok(())
            }
            Command::Replicas(slot) => {
                let scene = self.scene()?;
                let lines = render::replicas(&scene.stage, *slot);
                scene.lines.extend(lines.into_iter().map(Line::plain));
                Ok(())
            }
        }
    }

    /// Ends the world before, and begins another: it is ready when all its chains are whole.
    fn cluster(&mut self, shape: &Shape) -> Result<(), Halt> {
        self.end()?;
        let mut stage = self.checked(Stage::new(shape.options.clone(), &shape.racks, &shape.drift, self.printing))?;
        (0..shape.options.coordinators).for_each(|seat| stage.start_coordinator(seat));
        for node in &shape.present {
            let started = stage.start_node(*node);
            self.checked(started)?;
        }
        self.scene = Some(Scene {
            since: stage.now(),
            stage,
            clients: shape.clients.clone(),
            callers: BTreeMap::new(),
            quiet: BTreeSet::new(),
            open: BTreeSet::new(),
            traffic: None,
            curtain: Curtain::Heals,
            lines: Vec::new(),
        });
        self.until(&Goal::Whole, Duration::from_secs(10))?;
        // Links are up, and every client knows its way.
        let until = self.scene()?.stage.now() + Duration::from_millis(500);
        self.advance(until, |_| false)?;
        let scene = self.scene()?;
        scene.lines.clear();
        for text in render::chains(&scene.stage) {
            scene.lines.push(Line::plain(text));
        }
        scene.since = scene.stage.now();
        Ok(())
    }

    /// Goes on until then, or until it is enough. Whether it was.
    fn advance(&mut self, until: Time, enough: impl Fn(&Scene) -> bool) -> Result<bool, Halt> {
        let line = self.line;
        let scene = self.scene()?;
        loop {
            if enough(scene) {
                return Ok(true);
            }
            let due = scene.traffic.as_ref().map_or(until, |traffic| traffic.due().min(until));
            let step = scene.stage.step(due).map_err(|violation| Halt::Violated { line, violation });
            scene.collect();
            match step? {
                Step::Happened => {}
                Step::Nothing if due < until => scene.send_traffic(),
                Step::Nothing => return Ok(enough(scene)),
            }
        }
    }

    fn await_met(&mut self, until: Time, within: Duration, enough: impl Fn(&Scene) -> bool, why: &str) -> Result<(), Halt> {
        if self.advance(until, enough)? {
            return Ok(());
        }
        let line = self.line;
        let status = render::status(&self.scene()?.stage).join("; ");
        Err(Halt::Unmet { line, within, why: format!("{why}; {status}") })
    }

    fn until(&mut self, goal: &Goal, within: Duration) -> Result<(), Halt> {
        let until = self.scene()?.stage.now() + within;
        self.await_met(until, within, |scene| scene.met(goal), &format!("{goal:?}"))
    }

    fn call(&mut self, wish: &CallWish, waiting: Waiting) -> Result<(), Halt> {
        let scene = self.scene()?;
        let call = scene.begin(wish);
        match waiting {
            Waiting::Later => {
                scene.collect();
                Ok(())
            }
            Waiting::Here => {
                let until = scene.stage.now() + CALL;
                self.await_met(until, CALL, |scene| !scene.open.contains(&call), "the call goes on")
            }
        }
    }

    /// Many puts at once, and one line for all.
    fn load(&mut self, count: usize, bytes: usize) -> Result<(), Halt> {
        let scene = self.scene()?;
        let calls: Vec<CallId> = (0..count)
            .map(|number| {
                let deed = history::Deed::Put { value: vec![b'.'; bytes].into() };
                let wish = Wish { key: format!("k{number:04}").into(), deed, conditions: Vec::new() };
                let call = scene.stage.begin(0, wish, Delivery::ExactlyOnce, None);
                scene.quiet.insert(call);
                call
            })
            .collect();
        let until = scene.stage.now() + CALL;
        let open = |scene: &Scene| calls.iter().any(|call| scene.stage.call(*call).returned.is_none());
        self.await_met(until, CALL, |scene| !open(scene), "puts go on")?;
        let scene = self.scene()?;
        let written = |call: &&CallId| matches!(scene.stage.call(**call).outcome, history::Outcome::Written { .. });
        let text = format!("{} of {count} puts are done", calls.iter().filter(written).count());
        scene.say(scene.stage.now(), &text);
        Ok(())
    }

    fn traffic(&mut self, pace: Option<Pace>) -> Result<(), Halt> {
        let scene = self.scene()?;
        let before = scene.traffic.take();
        if let Some(pace) = pace {
            scene.traffic = Some(Traffic::new(pace, scene.stage.now()));
        } else if let Some(traffic) = before {
            // Those that are under way are waited for.
            let until = scene.stage.now() + CALL;
            let open = |scene: &Scene| traffic.open(&scene.stage);
            self.await_met(until, CALL, |scene| !open(scene), "traffic goes on")?;
            let scene = self.scene()?;
            for text in traffic.summary(&scene.stage) {
                scene.say(scene.stage.now(), &text);
            }
        }
        Ok(())
    }
}
