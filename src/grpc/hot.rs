//! The service's own methods, on the shortest way: a call is let in, and its message, if it is
//! whole and plain as nearly all are, is read and answered here. Whatever is out of the ordinary
//! goes to the generated code: compression, several messages or none, one that is too long or
//! cannot be read, a method that does not exist. It has all the rules of the protocol; the short
//! way saves its buffers and boxes, which cost as much as the rest of an answer from memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use prost::Message as _;
use tonic::Status;
use tower::Service as _;

use super::{
    api::{Api, Asking, Shape},
    arrived::Arrived,
    auth::{Callers, Method},
    explain::explained,
    limits::Permit,
    path_switch::{GRPC_ENCODING, HotService, hide_unknown_encoding},
    reply::{PREFIX_BYTES, Reply},
    status,
};
use crate::{
    proto::bankcard::v1::{
        QueryCardInfoRequest, VerifyBankCardRequest,
        bank_card_service_server::BankCardServiceServer,
    },
    service::Asked,
};

/// The service's own methods, for those who may call them.
#[derive(Clone)]
pub struct Hot {
    api: Api,
    library: BankCardServiceServer<Api>,
    callers: Arc<Callers>,
    max_message_bytes: usize,
}

impl Hot {
    /// Takes messages of at most that many bytes from those who may call.
    #[must_use]
    pub fn new(api: Api, max_message_bytes: usize, callers: Arc<Callers>) -> Self {
        let library = BankCardServiceServer::new(api.clone());
        Self {
            api,
            library: library.max_decoding_message_size(max_message_bytes),
            callers,
            max_message_bytes,
        }
    }

    /// The message of a body that was read to its end; `None` if it is not a plain one.
    fn plain<'d>(&self, data: &'d Bytes) -> Option<&'d [u8]> {
        let (prefix, message) = data.split_at_checked(PREFIX_BYTES)?;
        let (packed, length) = prefix.split_first()?;
        let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
        let is_plain = *packed == 0 && length == message.len() && length <= self.max_message_bytes;
        is_plain.then_some(message)
    }

    /// Begins to answer a plain message; `None` if it cannot be read.
    fn begin(&self, method: Method, arrived: &Arrived, message: &[u8]) -> Option<Begun> {
        Some(match method {
            Method::Verify => {
                let message = VerifyBankCardRequest::decode(message).ok()?;
                Begun::of(self.api.verification(arrived, message))
            }
            Method::CardInfo => {
                let message = QueryCardInfoRequest::decode(message).ok()?;
                Begun::of(self.api.card_inquiry(arrived, message))
            }
        })
    }

    /// Has the generated code answer a call.
    fn by_the_library(&self, mut request: Request<Rejoined>, mut arrived: Arrived) -> Later {
        arrived.waited = true;
        request.extensions_mut().insert(arrived);
        // nobody further in has any business with it
        request.headers_mut().remove(AUTHORIZATION);
        hide_unknown_encoding(request.headers_mut());
        // generated services are always ready
        let answer = self.library.clone().call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => Reply::library(explained(response)),
                Err(never) => match never {},
            }
        })
    }
}

impl HotService for Hot {
    type Answering = Answering;

    fn answer(self: Arc<Self>, request: Request<Incoming>, mut arrived: Arrived) -> Answering {
        let method = Method::of(request.uri().path());
        let (stage, place) = match self.callers.admit(&request, method, &mut arrived) {
            Ok(place) => {
                let method = method.filter(|_| is_uncompressed(request.headers()));
                (Stage::Reading(method, request, None), place)
            }
            Err(denial) => (Stage::Begun(Begun::refused(status::status(&denial))), None),
        };
        Answering {
            hot: self,
            arrived,
            stage,
            _place: place,
        }
    }
}

type Later = Pin<Box<dyn Future<Output = Response<Reply>> + Send>>;

/// A call on its way to its answer.
pub struct Answering {
    hot: Arc<Hot>,
    arrived: Arrived,
    stage: Stage,
    /// The caller's place, given back when the call is over.
    _place: Option<Permit>,
}

enum Stage {
    /// With what was read so far; without a method, nothing is.
    Reading(Option<Method>, Request<Incoming>, Option<Bytes>),
    Begun(Begun),
    /// Nobody asks for an answer twice.
    Over,
}

