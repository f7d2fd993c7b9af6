//! Runs the calls of a connection, the first step of each without a task.
//!
//! Most calls are answered from memory, and their message has come with their head. For such a call
//! no task is made, queued and ended: when a connection has read what there was, the calls that
//! began have their first step one after the other, and their answers leave together. Whatever has
//! to wait then becomes a task.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use hyper::rt::Executor;
use parking_lot::Mutex;

use super::inlet::Hello;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of one connection that have not had their first step. Used by one thread at a time.
#[derive(Clone, Default)]
pub(super) struct AtOnce {
    begun: Arc<Mutex<Vec<Call>>>,
}

impl<F> Executor<F> for AtOnce
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.begun.lock().push(Box::pin(call));
    }
}

impl AtOnce {
    /// Lets a connection read for one turn, then lets the calls that began have their first step.
    pub(super) fn turn<F: Future>(
        &self,
        hello: &Hello,
        connection: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        hello.begin_turn();
        let served = connection.poll(context);
        let mut begun = std::mem::take(&mut *self.begun.lock());
        for mut call in begun.drain(..) {
            // a task polls it again, and then it is known whom to wake
            let mut nobody = Context::from_waker(Waker::noop());
            if call.as_mut().poll(&mut nobody).is_pending() {
                tokio::spawn(call);
            }
        }
        // its room is used again; nothing began in between
        *self.begun.lock() = begun;
        served
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, pin::pin, sync::atomic::AtomicUsize, sync::atomic::Ordering};

    use tokio::{sync::oneshot, task::yield_now};

    use super::*;

    #[tokio::test]
    async fn calls_begin_after_the_connection_has_read_and_those_that_wait_go_on_as_tasks() {
        let calls = AtOnce::default();
        let over = Arc::new(AtomicUsize::new(0));
        let (answer, waiting) = oneshot::channel::<()>();
        let mut connection = pin!(async {
            let quick = Arc::clone(&over);
            calls.execute(async move {
                quick.fetch_add(1, Ordering::SeqCst);
            });
            let slow = Arc::clone(&over);
            calls.execute(async move {
                let _ = waiting.await;
                slow.fetch_add(10, Ordering::SeqCst);
            });
            assert_eq!(
                over.load(Ordering::SeqCst),
                0,
                "nothing begins while it reads"
            );
            pending::<()>().await;
        });
        let mut context = Context::from_waker(Waker::noop());
        let hello = Hello::default();
        assert!(
            calls
                .turn(&hello, connection.as_mut(), &mut context)
                .is_pending()
        );
        assert_eq!(over.load(Ordering::SeqCst), 1);
        yield_now().await;
        let _ = answer.send(());
        while over.load(Ordering::SeqCst) != 11 {
            yield_now().await;
        }
        // each begins once
        assert!(
            calls
                .turn(&hello, connection.as_mut(), &mut context)
                .is_pending()
        );
        assert_eq!(over.load(Ordering::SeqCst), 11);
    }
}
