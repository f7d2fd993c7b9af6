//! Programs of other makers, by name: the suite has installed them before.

use std::process::Command;

/// The path of a tool that `scripts/tool` knows.
pub fn path(name: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tool");
    let told = Command::new(script).args(["--installed", name]).output();
    let told = told.expect("scripts/tool runs");
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}
