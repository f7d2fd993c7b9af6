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
