//! A server with a hot service that does as it is told by the path, and clients for it.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cardproof::{
    grpc::{
        api,
        arrived::Arrived,
        connection::ConnectionLimits,
        handshake::Handshake,
        path_switch::HotService,
        reply::Reply,
        routes,
        server::{Outcome, Server, ServerGauges, ServerLimits},
        workers::WorkerLoads,
    },
    health::{HealthSwitch, Phase},
    listener,
    signals::StopSignal,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::sleep,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, body::Body, transport::Channel};

/// The value that must not show anywhere.
pub const SECRET: &str = "6222020200112233";

/// Answers by path: `Echo`, `Thread`, `Left` (milliseconds of the deadline), `Sleep` (half a
/// second), `Forever`, `Panic`, `PanicAtOnce`.
#[derive(Clone, Default)]
pub struct Hot {
    pub started: Arc<AtomicUsize>,
    pub running: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl HotService for Hot {
    type Answering = Pin<Box<dyn Future<Output = Response<Reply>> + Send>>;

    fn answer(self: Arc<Self>, request: Request<Incoming>, arrived: Arrived) -> Self::Answering {
        self.started.fetch_add(1, Ordering::SeqCst);
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.running.clone());
        let path = request.uri().path().to_owned();
        let method = path.rsplit('/').next().unwrap().to_owned();
        assert!(method != "PanicAtOnce", "{SECRET}");
        Box::pin(async move {
            let _running = running;
            let deadline = arrived.deadline;
            let said = request.into_body().collect().await.unwrap().to_bytes();
            let text = match method.as_str() {
                "Echo" => unframe(said),
                "Thread" => std::thread::current().name().unwrap_or_default().to_owned(),
                "Left" => (deadline.0 - tokio::time::Instant::now())
                    .as_millis()
                    .to_string(),
                "Sleep" => {
                    sleep(Duration::from_millis(500)).await;
                    "rested".to_owned()
                }
                "Forever" => std::future::pending().await,
                "Panic" => panic!("{SECRET}"),
                _ => return Reply::refusal(Status::unimplemented("no such method")),
            };
            let trailers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            let body = Full::new(frame(&text)).with_trailers(async { Some(Ok(trailers)) });
            let response = Response::builder().header("content-type", "application/grpc");
            Reply::library(response.body(Body::new(body)).unwrap())
        })
    }
}

/// A `google.protobuf.StringValue` in a gRPC frame.
pub fn frame(text: &str) -> Bytes {
    grpc_frame(&prost::Message::encode_to_vec(&text.to_owned()))
}

/// An encoded message in a gRPC frame, not compressed.
pub fn grpc_frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message);
    framed.freeze()
}

pub fn unframe(mut framed: Bytes) -> String {
    framed.advance(5);
    prost::Message::decode(framed).unwrap()
}

/// Limits that suit tests: two workers, short times.
pub fn limits() -> ServerLimits {
    ServerLimits {
        workers: 2,
        max_deadline: Duration::from_secs(5),
        max_connections: 100,
        max_in_flight: 100,
        drain_delay: Duration::from_millis(300),
        shutdown_timeout: Duration::from_secs(3),
        connection: ConnectionLimits {
            idle_grace: Duration::from_millis(300),
            ..ConnectionLimits::default()
        },
    }
}

/// A running server.
pub struct House {
    pub address: SocketAddr,
    pub hot: Hot,
    pub health: HealthSwitch,
    pub gauges: ServerGauges,
    pub loads: WorkerLoads,
    pub signals: UnboundedSender<StopSignal>,
    pub outcome: JoinHandle<Outcome>,
}

impl House {
    pub async fn open(limits: ServerLimits) -> Self {
        Self::open_with(limits, |_| async {}).await
    }

    pub async fn open_with<F>(
        limits: ServerLimits,
        leaders: impl FnOnce(tokio::time::Instant) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        Self::open_protected(limits, Handshake::Plaintext, leaders).await
    }

    pub async fn open_protected<F>(
        limits: ServerLimits,
        handshake: Handshake,
        leaders: impl FnOnce(tokio::time::Instant) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let socket = listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let hot = Hot::default();
        let health = HealthSwitch::new();
        let rest = routes::rest(health.clone(), true).unwrap();
        let server = Server::new(
            socket,
            hot.clone(),
            rest,
            api::answers(),
            limits,
            health.clone(),
        )
        .protected_by(handshake);
        let gauges = server.gauges();
        let running = server.start().unwrap();
        let loads = running.loads();
        let (signals, stream) = unbounded_channel();
        let outcome = tokio::spawn(async move {
            running
                .run(UnboundedReceiverStream::new(stream), leaders)
                .await
        });
        eventually("the server serves", || health.state() == Phase::Serving).await;
        Self {
            address,
            hot,
            health,
            gauges,
            loads,
            signals,
            outcome,
        }
    }

    pub async fn channel(&self) -> Channel {
        channel(self.address).await
    }

    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    pub fn open_connections(&self) -> usize {
        self.gauges.connections.inside()
    }

    pub fn signal(&self, signal: StopSignal) {
        self.signals.send(signal).unwrap();
    }
}

pub async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Calls a method of the hot service.
pub async fn call(channel: &Channel, method: &'static str) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    let path = format!("/bankcard.v1.BankCardService/{method}");
    client
        .unary(
            tonic::Request::new("hello".to_owned()),
            path.parse().unwrap(),
            tonic_prost::ProstCodec::<String, String>::default(),
        )
        .await
        .map(tonic::Response::into_inner)
}

/// An HTTP/2 client that hides nothing: what the server says is what is seen.
pub struct Raw {
    requests: h2::client::SendRequest<Bytes>,
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

/// What came back.
pub struct Answer {
    pub http: u16,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// `grpc-status`, wherever it stands.
    pub fn code(&self) -> i32 {
        self.trailers
            .get("grpc-status")
            .or_else(|| self.headers.get("grpc-status"))
            .map_or(-1, |code| code.to_str().unwrap().parse().unwrap())
    }

    /// The status with its details, of an answer without a message.
    pub fn status(&self) -> Status {
        Status::from_header_map(&self.headers).unwrap()
    }

    pub fn reason(&self) -> String {
        use tonic_types::StatusExt;
        self.status().get_details_error_info().unwrap().reason
    }
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    pub async fn call(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, h2::Error> {
        let mut request = Request::post(format!("http://test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(()).unwrap(), Some(frame("hello")))
            .await
    }

    pub async fn send(
        &self,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(request, body.is_none())?;
        if let Some(body) = body {
            // an early answer may have ended the stream already
            let _ = stream.send_data(body, true);
        }
        Self::answer(response).await
    }

    /// Sends a request with whatever `write` writes as its body.
    pub async fn exchange(
        &self,
        request: Request<()>,
        write: impl AsyncFnOnce(&mut h2::SendStream<Bytes>),
    ) -> Result<Answer, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(request, false)?;
        write(&mut stream).await;
        Self::answer(response).await
    }

    async fn answer(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
        let (head, mut body) = response.await?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.data().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(Answer {
            http: head.status.as_u16(),
            headers: head.headers,
            trailers: body.trailers().await?.unwrap_or_default(),
            body: bytes.freeze(),
        })
    }
}

/// Path of a method of the hot service.
pub fn path(method: &str) -> String {
    format!("/bankcard.v1.BankCardService/{method}")
}

/// Waits up to five seconds for something to become true.
pub async fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "not in time: {what}"
        );
        sleep(Duration::from_millis(5)).await;
    }
}
