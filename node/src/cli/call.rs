//! `catena put`, `get` and `del`: one call each through the Rust client.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use bytes::Bytes;
use catena_core::{Comparison, Condition, Seq};
use catena_net::client::{Client, ClientError, Options};

use super::arguments::{CallArguments, ConditionArguments, DelArguments, GetArguments, PutArguments};
use super::exit::{self, Exit, fail};
use super::output::{self, Outcome};

/// Stands for standard input.
const STDIN: &str = "-";

pub(super) async fn put(arguments: PutArguments) -> Exit {
    let key = Bytes::from(arguments.key.into_vec());
    let value = match value(arguments.value) {
        Ok(value) => value,
        Err(error) => return fail(&format!("cannot read the value from standard input: {error}"), Exit::Error),
    };
    let format = arguments.call.output;
    let call = async {
        let client = connect(arguments.call).await?;
        client.put(key.clone(), value, arguments.conditions.into_conditions()).await
    };
    match call.await {
        Ok(written) => output::print(format, &key, &Outcome::Put(written)),
        Err(error) => fail(&error.to_string(), exit::of_write(&error)),
    }
}

pub(super) async fn get(arguments: GetArguments) -> Exit {
    let key = Bytes::from(arguments.key.into_vec());
    let format = arguments.call.output;
    let call = async { connect(arguments.call).await?.get(key.clone()).await };
    match call.await {
        Ok(found) => match found.object {
            Some(object) => output::print(format, &key, &Outcome::Got { slot: found.slot, version: found.version, object }),
            None => fail(&format!("there is no object {:?}", String::from_utf8_lossy(&key)), Exit::NotFound),
        },
        Err(error) => fail(&error.to_string(), exit::of_read(&error)),
    }
}

pub(super) async fn del(arguments: DelArguments) -> Exit {
    let key = Bytes::from(arguments.key.into_vec());
    let format = arguments.call.output;
    let call = async {
        let client = connect(arguments.call).await?;
        client.delete(key.clone(), arguments.conditions.into_conditions()).await
    };
    match call.await {
        Ok(written) => output::print(format, &key, &Outcome::Deleted(written)),
        Err(error) => fail(&error.to_string(), exit::of_write(&error)),
    }
}

/// A client whose calls have what connecting has left of the time. Its writes need no session: opening one would cost a write
/// of its own, and the slot would keep it for a while, for a single write.
async fn connect(call: CallArguments) -> Result<Client, ClientError> {
    let began = Instant::now();
    let client = Client::connect(call.ask.endpoints, Options { call_timeout: call.timeout }).await?;
    let options = Options { call_timeout: call.timeout.saturating_sub(began.elapsed()) };
    Ok(client.with_options(options).at_most_once())
}

fn value(given: OsString) -> io::Result<Bytes> {
    if given != STDIN {
        return Ok(given.into_vec().into());
    }
    let mut value = Vec::new();
    io::stdin().lock().read_to_end(&mut value)?;
    Ok(value.into())
}

impl ConditionArguments {
    fn into_conditions(self) -> Vec<Condition> {
        let version = self.version.map(|version| Condition::Version(Comparison::Eq, Seq(version)));
        let absent = self.absent.then_some(Condition::Exists(false));
        let exists = self.exists.then_some(Condition::Exists(true));
        [absent, exists, version].into_iter().flatten().collect()
    }
}
