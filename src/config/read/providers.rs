//! `[providers.NAME]`: names, kinds, and the settings that every vendor has.

use std::{collections::BTreeMap, time::Duration};

use toml::Value;

use super::{money, vendors};
use crate::{
    config::{
        providers::{ProviderKind, ProviderSettings, ProxyUrl, VendorSettings},
        reader::{Section, form},
    },
    domain::{IdentityType, Operation, ProviderName},
};

/// What is wrong with a name of a provider or client.
pub(super) const NAME_FORM: &str = "must be a name of at most 40 lower-case letters, digits and \
                                    underscores that begins with a letter";
const MAX_MS: u64 = 600_000;
const DAY_S: u64 = 86_400;
/// Codes of identity documents that are numbers have at most this many digits.
const MAX_CODE_DIGITS: usize = 9;
const MAX_CODE_CHARS: usize = 16;

/// The kinds of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Vendor {
    Sandbox,
    Bin,
    Ace,
    Tencent,
    Alibaba,
    Grpc,
}

impl Vendor {
    const KINDS: &'static [(&'static str, Self)] = &[
        ("sandbox", Self::Sandbox),
        ("bin", Self::Bin),
        ("ace", Self::Ace),
        ("tencent", Self::Tencent),
        ("alibaba", Self::Alibaba),
        ("grpc", Self::Grpc),
    ];

    /// Whether there are questions of that operation that it can answer. A server of the
    /// operator's own tells only later what it can do.
    pub(in crate::config) const fn can_do(self, operation: Operation) -> bool {
        match self {
            Self::Bin => matches!(operation, Operation::CardInfo),
            Self::Alibaba => !matches!(operation, Operation::CardInfo),
            Self::Sandbox | Self::Ace | Self::Tencent | Self::Grpc => true,
        }
    }

    /// Whether it is part of this process.
    pub(in crate::config) const fn is_embedded(self) -> bool {
        match self {
            Self::Sandbox | Self::Bin => true,
            Self::Ace | Self::Tencent | Self::Alibaba | Self::Grpc => false,
        }
    }

    /// The vendor's published limit in calls per second for one account and operation.
    const fn requests_per_second(self) -> Option<u32> {
        match self {
            Self::Tencent => Some(20),
            Self::Alibaba => Some(50),
            Self::Sandbox | Self::Bin | Self::Ace | Self::Grpc => None,
        }
    }

    /// Whether its codes of identity documents are numbers.
    const fn has_numeric_codes(self) -> bool {
        match self {
            Self::Ace | Self::Tencent => true,
            Self::Alibaba | Self::Grpc | Self::Sandbox | Self::Bin => false,
        }
    }
}

/// The providers that could be read, and the kind of every one that is named.
pub(super) fn read(
    mut section: Section<'_>,
) -> (Vec<ProviderSettings>, BTreeMap<String, Option<Vendor>>) {
    let mut settings = Vec::new();
    let mut vendors = BTreeMap::new();
    for (text, mut provider) in section.named() {
        let Some(name) = ProviderName::new(&text) else {
            section.problem(&text, NAME_FORM);
            provider.skip();
            continue;
        };
        let vendor = provider.required("kind", form::choice(Vendor::KINDS));
        vendors.insert(text, vendor);
        match vendor {
            Some(vendor) => settings.extend(read_provider(name, vendor, provider)),
            None => provider.skip(),
        }
    }
    section.finish();
    // the map of names is sorted, and so are its values
    settings.sort_by(|one: &ProviderSettings, other| one.name.cmp(&other.name));
    (settings, vendors)
}

fn read_provider(
    name: ProviderName,
    vendor: Vendor,
    mut section: Section<'_>,
) -> Option<ProviderSettings> {
    let kind = match vendor {
        Vendor::Sandbox => Some(ProviderKind::Sandbox),
        Vendor::Bin => Some(ProviderKind::Bin {
            override_file: section.optional("override_file", form::path),
        }),
        Vendor::Ace => vendors::ace(&mut section).map(ProviderKind::Ace),
        Vendor::Tencent => vendors::tencent(&mut section).map(ProviderKind::Tencent),
        Vendor::Alibaba => vendors::alibaba(&mut section).map(ProviderKind::Alibaba),
        Vendor::Grpc => vendors::grpc(&mut section).map(ProviderKind::Grpc),
    };
    let maintenance = section.flag("maintenance");
    let vendor = if vendor.is_embedded() {
        embedded(maintenance)
    } else {
        vendor_settings(vendor, &mut section, maintenance)
    };
    section.finish();
    Some(ProviderSettings {
        name,
        kind: kind?,
        vendor,
    })
}

