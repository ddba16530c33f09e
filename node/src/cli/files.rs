//! Open files: a server has one for each connection, and its store some hundreds.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many as the system allows. Most systems begin with 1,024 and allow a lot more: the low number is
/// for programs that keep them in sets of a fixed size.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!("no more than {current:?} open files ({error}): connections beyond half of them are closed");
    }
}
