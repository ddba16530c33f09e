//! What a node admits, and how long it waits.

use catena_core::{Limits, NodeConfig};
use clap::Args;

use super::parse::{Size, parse_key_size, parse_size, parse_value_size};

/// What a key and a value may weigh.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (SIZE: bytes, or a number and KiB, MiB or GiB)")]
pub(in crate::cli) struct SizeArguments {
    /// The longest key, up to 32KiB. The same for the coordinator, which tells the clients, and for every node.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().key_bytes), value_parser = parse_key_size)]
    pub(in crate::cli) key_bytes: Size,
    /// The largest value, up to 32MiB. The same for the coordinator, which tells the clients, and for every node.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().value_bytes), value_parser = parse_value_size)]
    pub(in crate::cli) value_bytes: Size,
}

/// What else a node admits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (SIZE: bytes, or a number and KiB, MiB or GiB)")]
pub(in crate::cli) struct LimitArguments {
    #[command(flatten)]
    pub(in crate::cli) sizes: SizeArguments,
    /// Writes of one slot that wait for their commit; more are refused, to be tried later.
    #[arg(long, value_name = "N", default_value_t = count(Limits::default().slot_writes), value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) slot_writes: u32,
    /// Bytes of one slot's writes in memory, not committed or not yet in the store; more are refused, to be tried later.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().slot_bytes), value_parser = parse_size)]
    pub(in crate::cli) slot_bytes: Size,
    /// As --slot-writes, of all slots together.
    #[arg(long, value_name = "N", default_value_t = count(Limits::default().node_writes), value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) node_writes: u32,
    /// As --slot-bytes, of all slots together.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().node_bytes), value_parser = parse_size)]
    pub(in crate::cli) node_bytes: Size,
    /// Bytes of answers to reads that clients have not taken yet, of which a quarter is for answers up to 64KiB; further reads
    /// wait for a second, and are then refused, to be tried later.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().answer_bytes), value_parser = parse_size)]
    pub(in crate::cli) answer_bytes: Size,
    /// Bytes of writes that the node keeps in memory for replicas that are being filled from it; those beyond go to its disk.
    #[arg(long, value_name = "SIZE", default_value_t = Size::of(Limits::default().retain_bytes), value_parser = parse_size)]
    pub(in crate::cli) retain_bytes: Size,
    /// Bytes of one slot's writes that it keeps there for them; a replica that is still further behind is filled anew.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().spill_bytes), value_parser = parse_size)]
    pub(in crate::cli) spill_bytes: Size,
    /// Bytes of its disk to keep free: with less, puts to the node's chains are refused, until there is a quarter more. Chosen
    /// for what the store may still have to write of what it has taken.
    #[arg(long, value_name = "SIZE", default_value_t = Size(512 << 20), value_parser = parse_size)]
    pub(in crate::cli) disk_reserve: Size,
    /// Bytes a second that the node fetches at most, over all slots, to fill its own replicas.
    #[arg(long, value_name = "SIZE", default_value_t = Size(NodeConfig::new(1).copy_rate), value_parser = parse_size)]
    pub(in crate::cli) copy_bytes_per_s: Size,
    /// Sessions of one slot; more are refused, to be opened later.
    #[arg(long, value_name = "N", default_value_t = count(Limits::default().slot_sessions), value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) slot_sessions: u32,
    /// Writes of one session whose answers are kept for a retry. The Rust client has up to 64 under way.
    #[arg(long, value_name = "N", default_value_t = count(Limits::default().session_writes), value_parser = clap::value_parser!(u32).range(128..))]
    pub(in crate::cli) session_writes: u32,
}

/// How long a node waits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Timings")]
pub(in crate::cli) struct TimingArguments {
    /// How long a neighbour may make no progress before it is asked what it has; more than a round trip and a sync.
    #[arg(long, value_name = "MS", default_value_t = ms(NodeConfig::new(1).probe), value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(in crate::cli) probe_ms: u64,
    /// How long committed writes may wait in memory for the store; longer waits share a sync among more of them.
    #[arg(long, value_name = "MS", default_value_t = ms(NodeConfig::new(1).apply), value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(in crate::cli) apply_ms: u64,
    /// How long a neighbour may say nothing before the coordinator is told; best what the coordinator has as --dead-ms.
    #[arg(long, value_name = "MS", default_value_t = ms(NodeConfig::new(1).silence), value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(in crate::cli) silence_ms: u64,
    /// How long the disk may be at one sync before the node falls silent, and others take its place.
    #[arg(long, value_name = "MS", default_value_t = ms(NodeConfig::new(1).stall), value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(in crate::cli) stall_ms: u64,
    /// How long a session may be idle before it ends. The Rust client takes its own for ended after 5 minutes.
    #[arg(long, value_name = "S", default_value_t = NodeConfig::new(1).session_idle.as_secs(), value_parser = clap::value_parser!(u64).range(600..=86_400))]
    pub(in crate::cli) session_idle_s: u64,
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("the protocol's numbers are small")
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("the protocol's times are short")
}
