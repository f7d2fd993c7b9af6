//! How long a call took and how it ended, also when it ended without an answer.

use http::{HeaderName, Response};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    telemetry::events::{self, GRPC_CODES, RpcMethod},
    telemetry::trace::Span,
};

/// The header, or trailer, that carries the code.
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Tells about a call once, when it is over. A call that is dropped before was cancelled by its
/// caller, or cut with its connection.
pub(super) struct CallWatch {
    method: Option<RpcMethod>,
    begun: Instant,
    code: Code,
    span: Span,
}

impl CallWatch {
    /// Begins to watch; a call without a method is not told about, but by its span.
    pub(super) fn begin(method: Option<RpcMethod>, span: Span, begun: Instant) -> Self {
        Self {
            method,
            begun,
            code: Code::Cancelled,
            span,
        }
    }

    /// The span of the call.
    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    /// The call has this answer. Its code stands in the headers unless there is a message, and
    /// then it is OK.
    pub(super) fn end<B>(mut self, response: &Response<B>) {
        self.code = response
            .headers()
            .get(GRPC_STATUS)
            .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        if let Some(method) = self.method {
            let code = usize::try_from(i32::from(self.code)).unwrap_or(usize::MAX);
            events::call_ended(method, code, self.begun.elapsed());
        }
        if self.span.is_recorded() {
            let code = usize::try_from(i32::from(self.code)).unwrap_or(usize::MAX);
            self.span
                .rpc_ended(GRPC_CODES.get(code).copied().unwrap_or_default());
        }
    }
}
