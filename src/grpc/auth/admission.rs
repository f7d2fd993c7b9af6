//! Stands in front of the service and lets in who may call.

use std::{sync::Arc, time::Duration};

use http::Request;

use super::{Callers, Method};
use crate::{
    grpc::{arrived::Arrived, limits::Permit, tls::PeerNames},
    service::denial::Denial,
    telemetry::events,
};

/// What a call is called in the log whose method does not exist.
const NO_SUCH_METHOD: &str = "unknown";

impl Callers {
    /// Lets a call in, or tells of it and refuses it. Where everybody may call, it does nothing;
    /// elsewhere it notes who calls. The caller's place is given back when the call is over.
    ///
    /// # Errors
    /// Why the call is refused.
    pub(in crate::grpc) fn admit<B>(
        &self,
        request: &Request<B>,
        method: Option<Method>,
        arrived: &mut Arrived,
    ) -> Result<Option<Permit>, Denial> {
        if self.are_everybody() {
            return Ok(None);
        }
        let place = self.place_for(request, method, arrived);
        place.inspect_err(|denial| {
            let method = method.map_or(NO_SUCH_METHOD, Method::as_str);
            events::denied(method, denial.reason_name(), Duration::ZERO);
        })
    }

    fn place_for<B>(
        &self,
        request: &Request<B>,
        method: Option<Method>,
        arrived: &mut Arrived,
    ) -> Result<Option<Permit>, Denial> {
        let peer = request.extensions().get::<PeerNames>();
        let client = self
            .identify(request.headers(), peer)
            .map_err(Denial::because)?;
        let Some(client) = client else {
            return Ok(None);
        };
        let place = client.admit(method, arrived.at)?;
        arrived.caller = Some(Arc::clone(&client.caller));
        Ok(place)
    }
}
