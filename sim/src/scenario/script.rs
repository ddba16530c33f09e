//! A scenario's text: blocks of story, commands, and the output that they produced.
//!
//! ```text
//! # The head dies.          story: goes on to the next command
//! put a 1 &                 commands, one a line
//! kill n1
//! ----
//! +0 ms  n1 is killed       output, up to an empty line
//! ```

use std::fmt::Write as _;

use catena_core::mutant;

use super::command::Command;
use super::error::{Problem, ScriptError};
use super::names::Names;

/// What stands between commands and their output.
const RULE: &str = "----";

/// A scenario.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) blocks: Vec<Block>,
    /// Lines after the last block.
    epilogue: Vec<String>,
}

/// Commands that run one after the other, and what they produced.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Comments and empty lines before.
    story: Vec<String>,
    /// As written.
    source: Vec<String>,
    pub(crate) commands: Vec<Located>,
    /// As it was when the file was written.
    pub(crate) output: Vec<String>,
    /// The line at which the output begins.
    pub(crate) output_line: usize,
}

/// A command and its line, from 1.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) line: usize,
    pub(crate) command: Command,
}

impl Script {
    /// Parses a file.
    pub(crate) fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self { blocks: Vec::new(), epilogue: Vec::new() };
        let mut names = Names::default();
        let mut block = Block::default();
        let mut lines = (1..).zip(text.lines().map(str::trim_end)).peekable();
        while let Some((line, text)) = lines.next() {
            if text.is_empty() || text.starts_with('#') {
                if !block.source.is_empty() {
                    return Err(ScriptError { line, problem: Problem::NoRule });
                }
                block.story.push(text.to_owned());
            } else if text == RULE {
                if block.source.is_empty() {
                    return Err(ScriptError { line, problem: Problem::NothingBeforeRule });
                }
                block.output_line = line + 1;
                while let Some((_, output)) = lines.next_if(|(_, text)| !text.is_empty()) {
                    block.output.push(output.to_owned());
                }
                script.blocks.push(std::mem::take(&mut block));
            } else {
                let mut whole = text.to_owned();
                block.source.push(text.to_owned());
                while let Some((_, more)) = lines.next_if(|(_, text)| text.starts_with(' ')) {
                    whole.push_str(more);
                    block.source.extend((!mutant!(ContinuationLost)).then(|| more.to_owned()));
                }
                let command = Command::parse(&whole, &mut names).map_err(|problem| ScriptError { line, problem })?;
                block.commands.push(Located { line, command });
                if lines.peek().is_none() {
                    return Err(ScriptError { line, problem: Problem::NoRule });
                }
            }
        }
        if script.blocks.is_empty() {
            return Err(ScriptError { line: text.lines().count().max(1), problem: Problem::NoCommand });
        }
        script.epilogue = block.story;
        Ok(script)
    }

    /// The file with these outputs, one for each block.
    pub(crate) fn render(&self, outputs: &[Vec<String>]) -> String {
        let mut text = String::new();
        for (block, output) in self.blocks.iter().zip(outputs) {
            let rule = RULE.to_owned();
            for line in block.story.iter().chain(&block.source).chain([&rule]).chain(output) {
                writeln!(text, "{line}").expect("a string takes everything");
            }
        }
        for line in &self.epilogue {
            writeln!(text, "{line}").expect("a string takes everything");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# A story.\n\ncluster nodes=3 replicas=3\n  slots=2\n----\nv1\n\n# More.\nkill n1\nrun 5ms\n----\n\n# End.\n";

    #[test]
    fn a_file_is_rendered_as_it_was_with_the_outputs_it_had() {
        let script = Script::parse(FILE).expect("it is well formed");
        assert_eq!(script.blocks.len(), 2);
        assert_eq!(script.blocks[0].output, ["v1"]);
        let lines: Vec<usize> = script.blocks[1].commands.iter().map(|located| located.line).collect();
        assert_eq!(lines, [9, 10]);
        let outputs: Vec<Vec<String>> = script.blocks.iter().map(|block| block.output.clone()).collect();
        assert_eq!(script.render(&outputs), FILE);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, says) in [
            ("# x\nfly n1\n----\n", "line 2: there is no command \"fly\""),
            ("cluster nodes=3\n----\n\nkill n4\n----\n", "line 4: there is no \"n4\""),
            ("cluster nodes=3\n----\n\nrun fast\n----\n", "line 4: \"fast\" is no duration"),
            ("cluster nodes=3\n----\n\nrun\n----\n", "line 4: run DURATION"),
            ("cluster nodes=3\n----\n\nhold n1->n2\n----\n", "line 4: hold COORDINATOR->NODE: write it like that"),
            ("cluster nodes=3\n----\n\ndamage n1\n----\n", "line 4: damage NODE log|KEY"),
            ("cluster nodes=3\n----\n\nput a 1 at=n1 deadline=1ms\n----\n", "line 4: put KEY VALUE"),
            ("cluster nodes=3 colour=red\n----\n", "line 1: cluster knows no option \"colour\""),
            ("kill n1\n----\n", "line 1: there is no \"n1\""),
            ("cluster nodes=3\n", "line 1: the command has no output: write ---- below it"),
            ("cluster nodes=3\n\nrun 1s\n----\n", "line 2: the command has no output: write ---- below it"),
            ("----\n", "line 1: there is no command above ----"),
            ("", "line 1: there is no command: write one"),
            ("# One day.\n\n", "line 2: there is no command: write one"),
            ("cluster nodes=3 replicas=9\n----\n", "line 1: replicas=9 is more than the 3 nodes"),
        ] {
            let error = Script::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }
}
