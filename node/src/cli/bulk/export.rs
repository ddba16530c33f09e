//! `catena export`: all pairs of a cluster, page by page.

use std::io::{self, BufWriter, IsTerminal, Write};

use bytes::Bytes;
use catena_core::Slot;
use catena_net::client::{Client, ClientError, Options};

use super::progress::Progress;
use crate::cli::arguments::ExportArguments;
use crate::cli::exit::{self, Exit, fail};
use crate::cli::output::{complain, write_pair};

/// Bytes of keys and values in a page, unless a single pair has more.
const PAGE_BYTES: usize = 256 << 10;

pub(in crate::cli) async fn run(arguments: ExportArguments) -> Exit {
    let client = match Client::connect(arguments.ask.endpoints, Options { call_timeout: arguments.timeout }).await {
        Ok(client) => client,
        Err(error) => return fail(&error.to_string(), exit::of_read(&error)),
    };
    let slots = client.route().slots;
    let first = arguments.from_slot;
    if first >= slots {
        return fail(&format!("there is no slot {first}: the cluster has {slots}, from 0 on"), Exit::Usage);
    }
    let mut progress = Progress::new(Some(slots.into()));
    for slot in first..slots {
        if let Err(failure) = export(&client, Slot(slot), &mut progress).await {
            progress.finish();
            return failure.report(slot);
        }
    }
    let summary = progress.finish();
    if io::stderr().is_terminal() && !io::stdout().is_terminal() {
        complain(&summary);
    }
    Exit::Ok
}

/// Why a slot is not printed to its end.
enum Failure {
    Read(ClientError),
    Print(io::Error),
}

impl Failure {
    fn report(self, slot: u32) -> Exit {
        match self {
            Failure::Read(error) => fail(
                &format!("{error}; slots before {slot} are printed whole: go on with --from-slot {slot}, behind what is printed"),
                exit::of_read(&error),
            ),
            Failure::Print(error) => fail(&format!("pairs of slot {slot} cannot be printed: {error}"), Exit::Error),
        }
    }
}

async fn export(client: &Client, slot: Slot, progress: &mut Progress) -> Result<(), Failure> {
    let mut after: Option<Bytes> = None;
    loop {
        let scanned = client.scan(slot, after, PAGE_BYTES).await.map_err(Failure::Read)?;
        let mut out = BufWriter::new(io::stdout().lock());
        for (key, object) in scanned.page.objects {
            let bytes = key.len() + object.value.len();
            write_pair(&mut out, &key, slot, scanned.version, object).map_err(Failure::Print)?;
            progress.stored(bytes, slot.0.into(), format_args!("--from-slot {slot}"));
        }
        out.flush().map_err(Failure::Print)?;
        after = scanned.page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
