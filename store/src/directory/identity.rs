//! The identity file, readable by people:
//!
//! ```text
//! catena data directory
//! format 3
//! owner node n1
//! incarnation 0123456789abcdef0123456789abcdef
//! cluster fedcba9876543210fedcba9876543210
//! data created
//! crc32 89abcdef
//! ```
//!
//! Exactly these lines in this order, each ended by a line feed. `owner` is `node NAME` or `coordinator`; `cluster` is `none` before
//! the first contact with a coordinator; `data` is `none` until the store has been created. The checksum is the CRC-32
//! (IEEE) of all lines before it. The first two lines keep their form in every later format.

use std::fmt;
use std::path::Path;

use catena_core::{ClusterId, Incarnation, NodeId};

use super::DirectoryError;

/// The format of the directory: of this file and of the data.
const FORMAT: u64 = 3;
const FIRST_LINE: &str = "catena data directory";
/// More than any identity file has.
pub(super) const MAX_BYTES: u64 = 4096;

/// Whose data it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A storage node's.
    Node(NodeId),
    /// A coordinator's.
    Coordinator,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Node(node) => write!(f, "node {node}"),
            Owner::Coordinator => f.write_str("coordinator"),
        }
    }
}

/// Who a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryIdentity {
    /// Whose it is.
    pub owner: Owner,
    /// Its random name: (node id, incarnation) names a replica's history.
    pub incarnation: Incarnation,
    /// The cluster it belongs to; `None` until the owner has learnt it.
    pub cluster: Option<ClusterId>,
}

/// Whether the store in it has been created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    None,
    Created,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdentityFile {
    pub(super) identity: DirectoryIdentity,
    pub(super) data: Data,
}

/// Why a file is no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Newer(u64),
    Older(u64),
    Corrupt(&'static str),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> DirectoryError {
        let path = path.to_owned();
        match self {
            Fault::Newer(found) => DirectoryError::NewerFormat { path, found, known: FORMAT },
            Fault::Older(found) => DirectoryError::OlderFormat { path, found, known: FORMAT },
            Fault::Corrupt(what) => DirectoryError::CorruptIdentity { path, what },
        }
    }
}

impl IdentityFile {
    pub(super) fn to_text(&self) -> String {
        let DirectoryIdentity { owner, incarnation, cluster } = &self.identity;
        let cluster = cluster.map_or_else(|| "none".to_owned(), |cluster| cluster.to_string());
        let data = match self.data {
            Data::None => "none",
            Data::Created => "created",
        };
        let text =
            format!("{FIRST_LINE}\nformat {FORMAT}\nowner {owner}\nincarnation {incarnation}\ncluster {cluster}\ndata {data}\n");
        let last = checksum_line(&text);
        text + &last
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::Corrupt("it is not text"))?;
        let mut lines = text.split_inclusive('\n');
        if lines.next().and_then(|line| line.strip_suffix('\n')) != Some(FIRST_LINE) {
            return Err(Fault::Corrupt("its first line is another"));
        }
        let written = field(lines.next(), "format")?;
        let format = written.parse::<u64>().ok().filter(|format| format.to_string() == written);
        let format = format.ok_or(Fault::Corrupt("its format is no number"))?;
        if format > FORMAT {
            return Err(Fault::Newer(format));
        }
        if format < FORMAT {
            return Err(Fault::Older(format));
        }
        let last = text.rfind("\ncrc32 ").ok_or(Fault::Corrupt("it has no checksum"))? + 1;
        if text[last..] != checksum_line(&text[..last]) {
            return Err(Fault::Corrupt("its checksum does not match"));
        }
        let owner = parse_owner(field(lines.next(), "owner")?)?;
        let incarnation = Incarnation(parse_id(field(lines.next(), "incarnation")?)?);
        let cluster = match field(lines.next(), "cluster")? {
            "none" => None,
            id => Some(ClusterId(parse_id(id)?)),
        };
        let data = match field(lines.next(), "data")? {
            "none" => Data::None,
            "created" => Data::Created,
            _ => return Err(Fault::Corrupt("its data line is malformed")),
        };
        field(lines.next(), "crc32")?;
        if lines.next().is_some() {
            return Err(Fault::Corrupt("it goes on after its end"));
        }
        Ok(Self { identity: DirectoryIdentity { owner, incarnation, cluster }, data })
    }
}

