//! The configuration as operators meet it: files, variables, and what they are told.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod at_start;
mod canary;
mod files;
mod keys;
mod variables;

use std::{fs, path::PathBuf};

use cardproof::config::{Config, ConfigSource, LoadedConfig, Problems};

/// A file of `tests/config/`.
fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name)
}

fn load(text: &str) -> Result<LoadedConfig, Problems> {
    load_with(text, &[])
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<LoadedConfig, Problems> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::load(&ConfigSource {
        file: Some((PathBuf::from("cardproof.toml"), text.to_owned())),
        env: env.iter().map(own).collect(),
    })
}

fn good(name: &str) -> String {
    fs::read_to_string(folder("good").join(name)).unwrap()
}

/// The lines that a refused configuration is answered with.
fn told(outcome: Result<LoadedConfig, Problems>) -> String {
    match outcome {
        Ok(_) => panic!("the configuration was accepted"),
        Err(problems) => problems.to_string(),
    }
}
