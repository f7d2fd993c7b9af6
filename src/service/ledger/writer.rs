//! A thread of its own that writes, so that a slow or full disk never holds up a runtime.
//!
//! Three kinds of lines come in, through one short queue under a lock that is never held while
//! something is written:
//!
//! - lines that somebody waits for: written, or refused at once when the queue is full or
//!   something older is still unwritten;
//! - lines that must not be lost: kept until they can be written, before anything newer. There is
//!   one for each call under way, which is what bounds them;
//! - lines that are good to have: dropped and counted when they cannot be written.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Lines that may wait to be written, beside those that must not be lost.
const QUEUE_LINES: usize = 8192;
/// Lines that must not be lost and yet are, the oldest first, when there are more than this.
const KEPT_LINES: usize = 65_536;
/// How long after a failure what is kept is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Where lines end up.
pub(super) trait Sink: Send + 'static {
    /// Adds one line, as a whole or not at all as far as anybody who reads can tell.
    fn append(&mut self, line: &[u8]) -> io::Result<()>;
}

/// The way to the thread. When it is dropped, the thread writes what is there and ends.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    something: Condvar,
    errors: AtomicU64,
    kept: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// How many of the jobs are lines that must not be lost.
    keep: usize,
    closing: bool,
}

enum Job {
    Wait(String, Arc<Claim>, oneshot::Sender<bool>),
    Keep(String),
    GoodToHave(String),
    /// Asks whether all that came before is written.
    Flush(oneshot::Sender<bool>),
}

/// Who has the say over a line that somebody waits for.
#[derive(Default)]
struct Claim(AtomicU8);

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const ABANDONED: u8 = 2;

impl Claim {
    fn win(&self, state: u8) -> bool {
        let won = self
            .0
            .compare_exchange(WAITING, state, Ordering::SeqCst, Ordering::SeqCst);
        won.is_ok()
    }
}

/// A line on its way. If nobody waits for it any more it is not written; if it is being written
/// already, `make_up_for_it` is written after it.
pub(super) struct OnItsWay {
    shared: Arc<Shared>,
    claim: Arc<Claim>,
    done: Option<oneshot::Receiver<bool>>,
    make_up_for_it: String,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(sink: impl Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            something: Condvar::new(),
            errors: AtomicU64::new(0),
            kept: AtomicUsize::new(0),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            sink,
            unwritten: VecDeque::new(),
        };
        thread::Builder::new()
            .name(String::from("ledger"))
            .spawn(move || worker.run())?;
        Ok(Self { shared })
    }

    /// Sends a line that somebody waits for; `None` when there is no room.
    pub(super) fn write(&self, line: String, make_up_for_it: String) -> Option<OnItsWay> {
        let (sender, receiver) = oneshot::channel();
        let claim = Arc::new(Claim::default());
        if !self.push(Job::Wait(line, Arc::clone(&claim), sender)) {
            return None;
        }
        Some(OnItsWay {
            shared: Arc::clone(&self.shared),
            claim,
            done: Some(receiver),
            make_up_for_it,
        })
    }

    /// Sends a line that must not be lost.
    pub(super) fn keep(&self, line: String) {
        self.push(Job::Keep(line));
    }

    /// Sends a line that is good to have.
    pub(super) fn note(&self, line: String) {
        self.push(Job::GoodToHave(line));
    }

    /// Whether all that was sent so far is written.
    pub(super) async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.push(Job::Flush(sender)) && receiver.await.unwrap_or(false)
    }

    /// How many lines could not be written when they should have been.
    pub(super) fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }

    /// How many lines that must not be lost are not written yet because of an error.
    pub(super) fn kept(&self) -> usize {
        self.shared.kept.load(Ordering::Relaxed)
    }

    fn push(&self, job: Job) -> bool {
        self.shared.push(job)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.lock().closing = true;
        self.shared.something.notify_one();
    }
}

impl Shared {
    fn push(&self, job: Job) -> bool {
        let mut queue = self.queue.lock();
        let must_be_kept = matches!(job, Job::Keep(_));
        let has_room = if must_be_kept {
            queue.keep < KEPT_LINES
        } else {
            queue.jobs.len() - queue.keep < QUEUE_LINES
        };
        if !has_room {
            self.errors.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        queue.keep += usize::from(must_be_kept);
        queue.jobs.push_back(job);
        drop(queue);
        self.something.notify_one();
        true
    }
}

impl OnItsWay {
    /// Waits until the line is written, or surely is not, or the time is over.
    pub(super) async fn written(mut self, patience: Duration) -> bool {
        let Some(done) = self.done.as_mut() else {
            return false;
        };
        let Ok(written) = tokio::time::timeout(patience, done).await else {
            self.shared.errors.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        self.done = None;
        written.unwrap_or(false)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let answered = self.done.is_none();
        if !answered && !self.claim.win(ABANDONED) {
            self.shared
                .push(Job::Keep(std::mem::take(&mut self.make_up_for_it)));
        }
    }
}

/// The thread.
struct Worker<S> {
    shared: Arc<Shared>,
    sink: S,
    /// Lines that must not be lost and could not be written, oldest first.
    unwritten: VecDeque<String>,
}

impl<S: Sink> Worker<S> {
    fn run(mut self) {
        loop {
            let (jobs, closing) = self.next_jobs();
            self.write_unwritten();
            for job in jobs {
                self.handle(job);
            }
            if closing {
                return;
            }
        }
    }

    /// Sleeps until there is something to do. Once closing is seen, what came before is all there
    /// will ever be.
    fn next_jobs(&self) -> (VecDeque<Job>, bool) {
        let mut queue = self.shared.queue.lock();
        if queue.jobs.is_empty() && !queue.closing {
            if self.unwritten.is_empty() {
                self.shared.something.wait(&mut queue);
            } else {
                self.shared.something.wait_for(&mut queue, RETRY);
            }
        }
        queue.keep = 0;
        (std::mem::take(&mut queue.jobs), queue.closing)
    }

    fn write_unwritten(&mut self) {
        while let Some(line) = self.unwritten.front() {
            if self.sink.append(line.as_bytes()).is_err() {
                break;
            }
            self.unwritten.pop_front();
        }
        self.show_kept();
    }

    fn handle(&mut self, job: Job) {
        match job {
            Job::Wait(line, claim, done) => {
                if claim.win(TAKEN) {
                    // whoever waited may have left in the meantime; that is made up for elsewhere
                    let _left = done.send(self.append(&line));
                }
            }
            Job::Keep(line) => {
                if !self.append(&line) {
                    self.keep(line);
                }
            }
            Job::GoodToHave(line) => {
                self.append(&line);
            }
            Job::Flush(done) => {
                let _left = done.send(self.unwritten.is_empty());
            }
        }
    }

    /// Writes a line, unless something older could not be.
    fn append(&mut self, line: &str) -> bool {
        let written = self.unwritten.is_empty() && self.sink.append(line.as_bytes()).is_ok();
        if !written {
            self.shared.errors.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn keep(&mut self, line: String) {
        if self.unwritten.len() >= KEPT_LINES {
            self.unwritten.pop_front();
            self.shared.errors.fetch_add(1, Ordering::Relaxed);
        }
        self.unwritten.push_back(line);
        self.show_kept();
    }

    fn show_kept(&self) {
        self.shared
            .kept
            .store(self.unwritten.len(), Ordering::Relaxed);
    }
}