enum Begun {
    AtOnce(Response<Reply>),
    Later(Later),
}

impl Begun {
    fn refused(status: Status) -> Self {
        Self::AtOnce(Reply::refusal(status))
    }

    fn of<S: Shape>(asking: Result<Asking<S>, Status>) -> Self {
        let Asking { told, asked } = match asking {
            Ok(asking) => asking,
            Err(status) => return Self::refused(status),
        };
        match asked {
            Asked::AtOnce(result) => Self::AtOnce(written(told.reply(result))),
            Asked::Later(later) => {
                Self::Later(Box::pin(async move { written(told.reply(later.await)) }))
            }
        }
    }
}

fn written(message: Result<impl prost::Message, Status>) -> Response<Reply> {
    match message {
        Ok(message) => Reply::message(&message),
        Err(status) => Reply::refusal(status),
    }
}

impl Future for Answering {
    type Output = Response<Reply>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::Reading(method, request, first) = &mut this.stage {
            let second = match method {
                Some(_) => match poll_whole(request.body_mut(), first, context) {
                    Poll::Ready(second) => second,
                    Poll::Pending => {
                        this.arrived.waited = true;
                        return Poll::Pending;
                    }
                },
                None => Second::Unread,
            };
            this.turn(second);
        }
        match std::mem::replace(&mut this.stage, Stage::Over) {
            Stage::Begun(Begun::AtOnce(response)) => Poll::Ready(response),
            Stage::Begun(Begun::Later(mut later)) => {
                let answer = later.as_mut().poll(context);
                if answer.is_pending() {
                    this.stage = Stage::Begun(Begun::Later(later));
                }
                answer
            }
            Stage::Reading(..) | Stage::Over => Poll::Pending,
        }
    }
}

impl Answering {
    /// Begins to answer what was read.
    fn turn(&mut self, second: Second) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let Stage::Reading(method, request, first) = stage else {
            return;
        };
        let hot = &self.hot;
        let begun = match (method, &first, &second) {
            (Some(method), Some(data), Second::End) => hot
                .plain(data)
                .and_then(|message| hot.begin(method, &self.arrived, message)),
            _ => None,
        };
        self.stage = Stage::Begun(begun.unwrap_or_else(|| {
            let request = request.map(|rest| Rejoined {
                first,
                second,
                rest,
            });
            Begun::Later(hot.by_the_library(request, self.arrived.clone()))
        }));
    }
}

/// The protocol has a header for it, which few send.
fn is_uncompressed(headers: &HeaderMap) -> bool {
    headers
        .get(GRPC_ENCODING)
        .is_none_or(|encoding| encoding == "identity")
}

/// What came after the first piece of a body.
enum Second {
    /// Nobody has looked.
    Unread,
    /// Nothing: the body is read to its end.
    End,
    /// Something: the body is not read to its end.
    Frame(Result<Frame<Bytes>, hyper::Error>),
}

/// Reads the first piece of a body, and finds out whether it is the whole of it.
fn poll_whole(
    body: &mut Incoming,
    first: &mut Option<Bytes>,
    context: &mut Context<'_>,
) -> Poll<Second> {
    loop {
        if first.is_some() && body.is_end_stream() {
            return Poll::Ready(Second::End);
        }
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => return Poll::Ready(Second::End),
            // how some clients end a call
            Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            Some(Ok(frame)) if first.is_none() => match frame.into_data() {
                Ok(data) => *first = Some(data),
                Err(trailers) => return Poll::Ready(Second::Frame(Ok(trailers))),
            },
            Some(frame) => return Poll::Ready(Second::Frame(frame)),
        }
    }
}

/// A body of which a part was read already.
struct Rejoined {
    first: Option<Bytes>,
    second: Second,
    rest: Incoming,
}

impl http_body::Body for Rejoined {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match std::mem::replace(&mut this.second, Second::Unread) {
            Second::Unread => Pin::new(&mut this.rest).poll_frame(context),
            Second::End => {
                this.second = Second::End;
                Poll::Ready(None)
            }
            Second::Frame(frame) => Poll::Ready(Some(frame)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.second {
            Second::Unread => self.first.is_none() && self.rest.is_end_stream(),
            Second::End => self.first.is_none(),
            Second::Frame(_) => false,
        }
    }
}