/// The last line of a file that begins with these.
fn checksum_line(before: &str) -> String {
    format!("crc32 {:08x}\n", crc32fast::hash(before.as_bytes()))
}

/// Reads `data` as an identity file, and as one without its last line; for `fuzz/`. What makes sense is written as it was.
#[cfg(not(madsim))]
pub(crate) fn check_any_identity(data: &[u8]) {
    let whole = [data, format!("crc32 {:08x}\n", crc32fast::hash(data)).as_bytes()].concat();
    for text in [data, &whole] {
        if let Ok(file) = IdentityFile::parse(text) {
            assert_eq!(file.to_text().as_bytes(), text, "what is read is written as it was");
        }
    }
}

/// The value of `line`, which must be `name value` and a line feed.
fn field<'a>(line: Option<&'a str>, name: &str) -> Result<&'a str, Fault> {
    line.and_then(|line| line.strip_suffix('\n'))
        .and_then(|line| line.strip_prefix(name))
        .and_then(|line| line.strip_prefix(' '))
        .ok_or(Fault::Corrupt("a line is missing or malformed"))
}

fn parse_owner(value: &str) -> Result<Owner, Fault> {
    if value == "coordinator" {
        return Ok(Owner::Coordinator);
    }
    let name = value.strip_prefix("node ").ok_or(Fault::Corrupt("its owner is malformed"))?;
    NodeId::new(name).map(Owner::Node).map_err(|_| Fault::Corrupt("its owner has no node id"))
}

fn parse_id(value: &str) -> Result<u128, Fault> {
    let hex = value.len() == 32 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = if hex { u128::from_str_radix(value, 16).ok() } else { None };
    id.ok_or(Fault::Corrupt("an id is not 32 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> IdentityFile {
        let owner = Owner::Node(NodeId::new("n1").expect("legal"));
        let identity = DirectoryIdentity { owner, incarnation: Incarnation(7), cluster: Some(ClusterId(u128::MAX)) };
        IdentityFile { identity, data: Data::Created }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for cluster in [None, Some(ClusterId(3))] {
            for (owner, data) in [(Owner::Coordinator, Data::None), (example().identity.owner, Data::Created)] {
                let identity = DirectoryIdentity { owner, incarnation: Incarnation(1 << 100), cluster };
                let file = IdentityFile { identity, data };
                assert_eq!(IdentityFile::parse(file.to_text().as_bytes()), Ok(file));
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let text = example().to_text().into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                assert!(IdentityFile::parse(&damaged).is_err(), "bit {bit} of byte {at}");
            }
            assert!(IdentityFile::parse(&text[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_last_line_is_a_checksum_and_nothing_else() {
        let text = example().to_text();
        let sum = text.rfind("crc32").expect("its last line");
        let before = format!("{}crc32 0", &text[..sum]);
        let whole = format!("{before}{}", checksum_line(&before));
        assert_eq!(IdentityFile::parse(whole.as_bytes()), Err(Fault::Corrupt("its checksum does not match")));
    }

    #[test]
    fn another_format_is_told_from_damage_whatever_follows() {
        let parse =
            |format: &str| IdentityFile::parse(format!("catena data directory\nformat {format}\nsomething else").as_bytes());
        assert_eq!(parse("9"), Err(Fault::Newer(9)));
        assert_eq!(parse("1"), Err(Fault::Older(1)));
        for other in ["+3", "03", "", "-1", "3.0"] {
            assert_eq!(parse(other), Err(Fault::Corrupt("its format is no number")), "{other:?}");
        }
    }
}
