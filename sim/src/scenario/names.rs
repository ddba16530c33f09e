//! Who there is in a cluster, and who is linked with whom.

use super::command::{Link, Party};
use super::error::Problem;
use super::words::Words;

/// Who there is in the cluster at hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) nodes: usize,
    pub(crate) coordinators: usize,
    pub(crate) clients: Vec<String>,
}

impl Names {
    fn numbered(name: &str, letter: char, count: usize) -> Option<usize> {
        let number: usize = name.strip_prefix(letter)?.parse().ok()?;
        (1..=count).contains(&number).then(|| number - 1)
    }

    fn no_such(&self, name: &str) -> Problem {
        let known = format!("{} nodes, {} coordinators, clients {}", self.nodes, self.coordinators, self.clients.join(", "));
        Problem::NoSuch { name: name.to_owned(), known }
    }

    pub(crate) fn node(&self, name: &str) -> Result<usize, Problem> {
        Self::numbered(name, 'n', self.nodes).ok_or_else(|| self.no_such(name))
    }

    pub(crate) fn client(&self, name: &str) -> Result<usize, Problem> {
        self.clients.iter().position(|client| client == name).ok_or_else(|| self.no_such(name))
    }

    pub(crate) fn party(&self, name: &str) -> Result<Party, Problem> {
        if name == "store" && self.nodes > 0 {
            return Ok(Party::Store);
        }
        if let Some(seat) = Self::numbered(name, 'c', self.coordinators) {
            return Ok(Party::Coordinator(seat));
        }
        self.client(name).map(Party::Client).or_else(|_| self.node(name).map(Party::Node))
    }

    fn parties(&self, name: &str) -> Result<Vec<Party>, Problem> {
        match name {
            "coordinators" => Ok((0..self.coordinators).map(Party::Coordinator).collect()),
            _ => self.party(name).map(|party| vec![party]),
        }
    }
}

/// `a b`: both directions; `a->b`: one. `coordinators` are all of them.
pub(super) fn links(words: &mut Words<'_>, names: &Names) -> Result<Vec<Link>, Problem> {
    let first = words.next()?;
    let (from, to, both) = match first.split_once("->") {
        Some((from, to)) => (from, to, false),
        None => (first, words.next()?, true),
    };
    let mut links = Vec::new();
    for a in names.parties(from)? {
        for b in names.parties(to)? {
            let link = Link { from: a, to: b };
            let connected = match (a, b) {
                (Party::Node(one), Party::Node(other)) => one != other,
                (Party::Node(_) | Party::Client(_), Party::Coordinator(_))
                | (Party::Coordinator(_), Party::Node(_) | Party::Client(_)) => true,
                (Party::Coordinator(_), Party::Store) => both,
                (_, _) => false,
            };
            if !connected {
                return Err(Problem::NoLink { from: from.to_owned(), to: to.to_owned() });
            }
            links.push(link);
            if both && b != Party::Store {
                links.push(Link { from: b, to: a });
            }
        }
    }
    Ok(links)
}
