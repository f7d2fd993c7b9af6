//! The command line as a person and a program meet it: the binary itself, against a server that
//! gives prepared answers.

mod answers;
mod arguments;
mod connection;
mod server;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// A card number that must not be seen in any output.
const CARD: &str = "6222026123456784";

/// What the program printed, and how it ended.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardproof"));
    command
        .args(arguments)
        .env_remove("CARDPROOF_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Ran {
    ran(command(arguments).output().unwrap())
}

fn run_with(arguments: &[&str], stdin: &str) -> Ran {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    // a program that refuses its arguments does not read
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    ran(child.wait_with_output().unwrap())
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// The one line of JSON on standard output.
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.stdout.lines().count(), 1, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    fn assert_no_card(&self) {
        for output in [&self.stdout, &self.stderr] {
            assert!(!output.contains(&CARD[..8]), "{output}");
            assert!(!output.contains(&CARD[8..]), "{output}");
        }
    }
}
