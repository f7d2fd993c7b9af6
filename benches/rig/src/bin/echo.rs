//! Servers that do nothing, tuned as the service is: the same profile and allocator, one runtime of
//! one thread per core, sockets handed out in turn, no router. `tonic` reads and writes messages
//! through the generated code; `hyper` takes bytes and gives bytes.

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use cardproof::proto::bankcard::v1::bank_card_service_server::BankCardServiceServer;
use cardproof_rig::{
    answers::{self, Echo},
    sockets::serve,
};
use clap::{Parser, ValueEnum};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::service::TowerToHyperService;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves until it is killed.
#[derive(Parser)]
struct Arguments {
    /// What stands between the socket and the answer.
    kind: Kind,
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The folder with the answers.
    #[arg(long)]
    answers: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Tonic,
    Hyper,
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let listener = std::net::TcpListener::bind(arguments.listen)?;
    match arguments.kind {
        Kind::Tonic => {
            let echo = Echo::of(&arguments.answers)?;
            let service = TowerToHyperService::new(BankCardServiceServer::new(echo));
            serve(&listener, service)
        }
        Kind::Hyper => {
            let answers = ["verify", "card-info"]
                .map(|method| answers::raw(&arguments.answers, method).map(framed));
            let [verification, card_info] = answers;
            let (verification, card_info) = (verification?, card_info?);
            let service = service_fn(move |request: Request<Incoming>| {
                let data = if request.uri().path().ends_with("VerifyBankCard") {
                    verification.clone()
                } else {
                    card_info.clone()
                };
                async move {
                    // read to its end, as every server has to
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(answer(data))
                }
            });
            serve(&listener, service)
        }
    }
}

/// A message with its prefix.
fn framed(message: Vec<u8>) -> Bytes {
    let length = u32::try_from(message.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    [&[0], &length[..], &message].concat().into()
}

fn answer(data: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer {
        data: Some(data),
        ended: false,
    });
    let grpc = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, grpc);
    response
}

/// One frame of data, then the status.
struct Answer {
    data: Option<Bytes>,
    ended: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
