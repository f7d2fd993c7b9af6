//! The README and the code say the same. Its sessions are typed word for word by another suite.

use cardproof::provider::sandbox;

const README: &str = include_str!("../../README.md");

#[test]
fn the_sandbox_table_is_the_sandbox() {
    let shown: Vec<&str> = README
        .lines()
        .filter(|line| line.starts_with("| `62000"))
        .collect();
    let documented: Vec<String> = sandbox::documented()
        .iter()
        .map(|row| format!("| `{}` | {} |", row.number, row.description()))
        .collect();
    assert_eq!(shown, documented);
}
