//! The body of an answer: a message that is known to its last byte, or whatever the generated code
//! makes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes};
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::call_watch::GRPC_STATUS;

/// Bytes before a message: whether it is compressed, and its length.
pub(super) const PREFIX_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const OK: HeaderValue = HeaderValue::from_static("0");

/// The body of an answer of the hot service. What is in it is the caller's: it is not shown.
pub enum Reply {
    /// One message with its prefix, then the status OK.
    Message(Bytes),
    /// The status OK is still to be sent.
    Status,
    /// All is sent.
    Sent,
    /// What the generated code made, or a refusal.
    Library(Body),
}

impl Reply {
    /// The answer that a message is.
    #[must_use]
    pub fn message(message: &impl prost::Message) -> Response<Self> {
        let length = message.encoded_len();
        let mut framed = Vec::with_capacity(PREFIX_BYTES + length);
        framed.put_u8(0);
        // a message is as short as what it answers
        framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        message.encode_raw(&mut framed);
        let mut response = Response::new(Self::Message(framed.into()));
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        response
    }

    /// The answer that an error is.
    #[must_use]
    pub fn refusal(status: Status) -> Response<Self> {
        Self::library(status.into_http())
    }

    /// An answer that was made elsewhere.
    #[must_use]
    pub fn library(response: Response<Body>) -> Response<Self> {
        response.map(Self::Library)
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match this {
            Self::Message(message) => {
                let message = std::mem::take(message);
                *this = Self::Status;
                Poll::Ready(Some(Ok(Frame::data(message))))
            }
            Self::Status => {
                *this = Self::Sent;
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(GRPC_STATUS, OK);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::Sent => Poll::Ready(None),
            Self::Library(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) | Self::Status => false,
            Self::Sent => true,
            Self::Library(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Library(body) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}
