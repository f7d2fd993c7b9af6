//! Serves the admin port, with limits that fit its few visitors.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Peer;
use crate::listener::Listener;

/// Scrapers and probes are few; more than this is a mistake or an attack.
const MAX_CONNECTIONS: usize = 256;
/// How long a request's head may take, and the first byte of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most of a request's head.
const MAX_HEAD_BYTES: u16 = 16 * 1024;
/// After this a connection is asked to close; it bounds whatever has no limit of its own.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long it may take to do so.
const GRACE: Duration = Duration::from_secs(2);

/// Serves `router` on a bound socket until `stop`; then answers what is under way, briefly.
///
/// Runs on the outside runtime.
///
/// # Errors
/// The socket cannot be watched by the runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut listener = Listener::new(listener, "admin")?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        // without a place the connection is closed at once
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let router = router.clone().layer(Extension(Peer(peer)));
            connections.spawn(converse(stream, router, stop.clone(), place));
        }
    }
    drop(listener);
    connections.close();
    // whoever has not gone by then is cut when the runtime ends
    let _ = timeout(GRACE, connections.wait()).await;
    Ok(())
}

async fn converse(
    stream: TcpStream,
    router: Router,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // the builder waits without end for the bytes that tell HTTP/1.1 from HTTP/2
    let mut first_byte = [0];
    let hello = timeout(HEAD_TIMEOUT, stream.peek(&mut first_byte));
    let Some(Ok(Ok(1..))) = stop.run_until_cancelled(hello).await else {
        return;
    };
    let _ = stream.set_nodelay(true);
    let builder = builder();
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(MAX_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(usize::from(MAX_HEAD_BYTES));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_header_list_size(u32::from(MAX_HEAD_BYTES))
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
