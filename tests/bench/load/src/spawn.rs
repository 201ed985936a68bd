//! How long commands take, from start to end, in turns: A B C A B C …, so that whatever else the
//! machine does hits all of them alike. `NAME=VALUE` in front of a command's path is for its
//! environment, as in a shell.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::times::Times;

pub fn run(words: &[String], times: usize) -> Result<serde_json::Value, String> {
    let commands: Vec<_> = words.split(|word| word == ":::").collect();
    let mut results: Vec<_> = commands.iter().map(|_| Times::default()).collect();
    for round in 0..=times {
        for (command, result) in commands.iter().zip(&mut results) {
            let variable = |word: &'_ String| !word.starts_with('/') && word.contains('=');
            let words = command.iter().take_while(|word| variable(word));
            let variables: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
            let (program, arguments) = command
                .get(variables.len()..)
                .and_then(<[String]>::split_first)
                .ok_or("a command is empty")?;
            let begun = Instant::now();
            let status = Command::new(program)
                .args(arguments)
                .envs(variables)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .map_err(|error| format!("`{program}`: {error}"))?;
            let took = begun.elapsed();
            // the first round only warms the caches
            if round == 0 {
                continue;
            }
            match status.success() {
                true => result.add(took),
                false => result.fail(format!("`{program}`: {status}")),
            }
            result.elapsed += took;
        }
    }
    let results: Vec<_> = results.into_iter().map(Times::summary).collect();
    Ok(results.into())
}
