//! `[routes]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{
        Routes,
        read::Vendor,
        reader::{Section, form},
    },
    domain::{Operation, ProviderName},
};

/// The key that holds an operation's route.
pub(in crate::config) type Origin = BTreeMap<Operation, &'static str>;

pub(super) fn read(
    mut section: Section<'_>,
    vendors: &BTreeMap<String, Option<Vendor>>,
) -> (Routes, Origin) {
    const VERIFICATIONS: &[Operation] = &[
        Operation::VerifyTwo,
        Operation::VerifyThree,
        Operation::VerifyFour,
    ];
    let verify = route(&mut section, "verify", VERIFICATIONS, vendors).unwrap_or_default();
    let mut by_operation = BTreeMap::new();
    let mut origin = Origin::new();
    for operation in Operation::ALL {
        let key = operation.as_str();
        let own = route(&mut section, key, &[*operation], vendors);
        let (key, providers) = match (operation, own) {
            (_, Some(own)) => (key, own),
            (Operation::CardInfo, None) => (key, Vec::new()),
            (_, None) => ("verify", verify.clone()),
        };
        by_operation.insert(*operation, providers);
        origin.insert(*operation, key);
    }
    let routes = Routes {
        by_operation,
        failover_on_unsupported: section.flag("failover_on_unsupported"),
        retries_per_second: section.number("retries_per_second", 0..=1000),
    };
    section.finish();
    (routes, origin)
}

/// One list of providers, each of which must be able to do one of the operations.
fn route(
    section: &mut Section<'_>,
    key: &str,
    operations: &[Operation],
    vendors: &BTreeMap<String, Option<Vendor>>,
) -> Option<Vec<ProviderName>> {
    let names = section.optional(key, form::list("names of providers", provider_name))?;
    let mut seen = BTreeSet::new();
    for (number, name) in (1..).zip(&names) {
        let wrong = match vendors.get(name.as_str()) {
            None => Some("names a provider that is not configured"),
            Some(_) if !seen.insert(name) => Some("names a provider that stands before it already"),
            Some(Some(vendor)) if !operations.iter().any(|it| vendor.can_do(*it)) => {
                Some("names a provider that can never do this")
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            section.problem(key, format!("entry {number} {wrong}"));
        }
    }
    Some(names)
}

/// The name of a provider in a list.
pub(super) fn provider_name(name: &str) -> Result<ProviderName, String> {
    ProviderName::new(name).ok_or_else(|| "is not a name of a provider".to_owned())
}
