//! What lies on a node's or a coordinator's disk, and is not what was written: refused, or read as what is written the same.

/// Any bytes, taken for a record of each kind, for a key, and for the file that says whose directory it is.
pub fn run(data: &[u8]) {
    catena_store::check_any_record(data);
}
