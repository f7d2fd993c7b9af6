//! The threads that serve connections: one current-thread runtime each, so that a connection and
//! its calls stay on one core and nothing is stolen, locked or woken across.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::Runtime,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{connection::ConnectionHost, limits::Permit, path_switch::HotService};

/// A fresh connection on its way to a worker.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) permit: Permit,
}

/// Open connections of each worker; clones share the counts.
#[derive(Debug, Clone)]
pub struct WorkerLoads {
    open: Arc<[AtomicUsize]>,
}

impl WorkerLoads {
    fn new(workers: usize) -> Self {
        Self {
            open: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// Open connections, worker by worker.
    #[must_use]
    pub fn open_connections(&self) -> Vec<usize> {
        self.open
            .iter()
            .map(|open| open.load(Ordering::Relaxed))
            .collect()
    }

    /// The worker with the fewest connections; of several, the first at or after `turn`.
    fn least_loaded(&self, turn: usize) -> usize {
        let workers = self.open.len();
        (0..workers)
            .map(|step| (turn + step) % workers)
            .min_by_key(|worker| {
                self.open
                    .get(*worker)
                    .map_or(usize::MAX, |open| open.load(Ordering::Relaxed))
            })
            .unwrap_or(0)
    }

    fn guard(&self, worker: usize) -> LoadGuard {
        if let Some(open) = self.open.get(worker) {
            open.fetch_add(1, Ordering::Relaxed);
        }
        LoadGuard {
            loads: self.clone(),
            worker,
        }
    }
}

/// Counts one connection of one worker as long as it lives.
#[derive(Debug)]
struct LoadGuard {
    loads: WorkerLoads,
    worker: usize,
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        if let Some(open) = self.loads.open.get(self.worker) {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

struct Delivery {
    accepted: Accepted,
    load: LoadGuard,
}

struct Worker {
    inbox: UnboundedSender<Delivery>,
    ended: oneshot::Receiver<()>,
}

/// The worker threads, as the acceptor sees them.
pub(super) struct Workers {
    workers: Vec<Worker>,
    loads: WorkerLoads,
    turn: usize,
    cut: DropGuard,
}

impl Workers {
    /// Starts a thread for each runtime, which serves connections as `host` says.
    ///
    /// Dropping the result ends them, whatever they are doing.
    pub(super) fn start<S: HotService>(
        runtimes: Vec<Runtime>,
        host: &ConnectionHost<S>,
    ) -> io::Result<Self> {
        let cut = CancellationToken::new();
        let workers: Vec<_> = runtimes
            .into_iter()
            .enumerate()
            .map(|(index, runtime)| start_one(index, runtime, host, cut.child_token()))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            loads: WorkerLoads::new(workers.len()),
            workers,
            turn: 0,
            cut: cut.drop_guard(),
        })
    }

    pub(super) fn loads(&self) -> WorkerLoads {
        self.loads.clone()
    }

    /// Gives a connection to the worker with the fewest; ties go round.
    ///
    /// In turn alone would drift: connections live long and end unevenly.
    pub(super) fn hand_out(&mut self, accepted: Accepted) {
        let chosen = self.loads.least_loaded(self.turn);
        self.turn = (chosen + 1) % self.workers.len();
        let delivery = Delivery {
            accepted,
            load: self.loads.guard(chosen),
        };
        if let Some(worker) = self.workers.get(chosen)
            && worker.inbox.send(delivery).is_err()
        {
            tracing::error!(
                worker = chosen,
                "a worker is gone, its connection is dropped"
            );
        }
    }

    /// Takes no more connections and waits until the last one has ended. What else runs on the
    /// workers goes on until the result is dropped; so does giving up end everything.
    pub(super) async fn finish(self) -> DropGuard {
        let Workers { workers, cut, .. } = self;
        let ends: Vec<_> = workers.into_iter().map(|worker| worker.ended).collect();
        for ended in ends {
            // a worker that is gone has ended too
            let _ = ended.await;
        }
        cut
    }
}

fn start_one<S: HotService>(
    index: usize,
    runtime: Runtime,
    host: &ConnectionHost<S>,
    cut: CancellationToken,
) -> io::Result<Worker> {
    let (inbox, deliveries) = unbounded_channel();
    let (end, ended) = oneshot::channel();
    let host = ConnectionHost {
        // its own, so that workers do not meet at one lock
        drain: host.drain.child_token(),
        ..host.clone()
    };
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || run(runtime, host, deliveries, end, &cut))?;
    Ok(Worker { inbox, ended })
}

fn run<S: HotService>(
    runtime: Runtime,
    host: ConnectionHost<S>,
    mut deliveries: UnboundedReceiver<Delivery>,
    end: oneshot::Sender<()>,
    cut: &CancellationToken,
) {
    let connections = TaskTracker::new();
    runtime.block_on(cut.run_until_cancelled(async {
        while let Some(delivery) = deliveries.recv().await {
            let host = host.for_connection();
            connections.spawn(serve(host, delivery));
        }
        connections.close();
        connections.wait().await;
        // nobody listens any more when the process ends in a hurry
        let _ = end.send(());
        // vendors may still be asked on this thread
        pending::<()>().await;
    }));
    // drops what is left; does not wait for threads that a handler may have started
    runtime.shutdown_background();
}

async fn serve<S: HotService>(host: ConnectionHost<S>, delivery: Delivery) {
    let Delivery { accepted, load } = delivery;
    // an error here means that the peer is gone or that the descriptor cannot be watched
    if let Ok(stream) = TcpStream::from_std(accepted.stream) {
        host.serve(stream).await;
    }
    drop(load);
    drop(accepted.permit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_workers_take_turns_and_the_emptiest_goes_first() {
        let loads = WorkerLoads::new(3);
        let mut guards = Vec::new();
        let mut turn = 0;
        for _ in 0..6 {
            let chosen = loads.least_loaded(turn);
            turn = chosen + 1;
            guards.push((chosen, loads.guard(chosen)));
        }
        let order: Vec<_> = guards.iter().map(|(chosen, _)| *chosen).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
        guards.retain(|(chosen, _)| *chosen != 1);
        assert_eq!(loads.open_connections(), [2, 0, 2]);
        assert_eq!(loads.least_loaded(0), 1);
    }
}
