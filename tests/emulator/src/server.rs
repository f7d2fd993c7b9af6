//! The listener: HTTP/1.1 and HTTP/2 on one port, with or without TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::connection::Connection;
use crate::exchange;
use crate::state::State;

/// What the listener serves with.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) state: Arc<State>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) max_concurrent_streams: u32,
}

/// Accepts connections until the task is dropped; its connections end with it.
pub(crate) async fn run(listener: TcpListener, serving: Serving) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, serving.clone()));
                }
                // Out of descriptors, most likely: a pause instead of a busy loop.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, serving: Serving) {
    // Without it the second small frame of a reply would wait for an acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let number = serving.state.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let connection = Arc::new(Connection::new(number));
    let wire = connection.wire(stream);
    match &serving.tls {
        None => speak(wire, &connection, &serving).await,
        Some(acceptor) => {
            let accepted = tokio::time::timeout(Duration::from_secs(10), acceptor.accept(wire));
            if let Ok(Ok(stream)) = accepted.await {
                speak(stream, &connection, &serving).await;
            }
        }
    }
}

async fn speak<S>(stream: S, connection: &Arc<Connection>, serving: &Serving)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let tap = connection.tap(stream);
    let service = service_fn(|request| {
        exchange::serve(Arc::clone(&serving.state), Arc::clone(connection), request)
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2()
        .max_concurrent_streams(serving.max_concurrent_streams)
        // Tests cancel calls by the thousand; that is no attack here.
        .max_pending_accept_reset_streams(Some(100_000))
        .max_local_error_reset_streams(Some(100_000));
    let served = http.serve_connection(TokioIo::new(tap), service);
    tokio::select! {
        // What ends a connection is the peer's or a script's doing.
        _ = served => {}
        () = connection.ended() => {}
    }
}

/// Binds a listener; a fixed port may be reused at once after a restart.
pub(crate) async fn bind(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Room for a burst of connections: the default would refuse some of 10,000 at once.
    socket.listen(16_384)?;
    TcpListener::from_std(socket.into())
}
