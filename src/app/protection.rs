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
    telemetry::events,
};

/// How often the certificates' files are looked at. Two looks make a change.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(2);

/// Everybody who may call.
pub(super) fn callers(config: &Config) -> Arc<Callers> {
    Arc::new(Callers::new(config.auth, &config.clients))
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
    Ok(Some(Arc::new(tls)))
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
        match tokio::task::spawn_blocking(move || looked_at.refresh()).await {
            Ok(Refreshed::Replaced) => {
                let own = tls.expiries().first().map(|own| own.not_after);
                events::certificates_replaced(own);
            }
            Ok(Refreshed::Refused(error)) => events::certificates_refused(&error),
            Ok(Refreshed::Unchanged) | Err(_) => {}
        }
    }
}
