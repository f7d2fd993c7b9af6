//! The free check of endpoints and credentials, without serving anything.

use futures_util::future::join_all;

use super::{Env, StartError, providers};
use crate::{
    config::Config,
    domain::ProviderName,
    provider::{CallContext, Probe, ProviderError},
    runtime,
};

/// What the check of one provider came to.
#[derive(Debug)]
pub struct Probed {
    /// The provider.
    pub name: ProviderName,
    /// Whether it is part of this process, so that there is nothing to check.
    pub embedded: bool,
    /// What the vendor said.
    pub outcome: Result<Probe, ProviderError>,
}

/// Checks every configured provider at once, in the order of their names.
///
/// # Errors
/// When a setting cannot be used, or there is no thread to be had.
pub fn probe(config: &Config, env: Env<'_>) -> Result<Vec<Probed>, StartError> {
    let runtime = runtime::outside()?;
    let entered = runtime.enter();
    let lanes = providers::lanes(config, env)?;
    let probes = lanes.values().map(|lane| async {
        let context = CallContext {
            timeout: lane.timeout,
            attempt: 1,
        };
        Probed {
            name: lane.name().clone(),
            embedded: lane.is_embedded(),
            outcome: lane.provider().probe(&context).await,
        }
    });
    let probed = runtime.block_on(join_all(probes));
    drop(entered);
    Ok(probed)
}
