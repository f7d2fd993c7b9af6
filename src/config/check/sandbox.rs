//! The sandbox never answers a real question.

use std::collections::BTreeSet;

use crate::{
    config::{
        Config, Mode,
        read::{Outline, Vendor},
        reader::Report,
    },
    domain::ProviderName,
};

impl Config {
    /// Whether the sandbox may answer at all. Where it may not, it must not even be constructed:
    /// who pins it is told that there is no such provider.
    #[must_use]
    pub fn may_use_sandbox(&self) -> bool {
        let routed: BTreeSet<&ProviderName> = self.routed().collect();
        let mut providers = self.providers.iter();
        let embedded = providers
            .all(|provider| provider.kind.is_embedded() || !routed.contains(&provider.name));
        is_allowed(self, embedded)
    }

    /// The providers of all routes, with repetitions.
    pub(in crate::config) fn routed(&self) -> impl Iterator<Item = &ProviderName> {
        self.routes.by_operation.values().flatten()
    }
}

fn is_allowed(config: &Config, only_embedded_routed: bool) -> bool {
    let server = &config.server;
    match config.mode {
        Some(Mode::Production) => false,
        Some(Mode::Development) => true,
        None => {
            let listeners = [server.listen, server.admin_listen];
            only_embedded_routed && listeners.iter().all(|it| it.ip().is_loopback())
        }
    }
}

pub(super) fn check(config: &Config, outline: &Outline, report: &Report) {
    let vendor = |name: &ProviderName| outline.vendors.get(name.as_str()).copied().flatten();
    let is_sandbox = |name: &ProviderName| vendor(name) == Some(Vendor::Sandbox);
    let only_embedded = config.routed().filter_map(vendor).all(Vendor::is_embedded);
    let routes_with_sandbox: BTreeSet<&str> = outline
        .origin
        .iter()
        .filter(|(operation, _)| {
            let mut route = config.routes.by_operation.get(operation).into_iter();
            route.any(|route| route.iter().any(is_sandbox))
        })
        .map(|(_, key)| *key)
        .collect();
    if !is_allowed(config, only_embedded) && report.is_clean("mode") {
        let message = match config.mode {
            Some(Mode::Production) => "the sandbox may not be routed under mode = \"production\"",
            Some(Mode::Development) | None => {
                "the sandbox may be routed only while every routed provider is embedded and \
                 server.listen and server.admin_listen are loopback, or with mode = \"development\""
            }
        };
        for key in routes_with_sandbox {
            report.problem(format!("routes.{key}"), message);
        }
        return;
    }
    if !routes_with_sandbox.is_empty() && !only_embedded {
        report.warning(
            "routes",
            "the sandbox is routed beside real vendors, as mode = \"development\" allows",
        );
    }
}
