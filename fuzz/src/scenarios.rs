//! Texts of scenarios: refused with a reason, or rewritten as they are.

use catena_sim::scenario::rewritten;

/// Any text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match rewritten(text) {
        Ok(once) => {
            let tidy: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
            assert_eq!(once, tidy, "all but blanks at the ends of lines is kept");
            assert_eq!(rewritten(&once).as_ref(), Ok(&once), "what is written is read as it was");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "one line says what is wrong: {error}"),
    }
}
