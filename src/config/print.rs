//! The configuration as it is in force, for the operator's eyes.

use toml::{Table, Value};

use super::LoadedConfig;

const MASK: &str = "***";
/// So much of a digest tells two tokens apart, and helps nobody to guess them.
const SHOWN_DIGITS: usize = 8;

impl LoadedConfig {
    /// The operator's settings laid over the default, as TOML. Secrets are shown as the references
    /// that they are; proxies, which may hold a password, are masked, and digests cut short.
    #[must_use]
    pub fn effective_toml(&self) -> String {
        let mut table = self.table.clone();
        for provider in tables_in(&mut table, "providers") {
            if let Some(proxy) = provider.get_mut("proxy") {
                *proxy = Value::String(MASK.to_owned());
            }
        }
        for client in tables_in(&mut table, "clients") {
            let digests = client.get_mut("token_sha256").and_then(Value::as_array_mut);
            for digest in digests.into_iter().flatten() {
                let shown: String = digest
                    .as_str()
                    .map(|digest| digest.chars().take(SHOWN_DIGITS).collect())
                    .unwrap_or_default();
                *digest = Value::String(format!("{shown}{MASK}"));
            }
        }
        table.to_string()
    }
}

fn tables_in<'t>(table: &'t mut Table, key: &str) -> impl Iterator<Item = &'t mut Table> {
    let parent = table.get_mut(key).and_then(Value::as_table_mut);
    parent
        .into_iter()
        .flat_map(|parent| parent.iter_mut())
        .filter_map(|(_, value)| value.as_table_mut())
}
