//! What is done to many pairs at once.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::operator::AskArguments;
use super::parse::parse_duration;

/// Stores pairs of keys and values from a file, one a line.
#[derive(Debug, Args)]
#[command(after_help = "\
A line is an object of JSON, as get -o json prints it: key and value, or key_base64 and value_base64 for bytes that are
not UTF-8. Other fields mean nothing here, nor do empty lines. Of several lines with one key, the last one counts.
  {\"key\":\"greeting\",\"value\":\"hello\"}
  {\"key_base64\":\"/wA=\",\"value_base64\":\"3q2+7w==\"}

Examples:
  catena load pairs.jsonl
  zcat pairs.jsonl.gz | catena load -         from standard input, of any size
  catena load pairs.jsonl --from-line 4712    goes on where a run before has ended, as it said

A run that ends early says how many lines are stored, all of them from the first on. Some of those after them may be
stored, too: storing them again does no harm, unless somebody else has written to their keys since. Of one that is killed,
the last that it printed says it: the bar on a terminal, elsewhere one line in ten seconds.

Exit codes: 0 done, 1 a line or the file is wrong, 2 usage, 5 unavailable or interrupted, 6 some outcome unknown.")]
pub(in crate::cli) struct LoadArguments {
    /// The file; `-` is standard input.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// Begin with this line: those before it are stored already.
    #[arg(long, value_name = "LINE", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) from_line: u64,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArguments,
    /// How long to try each line: a number and `ms`, `s` or `m`. Each takes effect once, however often it is tried.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub(in crate::cli) timeout: Duration,
}

/// Prints all pairs of keys and values, one a line.
#[derive(Debug, Args)]
#[command(after_help = "\
A line is what get -o json prints and load reads. Slot by slot, and in a slot in the order of the keys; some 256 KiB at a time
are read, linearizably and as of one moment, so writes that go on meanwhile are in it or not, each for itself.

Examples:
  catena export > pairs.jsonl
  catena export | gzip > pairs.jsonl.gz
  catena export --from-slot 47 >> pairs.jsonl  goes on where a run before has ended, as it said: pairs of that slot that are
                                               there already come again, which load does not mind
  catena export | catena load - --endpoints other:7400

Exit codes: 0 done, 1 cannot be printed, 2 usage, 5 unavailable.")]
pub(in crate::cli) struct ExportArguments {
    /// Begin with this slot.
    #[arg(long, value_name = "SLOT", default_value_t = 0)]
    pub(in crate::cli) from_slot: u32,
    #[command(flatten)]
    pub(in crate::cli) ask: AskArguments,
    /// How long to try to read each page: a number and `ms`, `s` or `m`.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub(in crate::cli) timeout: Duration,
}
