//! `[clients.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    money,
    providers::{NAME_FORM, Vendor},
    routes::provider_name,
};
use crate::{
    config::{
        ClientSettings,
        reader::{Section, form},
    },
    domain::{ProviderName, provider_name::is_identifier},
};

/// SHA-256 of no bytes and of a lone line break: what a pipe makes of a variable that is not set.
const DIGESTS_OF_NOTHING: [&str; 2] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
];
const MAX_SAN_CHARS: usize = 255;
const MAX_PER_SECOND: u64 = 1_000_000;

/// A method of the service, as callers are allowed it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Verify,
    CardInfo,
}

pub(super) fn read(
    mut section: Section<'_>,
    vendors: &BTreeMap<String, Option<Vendor>>,
) -> BTreeMap<String, ClientSettings> {
    let mut clients = BTreeMap::new();
    for (name, client) in section.named() {
        if is_identifier(&name) {
            clients.insert(name, read_client(client, vendors));
        } else {
            section.problem(&name, NAME_FORM);
            client.skip();
        }
    }
    section.finish();
    clients
}

fn read_client(
    mut section: Section<'_>,
    vendors: &BTreeMap<String, Option<Vendor>>,
) -> ClientSettings {
    let digests = form::list("SHA-256 digests", digest);
    let names = form::list("names of certificates", san);
    let methods = form::list("methods", method);
    let both = vec![Method::Verify, Method::CardInfo];
    let methods = section.or("methods", methods, both);
    if methods.is_empty() {
        section.problem("methods", "must name at least one method");
    }
    let settings = ClientSettings {
        token_sha256: section
            .optional("token_sha256", digests)
            .unwrap_or_default(),
        san: section.optional("san", names).unwrap_or_default(),
        may_verify: methods.contains(&Method::Verify),
        may_query_card_info: methods.contains(&Method::CardInfo),
        providers: providers(&mut section, vendors),
        allow_bypass: section.flag("allow_bypass"),
        requests_per_second: section
            .optional("requests_per_second", form::number(1..=MAX_PER_SECOND)),
        concurrent: section.optional("concurrent", form::number(1..=MAX_PER_SECOND)),
        daily_budget: money::budget(&mut section),
    };
    section.finish();
    settings
}

fn providers(
    section: &mut Section<'_>,
    vendors: &BTreeMap<String, Option<Vendor>>,
) -> Option<Vec<ProviderName>> {
    let names = form::list("names of providers", provider_name);
    let names = section.optional("providers", names)?;
    let mut seen = BTreeSet::new();
    for (number, name) in (1..).zip(&names) {
        if !vendors.contains_key(name.as_str()) {
            let message = format!("entry {number} names a provider that is not configured");
            section.problem("providers", message);
        } else if !seen.insert(name) {
            let message = format!("entry {number} names a provider that stands before it already");
            section.problem("providers", message);
        }
    }
    if names.is_empty() {
        section.problem("providers", "must name at least one provider");
    }
    Some(names)
}

fn digest(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map_err(|_| "must be 64 hexadecimal digits, the SHA-256 of a token")?;
    if DIGESTS_OF_NOTHING.contains(&text.to_ascii_lowercase().as_str()) {
        return Err("is the SHA-256 of an empty token".to_owned());
    }
    Ok(digest)
}

fn san(text: &str) -> Result<String, String> {
    if text.len() <= MAX_SAN_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be at most {MAX_SAN_CHARS} printable ASCII characters without blanks"
        ))
    }
}

fn method(text: &str) -> Result<Method, String> {
    match text {
        "VerifyBankCard" => Ok(Method::Verify),
        "QueryCardInfo" => Ok(Method::CardInfo),
        _ => Err("must be \"VerifyBankCard\" or \"QueryCardInfo\"".to_owned()),
    }
}
