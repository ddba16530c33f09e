//! What can be asked about the settings.

use clap::{Args, Subcommand};

use super::ViewFormat;

/// Shows the settings and where each comes from; or prints a file of all of them, to begin with.
#[derive(Debug, Args)]
#[command(after_help = "\
A setting is an option of catena coordinator, node or dev, or the --endpoints of the commands that call a cluster. What
holds is what comes first of

  1. its flag                          --dead-ms 900
  2. its variable                      CATENA_DEAD_MS=900
  3. its line in the file that --config or CATENA_CONFIG names: the flag's name, below the section of its command
                                       [coordinator]
                                       dead-ms = 900
  4. its default

The processes of catena dev read [coordinator] and [node], too; addresses, directories and numbers dev tells them by flags.

Examples:
  catena config default > catena.toml          every setting with its default, to be edited
  catena config print --config catena.toml     what holds, and where it comes from
  catena node --config catena.toml             to run by it

Exit codes: 0 done, 1 settings that contradict each other, 2 usage: a file or a variable that is wrong is one, too.")]
pub(in crate::cli) struct ConfigArguments {
    #[command(subcommand)]
    pub(in crate::cli) wish: ConfigWish,
}

/// What to do about the settings.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigWish {
    /// Prints each setting, what it is, and where that comes from. With a section it takes the flags of that section's command,
    /// too.
    #[command(after_help = "\
Examples:
  catena config print
  catena config print node --config /etc/catena.toml --slot-bytes 128MiB
  catena config print coordinator -o json      by section and key: {\"coordinator\":{\"dead-ms\":{\"value\":700,\"source\":\"default\"}, …

Settings that contradict each other are printed, and then the contradiction is. What the directory of a coordinator was
created with is not looked up.

Exit codes: 0 done, 1 settings that contradict each other, 2 usage.")]
    Print(PrintArguments),
    /// Prints a file of all settings, each with its default, and commented out.
    #[command(after_help = "\
Example:
  catena config default > catena.toml")]
    Default,
}

/// How to print the settings. Its subcommands are the sections of the file.
#[derive(Debug, Args)]
pub(in crate::cli) struct PrintArguments {
    /// How to print.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = ViewFormat::Table, global = true)]
    pub(in crate::cli) output: ViewFormat,
}
