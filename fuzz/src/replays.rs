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
            assert_eq!(again, Ok(Some(written.clone())), "what is written is read as it was");
            flipped(&written).for_each(|damaged| assert!(Subject::file(&damaged).is_err(), "damage shows:\n{damaged}"));
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "one line says what is wrong: {error}"),
    }
}

/// The text with a bit of it flipped: each time of another of its characters, which are some fifty from all over it.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    let at = (0..text.len()).step_by(1 + text.len() / 50).filter(|at| text.as_bytes()[*at].is_ascii());
    at.map(|at| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).expect("what was ASCII is")
    })
}
