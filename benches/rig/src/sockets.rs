//! The service's own layout of threads without the service: sockets are handed out in turn to one
//! runtime of one thread per core.

use std::{error::Error, io, net::TcpListener, thread};

use http_body::Body;
use hyper::{body::Incoming, server::conn::http2::Builder, service::HttpService};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

type Failure = Box<dyn Error + Send + Sync>;

/// Serves until the process ends, with one thread per core.
///
/// # Errors
/// When the system gives no socket.
pub fn serve<S, B>(listener: &TcpListener, service: S) -> Result<(), Failure>
where
    S: HttpService<Incoming, ResBody = B, Future: Send, Error: Into<Failure>>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let cores = thread::available_parallelism()?.get();
    let inboxes: Vec<_> = (0..cores)
        .map(|_| {
            let (inbox, sockets) = unbounded_channel();
            let service = service.clone();
            thread::spawn(move || work(sockets, &service));
            inbox
        })
        .collect();
    for inbox in inboxes.iter().cycle() {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        inbox.send(socket)?;
    }
    Ok(())
}

fn work<S, B>(mut sockets: UnboundedReceiver<std::net::TcpStream>, service: &S) -> io::Result<()>
where
    S: HttpService<Incoming, ResBody = B, Future: Send, Error: Into<Failure>>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<Failure>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        while let Some(socket) = sockets.recv().await {
            let socket = TokioIo::new(TcpStream::from_std(socket)?);
            let mut builder = Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(256)
                .initial_stream_window_size(128 * 1024)
                .initial_connection_window_size(1024 * 1024)
                .auto_date_header(false);
            let connection = builder.serve_connection(socket, service.clone());
            tokio::spawn(async move {
                // its peer may leave as it likes
                let _ = connection.await;
            });
        }
        Ok(())
    })
}