const CONCURRENT: u32 = 64;
const CONNECT_TIMEOUT_MS: u64 = 1500;
const TIMEOUT_MS: u64 = 8000;
const MISCONFIGURED_SKIP_S: u64 = 60;

/// An embedded provider has no settings of a vendor: nothing limits it and nothing is paid.
fn embedded(maintenance: bool) -> VendorSettings {
    VendorSettings {
        requests_per_second: None,
        concurrent: CONCURRENT,
        connect_timeout: Duration::from_millis(CONNECT_TIMEOUT_MS),
        timeout: Duration::from_millis(TIMEOUT_MS),
        ca_file: None,
        proxy: None,
        identity_types: BTreeMap::new(),
        maintenance,
        misconfigured_skip: Duration::from_secs(MISCONFIGURED_SKIP_S),
        daily_budget: None,
        price: None,
    }
}

fn vendor_settings(vendor: Vendor, section: &mut Section<'_>, maintenance: bool) -> VendorSettings {
    let millis = || form::number(1..=MAX_MS);
    let seconds = form::number(1..=DAY_S);
    VendorSettings {
        requests_per_second: section
            .optional("requests_per_second", form::number(1..=1_000_000))
            .or(vendor.requests_per_second()),
        concurrent: section.or("concurrent", form::number(1..=100_000), CONCURRENT),
        connect_timeout: Duration::from_millis(section.or(
            "connect_timeout_ms",
            millis(),
            CONNECT_TIMEOUT_MS,
        )),
        timeout: Duration::from_millis(section.or("timeout_ms", millis(), TIMEOUT_MS)),
        ca_file: section.optional("ca_file", form::path),
        proxy: section.optional("proxy", proxy),
        identity_types: identity_types(section, vendor.has_numeric_codes()),
        maintenance,
        misconfigured_skip: Duration::from_secs(section.or(
            "misconfigured_skip_s",
            seconds,
            MISCONFIGURED_SKIP_S,
        )),
        daily_budget: money::budget(section),
        price: money::price(section),
    }
}

fn proxy(value: &Value) -> Result<ProxyUrl, String> {
    let text = form::text(value)?;
    ProxyUrl::parse(&text).map_err(str::to_owned)
}

fn identity_types(section: &mut Section<'_>, numeric: bool) -> BTreeMap<IdentityType, String> {
    let Some(mut section) = section.optional_section("identity_types") else {
        return BTreeMap::new();
    };
    let mut codes = BTreeMap::new();
    for kind in IdentityType::ALL {
        let key = kind.as_str();
        if *kind == IdentityType::ResidentId {
            section.optional(key, |_| -> Result<(), String> {
                Err("is what every vendor reads without a code".to_owned())
            });
        } else if let Some(code) = section.optional(key, code(numeric)) {
            codes.insert(*kind, code);
        }
    }
    section.finish();
    codes
}

/// A vendor's code for a kind of document; a number counts as its digits.
fn code(numeric: bool) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let code = match value {
            Value::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let all =
            |allowed: fn(&u8) -> bool| !code.is_empty() && code.as_bytes().iter().all(allowed);
        match numeric {
            true if code.len() <= MAX_CODE_DIGITS && all(u8::is_ascii_digit) => Ok(code),
            true => Err(format!(
                "must be a number of at most {MAX_CODE_DIGITS} digits, as this vendor expects one"
            )),
            false if code.len() <= MAX_CODE_CHARS && all(u8::is_ascii_alphanumeric) => Ok(code),
            false => Err(format!("must be 1 to {MAX_CODE_CHARS} letters and digits")),
        }
    }
}
