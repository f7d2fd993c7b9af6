//! From settings to providers.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::StartError;
use crate::{
    config::{
        Config, Problem,
        providers::{ProviderKind, ProviderSettings},
    },
    domain::ProviderName,
    provider::{
        Provider,
        ace::Ace,
        alibaba::Alibaba,
        bin::{BinProvider, BinTable},
        remote::Remote,
        sandbox::Sandbox,
        setup::SetupError,
        tencent::Tencent,
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
            !matches!(settings.kind, ProviderKind::Sandbox) || config.may_use_sandbox()
        })
        .map(|settings| {
            let provider = provider(settings, env)?;
            let lane = Lane::new(
                provider,
                &settings.vendor,
                &config.breaker,
                config.server.replicas,
            );
            Ok((settings.name.clone(), Arc::new(lane)))
        })
        .collect()
}

fn provider(settings: &ProviderSettings, env: Env<'_>) -> Result<Arc<dyn Provider>, StartError> {
    let name = settings.name.clone();
    let vendor = &settings.vendor;
    let made: Result<Arc<dyn Provider>, SetupError> = match &settings.kind {
        ProviderKind::Sandbox => Ok(Arc::new(Sandbox::new(name))),
        ProviderKind::Bin { override_file } => {
            let table = table(&settings.name, override_file.as_deref())?;
            Ok(Arc::new(BinProvider::new(name, table)))
        }
        ProviderKind::Ace(ace) => Ace::new(name, ace, vendor, env).map(arc),
        ProviderKind::Tencent(tencent) => Tencent::new(name, tencent, vendor, env).map(arc),
        ProviderKind::Alibaba(alibaba) => Alibaba::new(name, alibaba, vendor, env).map(arc),
        ProviderKind::Grpc(grpc) => Remote::new(name, grpc, vendor).map(arc),
    };
    made.map_err(|error| StartError::setup(&settings.name, &error))
}

fn arc<P: Provider + 'static>(provider: P) -> Arc<dyn Provider> {
    Arc::new(provider)
}

fn table(name: &ProviderName, override_file: Option<&Path>) -> Result<BinTable, StartError> {
    let Some(path) = override_file else {
        return Ok(BinTable::embedded());
    };
    let wrong = |detail: String| {
        StartError::Settings(vec![Problem::new(
            format!("providers.{name}.override_file"),
            detail,
        )])
    };
    let csv = fs::read_to_string(path)
        .map_err(|error| wrong(format!("cannot be read: {}", error.kind())))?;
    BinTable::with_overlay(&csv).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        wrong(lines.join("; "))
    })
}
