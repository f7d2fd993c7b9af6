//! `grpc.health.v1`, truthful from the first moment to the last.
//!
//! The names: `""`, the service itself and `readiness` say whether new calls are welcome;
//! `liveness` says SERVING as long as the process answers at all, also while it drains, because
//! a restart would then lose the calls under way.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use crate::{
    health::{HealthSwitch, Phase},
    proto::bankcard::v1::bank_card_service_server,
};

/// The service that health is asked for by name.
const SERVICE: &str = bank_card_service_server::SERVICE_NAME;
/// The names of services are short; so is every request.
const MAX_REQUEST_BYTES: usize = 1024;

/// The health service of a [`HealthSwitch`].
#[derive(Debug, Clone)]
pub struct HealthService {
    switch: HealthSwitch,
}

impl HealthService {
    /// Ready to be added to a router of tonic.
    #[must_use]
    pub fn server(switch: HealthSwitch) -> HealthServer<Self> {
        HealthServer::from_arc(Arc::new(Self { switch }))
            .max_decoding_message_size(MAX_REQUEST_BYTES)
    }

    /// The same as a plain router, for ports that serve other things too.
    pub fn router(switch: HealthSwitch) -> axum::Router {
        axum::Router::new().route_service("/grpc.health.v1.Health/{method}", Self::server(switch))
    }
}

fn status_of(service: &str, phase: Phase) -> Option<ServingStatus> {
    match service {
        "" | SERVICE | "readiness" => Some(match phase {
            Phase::Serving => ServingStatus::Serving,
            Phase::Starting | Phase::Draining | Phase::Stopping => ServingStatus::NotServing,
        }),
        "liveness" => Some(ServingStatus::Serving),
        _ => None,
    }
}

fn reply(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[async_trait::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        status_of(&request.get_ref().service, self.switch.state())
            .map(|status| Response::new(reply(status)))
            .ok_or_else(|| Status::not_found("no such service"))
    }

    type WatchStream = Replies;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Replies>, Status> {
        let watcher = Watcher {
            service: request.into_inner().service,
            phase: self.switch.subscribe(),
            told: None,
        };
        let replies = stream::unfold(watcher, |mut watcher| async {
            let status = watcher.next().await?;
            Some((Ok(reply(status)), watcher))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

struct Watcher {
    service: String,
    phase: watch::Receiver<Phase>,
    told: Option<ServingStatus>,
}

impl Watcher {
    /// The next status that differs from the one told last; `None` when the process stops, so
    /// that watchers do not keep connections open.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let phase = *self.phase.borrow_and_update();
            // a name that nobody serves is told so once, and the stream stays open: the protocol
            // says so
            let status = status_of(&self.service, phase).unwrap_or(ServingStatus::ServiceUnknown);
            if self.told != Some(status) {
                self.told = Some(status);
                return Some(status);
            }
            if phase == Phase::Stopping {
                return None;
            }
            self.phase.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("")]
    #[case("bankcard.v1.BankCardService")]
    #[case("readiness")]
    fn ready_only_while_serving(#[case] name: &str) {
        let statuses = [
            Phase::Starting,
            Phase::Serving,
            Phase::Draining,
            Phase::Stopping,
        ]
        .map(|phase| status_of(name, phase));
        assert_eq!(
            statuses,
            [
                Some(ServingStatus::NotServing),
                Some(ServingStatus::Serving),
                Some(ServingStatus::NotServing),
                Some(ServingStatus::NotServing),
            ]
        );
    }

    #[test]
    fn alive_always_and_other_names_are_unknown() {
        assert_eq!(
            status_of("liveness", Phase::Draining),
            Some(ServingStatus::Serving)
        );
        assert_eq!(status_of("bankcard.v1", Phase::Serving), None);
    }
}
