//! What a seed has drawn, as people read it before its run and where it has failed: its options, and what its clients want.

use std::fmt::Write as _;

use super::World;
use super::clients::Client;
use crate::options::Options;
use crate::trace::Printing;

impl Options {
    /// A table of all that the seed has drawn.
    pub fn table(&self) -> String {
        let workload = World::new(self.clone(), Printing::Off).map_or_else(|_| String::new(), |world| world.workload_rows());
        format!("{self}  workload\n{workload}")
    }
}

impl World {
    fn workload_rows(&self) -> String {
        let workers = &self.clients[..self.options.clients];
        let each = |what: fn(&Client) -> String| workers.iter().map(what).collect::<Vec<_>>().join(", ");
        let clients = [
            ("calls at a time", each(|client| client.lanes.to_string())),
            ("deadlines", each(|client| format!("{:?}", client.deadline))),
            ("calls given up", each(|client| client.impatience.to_string())),
        ];
        let mut rows = String::new();
        for (name, value) in self.workload.rows().into_iter().chain(clients) {
            let _ = writeln!(rows, "    {name:<26}{value}");
        }
        rows
    }
}
