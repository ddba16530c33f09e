//! Texts of replay files: refused with a reason, or read as what is written the same. What they say is `world`'s to run.

use catena_sim::replay::Subject;

/// Any text. Behind a last line that is none of a replay file's, it is given one: no fuzzer finds a checksum.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    read(text);
    read(&format!("{}\nend unchecked\n", text.trim_end()));
}

fn read(text: &str) {
    match Subject::file(text) {
        Ok(subject) => {
            let written = subject.text().expect("of a file");
            let again = Subject::file(&written).map(|again| again.text());
            assert_eq!(again, Ok(Some(written)), "what is written is read as it was");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "one line says what is wrong: {error}"),
    }
}
