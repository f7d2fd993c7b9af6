//! A collector of OTLP on loopback, over HTTP and over gRPC: it keeps the bytes of what arrives, as
//! they were before they were packed, and understands nothing of them.

use std::{
    convert::Infallible,
    io::Read,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use parking_lot::Mutex;

use super::scan::Sink;

/// Each way to a collector: the protocol, and how bodies are packed.
pub const WAYS: [(&str, &str); 4] = [
    ("http/protobuf", "none"),
    ("http/protobuf", "gzip"),
    ("grpc", "none"),
    ("grpc", "gzip"),
];

/// One export as it came.
pub struct Export {
    /// Protocol and packing, as they were on the wire.
    pub way: String,
    pub sink: Sink,
    /// The message, with whatever is no UTF-8 in it replaced.
    pub text: String,
}

/// Listens until the tests end.
pub struct Collector {
    pub address: SocketAddr,
    exports: Arc<Mutex<Vec<Export>>>,
    next: AtomicUsize,
}

impl Collector {
    /// Listens on a thread of its own.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let exports = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&exports);
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(serve(listener, &kept));
        });
        Self {
            address,
            exports,
            next: AtomicUsize::new(0),
        }
    }

    /// What a program is told to send all it has here; each is told another way.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let (protocol, packing) = WAYS[self.next.fetch_add(1, Ordering::SeqCst) % WAYS.len()];
        vec![
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("http://{}", self.address),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", packing.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
            // in place of a random one, which may look like anything
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.instance.id=one-of-the-canary".to_owned(),
            ),
        ]
    }

    /// All that has come since it was asked last.
    pub fn take(&self) -> Vec<Export> {
        std::mem::take(&mut *self.exports.lock())
    }
}

async fn serve(listener: std::net::TcpListener, exports: &Arc<Mutex<Vec<Export>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let exports = Arc::clone(exports);
        tokio::spawn(async move {
            let service = service_fn(move |request| receive(request, Arc::clone(&exports)));
            // a sender that goes is none of its business
            let _ = Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn receive(
    request: Request<Incoming>,
    exports: Arc<Mutex<Vec<Export>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let sink = match head.uri.path() {
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            Sink::OtlpTraces
        }
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            Sink::OtlpMetrics
        }
        other => panic!("nothing is collected at {other}"),
    };
    let is_grpc = head.version == http::Version::HTTP_2;
    let bytes = body.collect().await.unwrap().to_bytes();
    let (packing, message) = if is_grpc {
        unframed(bytes)
    } else {
        let packing = head.headers.get("content-encoding");
        unpacked(packing.is_some_and(|it| it == "gzip"), &bytes)
    };
    let protocol = if is_grpc { "grpc" } else { "http/protobuf" };
    exports.lock().push(Export {
        way: format!("{protocol} {packing}"),
        sink,
        text: String::from_utf8_lossy(&message).into_owned(),
    });
    Ok(thanks(is_grpc))
}

fn unframed(mut frame: Bytes) -> (&'static str, Vec<u8>) {
    let is_packed = frame.get_u8() == 1;
    let length = frame.get_u32() as usize;
    assert_eq!(frame.len(), length, "one message");
    unpacked(is_packed, &frame)
}

fn unpacked(is_packed: bool, bytes: &[u8]) -> (&'static str, Vec<u8>) {
    if !is_packed {
        return ("none", bytes.to_vec());
    }
    let mut message = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut message).unwrap();
    ("gzip", message)
}

/// An answer without a complaint.
fn thanks(is_grpc: bool) -> Response<BoxBody<Bytes, Infallible>> {
    if !is_grpc {
        let empty = Full::new(Bytes::new()).boxed();
        let response = Response::builder().header("content-type", "application/x-protobuf");
        return response.body(empty).unwrap();
    }
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body.boxed()).unwrap()
}
