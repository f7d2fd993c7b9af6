//! From settings to who may call, and over what.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    config::{AuthMode, Config, Problem},
    grpc::{
        auth::Callers,
        handshake::Handshake,
        tls::{ClientCertificates, Refreshed, Tls},
    },
    telemetry::events::{self, CertificateFile},
};

/// How often the certificates' files are looked at. Two looks make a change.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(2);

/// Everybody who may call.
pub(super) fn callers(config: &Config) -> Arc<Callers> {
    let callers = Callers::new(config.auth, &config.clients);
    divide_budgets(&callers, config);
    Arc::new(callers)
}

/// Others from now on, as a newer configuration has them.
pub(super) fn replace_callers(callers: &Callers, config: &Config) {
    callers.replace(&config.clients);
    divide_budgets(callers, config);
}

/// Replicas that cannot see each other keep to their part of what a caller may spend.
fn divide_budgets(callers: &Callers, config: &Config) {
    for caller in callers.callers() {
        caller.budget.divide(config.server.replicas);
    }
}

/// The certificates, if there are any.
///
/// # Errors
/// A file that cannot be used.
pub(super) fn tls(config: &Config) -> Result<Option<Arc<Tls>>, StartError> {
    let Some(settings) = &config.server.tls else {
        return Ok(None);
    };
    let clients = match config.auth {
        AuthMode::Mtls => ClientCertificates::Optional,
        AuthMode::None | AuthMode::Token => ClientCertificates::Required,
    };
    let tls = Tls::load(settings, clients).map_err(|error| {
        let key = format!("server.tls.{}", error.key);
        StartError::Settings(vec![Problem::new(key, error.message)])
    })?;
    if let Some(own) = tls.expiries().first()
        && own.not_after < Timestamp::now()
    {
        events::certificates_expired("server.tls.cert_file", own.not_after);
    }
    tell_expiries(&tls);
    Ok(Some(Arc::new(tls)))
}

/// Until when the certificates in use are good.
pub(super) fn tell_expiries(tls: &Tls) {
    let files = [CertificateFile::Own, CertificateFile::ClientAuthorities];
    for (file, expiry) in files.into_iter().zip(tls.expiries()) {
        events::certificates_in_use(file, expiry.not_after);
    }
}

/// What connections go through.
pub(super) fn handshake(tls: Option<&Arc<Tls>>) -> Handshake {
    tls.map_or(Handshake::Plaintext, |tls| Handshake::Tls(Arc::clone(tls)))
}

/// Takes new certificates up as they come.
pub(super) async fn refresh(tls: Arc<Tls>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CERTIFICATES_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let looked_at = Arc::clone(&tls);
        // reading files blocks; a slow disk must not hold up anything else
        let _ = tokio::task::spawn_blocking(move || look_at(&looked_at)).await;
    }
}

/// Looks at the files of the certificates once. Blocks.
pub(super) fn look_at(tls: &Tls) {
    match tls.refresh() {
        Refreshed::Replaced => {
            tell_expiries(tls);
            events::certificates_replaced(tls.expiries().first().map(|own| own.not_after));
        }
        Refreshed::Refused(error) => events::certificates_refused(&error),
        Refreshed::Unchanged => {}
    }
}
