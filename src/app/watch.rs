//! Tasks that look at files of the operator's, for as long as the service runs.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::reload::Reloader;
use crate::{provider::credentials, service::Service};

/// How often files that hold vendors' secrets are looked at.
const SECRETS_EVERY: Duration = Duration::from_secs(5);
/// How often the configuration and the service's own secrets are looked at. Two looks make a
/// change.
const CONFIGURATION_EVERY: Duration = Duration::from_secs(2);

/// Files that hold vendors' secrets are read again when they change.
pub(super) async fn vendor_secrets(service: Service, stop: CancellationToken) {
    let mut ticks = interval(SECRETS_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let service = service.clone();
        // reading files blocks; a slow disk must not hold up anything else
        let _ = tokio::task::spawn_blocking(move || refresh_vendor_secrets(&service)).await;
    }
}

/// Looks at the files once. Blocks.
pub(super) fn refresh_vendor_secrets(service: &Service) {
    for lane in service.lanes() {
        if let Some(secrets) = lane.provider().secrets() {
            credentials::refresh(lane.name(), secrets);
        }
    }
}

/// The configuration is read again when it changes, and on SIGHUP.
pub(super) async fn configuration(
    reloader: Arc<Reloader>,
    mut hangups: impl Stream<Item = ()> + Unpin,
    stop: CancellationToken,
) {
    let mut ticks = interval(CONFIGURATION_EVERY);
    loop {
        let look: fn(&Reloader) = tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = hangups.next() => Reloader::reload_now,
            _ = ticks.tick() => Reloader::look,
        };
        let reloader = Arc::clone(&reloader);
        let _ = tokio::task::spawn_blocking(move || look(&reloader)).await;
    }
}
