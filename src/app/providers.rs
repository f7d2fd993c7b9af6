//! From settings to providers.

use std::{collections::BTreeMap, fs, sync::Arc};

use super::StartError;
use crate::{
    config::{
        Config, Mode,
        providers::{ProviderKind, ProviderSettings},
    },
    domain::ProviderName,
    provider::{
        Provider,
        ace::Ace,
        alibaba::Alibaba,
        bin::{BinProvider, BinTable},
        remote::RemoteProvider,
        sandbox::SandboxProvider,
        tencent::TencentProvider,
    },
    service::lane::Lane,
};

/// Looks up a variable that a secret is in.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Makes every provider that may exist. The sandbox may not where real questions are expected: a
/// caller that asks for it by name there is told that no such provider is configured.
pub fn lanes(
    config: &Config,
    env: Env<'_>,
) -> Result<BTreeMap<ProviderName, Arc<Lane>>, StartError> {
    config
        .providers
        .iter()
        .filter(|settings| {
            !matches!(settings.kind, ProviderKind::Sandbox) || sandbox_may_exist(config)
        })
        .map(|settings| {
            let provider = provider(settings, env)?;
            let lane = Lane::new(provider, &settings.vendor);
            Ok((settings.name.clone(), Arc::new(lane)))
        })
        .collect()
}

/// The sandbox may exist when every routed provider is embedded and both listeners are loopback,
/// or in development; never in production.
fn sandbox_may_exist(config: &Config) -> bool {
    match config.mode {
        Some(Mode::Production) => false,
        Some(Mode::Development) => true,
        None => {
            let embedded = |name: &ProviderName| {
                config.providers.iter().any(|settings| {
                    settings.name == *name
                        && matches!(
                            settings.kind,
                            ProviderKind::Sandbox | ProviderKind::Bin { .. }
                        )
                })
            };
            config.server.listen.ip().is_loopback()
                && config.server.admin_listen.ip().is_loopback()
                && config.routes.by_operation.values().flatten().all(embedded)
        }
    }
}

fn provider(settings: &ProviderSettings, env: Env<'_>) -> Result<Arc<dyn Provider>, StartError> {
    let name = settings.name.clone();
    let wrong = |detail: String| StartError::provider(&settings.name, &detail);
    Ok(match &settings.kind {
        ProviderKind::Sandbox => Arc::new(SandboxProvider::new(name)),
        ProviderKind::Bin { override_file } => {
            let table = match override_file {
                None => BinTable::embedded(),
                Some(path) => {
                    let csv = fs::read_to_string(path)
                        .map_err(|error| wrong(format!("override_file: {}", error.kind())))?;
                    BinTable::with_overlay(&csv).map_err(|problems| {
                        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                        wrong(format!("override_file: {}", lines.join("; ")))
                    })?
                }
            };
            Arc::new(BinProvider::new(name, table))
        }
        ProviderKind::Ace(ace) => Arc::new(
            Ace::new(name, ace, &settings.vendor, env).map_err(|error| wrong(error.to_string()))?,
        ),
        ProviderKind::Tencent(tencent) => Arc::new(
            TencentProvider::new(name, tencent, &settings.vendor, env)
                .map_err(|error| wrong(error.to_string()))?,
        ),
        ProviderKind::Alibaba(alibaba) => Arc::new(
            Alibaba::new(name, alibaba, &settings.vendor, env)
                .map_err(|error| wrong(error.to_string()))?,
        ),
        ProviderKind::Grpc(grpc) => Arc::new(
            RemoteProvider::new(name, grpc, &settings.vendor)
                .map_err(|error| wrong(error.to_string()))?,
        ),
    })
}
