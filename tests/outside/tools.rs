//! Finding the programs that the tests run, and proof that they are the pinned ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The program `name` as `scripts/tool` installed it. Fails the test, with the command that
/// installs it, when it is not there: a test must not download in the middle of its own time.
#[track_caller]
pub(crate) fn tool(name: &str) -> PathBuf {
    let found = find_tool(name, None);
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim_end())
}

/// Asks `scripts/tool` for a program without installing it, in another folder of tools if given.
fn find_tool(name: &str, tools: Option<&Path>) -> Output {
    let mut command = Command::new(in_repository("scripts/tool"));
    command.args(["--installed", name]);
    if let Some(tools) = tools {
        command.env("CARDPROOF_TOOLS", tools);
    }
    command.output().expect("scripts/tool runs")
}

/// The version that `scripts/tools.env` pins under this variable.
fn pinned(variable: &str) -> String {
    let pins =
        std::fs::read_to_string(in_repository("scripts/tools.env")).expect("the pins are readable");
    pins.lines()
        .find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))
        .expect("the tool is pinned")
        .to_owned()
}

#[test]
fn grpcurl_is_the_pinned_one() {
    let output = Command::new(tool("grpcurl"))
        .arg("-version")
        .output()
        .expect("grpcurl runs");
    // grpcurl tells its version on standard error
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said.trim(),
        format!("grpcurl v{}", pinned("GRPCURL_VERSION"))
    );
}

#[test]
fn a_missing_tool_is_reported_with_the_command_that_installs_it() {
    let empty = tempfile::tempdir().expect("a folder for this test");
    let output = find_tool("grpcurl", Some(empty.path()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        output.stdout.is_empty(),
        "a path was printed for a tool that is not there"
    );
    assert!(
        said.contains("install it with: scripts/tool grpcurl"),
        "it said: {said}"
    );
    let left: Vec<_> = std::fs::read_dir(empty.path())
        .expect("the folder is readable")
        .collect();
    assert!(left.is_empty(), "looking for a tool installed something");
}

#[test]
fn an_unknown_tool_is_refused_with_the_known_names() {
    let output = find_tool("grpcurl2", None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("grpcurl2") && said.contains("h2spec"),
        "it said: {said}"
    );
}
