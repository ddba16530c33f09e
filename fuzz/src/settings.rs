//! Files of settings: refused with a reason, or values that a coordinator and a node can work with.

/// Any text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = catena_node::judge_settings(text) {
        assert!(!error.is_empty(), "it says what is wrong");
    }
}
