//! The rules of the protocol, and how one knows that each has been tested: by a mark that campaigns come by, or else as said here.

use catena_core::marks::Mark;

/// A mark with its rule, as in summaries.
pub fn line(mark: Mark) -> String {
    format!("{:<4}{}", mark.rule(), mark.story())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::faults::Fault;

    /// How one knows of a rule at which no mark stands.
    enum Evidence {
        /// It is for whoever drives the machines: the world follows it wherever it counts this fault.
        Counted(Fault),
        /// It is about the store, or about cost: this file tests it.
        File(&'static str),
        /// There is nothing yet that it could hold of.
        NotBuilt,
    }

    /// The rules at which no mark stands.
    const UNMARKED: &[(&str, Evidence)] = &[
        ("R3", Evidence::NotBuilt),
        ("R4", Evidence::NotBuilt),
        ("R5", Evidence::NotBuilt),
        ("K6", Evidence::File("core/tests/coordinator/cost.rs")),
        ("D1", Evidence::Counted(Fault::SyncError)),
        ("D4", Evidence::File("store/tests/conformance/random.rs")),
        ("D5", Evidence::File("store/tests/directory.rs")),
    ];

    /// What has to be said of the protocol's rules and is not so.
    fn complaints(protocol: &str, unmarked: &[(&str, Evidence)]) -> Vec<String> {
        // A rule is a point that begins with its number in bold: `* **W1 Order.**`, `* **J1** A member …`.
        let number = |line: &str| Some(line.strip_prefix("* **")?.split([' ', '*']).next()?.to_owned());
        let is_rule = |number: &String| number.chars().nth(1).is_some_and(|digit| digit.is_ascii_digit());
        let mut known: BTreeMap<String, usize> =
            protocol.lines().filter_map(number).filter(is_rule).map(|rule| (rule, 0)).collect();
        let mut complaints = Vec::new();
        let marked = Mark::ALL.iter().map(|mark| mark.rule());
        for rule in marked.chain(unmarked.iter().map(|(rule, _)| *rule)) {
            match known.get_mut(rule) {
                Some(count) => *count += 1,
                None => complaints.push(format!("{rule} is no rule of the protocol")),
            }
        }
        for (rule, evidence) in unmarked {
            if Mark::ALL.iter().any(|mark| mark.rule() == *rule) {
                complaints.push(format!("{rule} has a mark, and is listed as having none"));
            }
            match evidence {
                Evidence::File(file) if !Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file).is_file() => {
                    complaints.push(format!("{rule}: there is no {file}"));
                }
                Evidence::Counted(fault) if !Fault::ALL.contains(fault) => {
                    complaints.push(format!("{rule}: nobody counts {fault}"));
                }
                Evidence::File(_) | Evidence::Counted(_) | Evidence::NotBuilt => {}
            }
        }
        complaints.extend(known.iter().filter(|(_, count)| **count == 0).map(|(rule, _)| format!("{rule} has no mark")));
        complaints
    }

    const PROTOCOL: &str = include_str!("../../docs/protocol.md");

    #[test]
    fn every_rule_of_the_protocol_has_a_mark_or_a_reason_to_have_none() {
        assert_eq!(complaints(PROTOCOL, UNMARKED), [""; 0]);
    }

    #[test]
    fn a_rule_without_a_mark_and_a_mark_without_a_rule_are_complained_of() {
        let more = PROTOCOL.replace("* **C11 ", "* **C12 New.** Nobody has marked it.\n* **C11 ");
        assert_eq!(complaints(&more, UNMARKED), ["C12 has no mark"]);
        let fewer = PROTOCOL.replace("* **J2**", "*");
        assert_eq!(complaints(&fewer, UNMARKED), ["J2 is no rule of the protocol"]);
        let unmarked = [("W1", Evidence::NotBuilt)];
        let found = complaints(PROTOCOL, &unmarked);
        assert!(found.contains(&"W1 has a mark, and is listed as having none".to_owned()), "{found:?}");
        assert!(found.contains(&"D5 has no mark".to_owned()), "{found:?}");
    }
}
