//! The connections to the store: one for everybody, and one for each thread that has a runtime to
//! itself, as the workers have. What is asked there is answered there: on a connection of another
//! thread, each question and each answer would wake that thread or this one.

use std::{
    sync::{Arc, OnceLock},
    thread::{self, ThreadId},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use thread_local::ThreadLocal;
use tokio::runtime::Handle;

/// The longest that the making of a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections to one server, all made since it was found there.
pub(super) struct Connections {
    client: Arc<Client>,
    common: MultiplexedConnection,
    own: ThreadLocal<Own>,
}

/// The connection of one thread.
struct Own {
    /// A new thread may be given the place of one that has ended, and that one's connection ended
    /// with its runtime.
    thread: ThreadId,
    /// Empty while it is being made, or if it could not be.
    connection: OnceLock<MultiplexedConnection>,
}

impl Own {
    fn of_this_thread() -> Self {
        Self {
            thread: thread::current().id(),
            connection: OnceLock::new(),
        }
    }

    fn is_of_this_thread(&self) -> bool {
        self.thread == thread::current().id()
    }
}

impl Connections {
    /// Begins with the one for everybody.
    pub(super) async fn open(client: Arc<Client>) -> Result<Self, RedisError> {
        Ok(Self {
            common: connect(&client).await?,
            client,
            own: ThreadLocal::new(),
        })
    }

    /// The one to use on this thread. The first time that is the one for everybody, and the
    /// thread's own is made meanwhile.
    pub(super) fn here(self: &Arc<Self>) -> MultiplexedConnection {
        if let Some(own) = self.own.get() {
            let connection = own.connection.get().filter(|_| own.is_of_this_thread());
            return connection.unwrap_or(&self.common).clone();
        }
        // its place is taken from now on, so that one attempt is made
        if let Some(runtime) = runtime_of_this_thread()
            && self.own.get_or(Own::of_this_thread).is_of_this_thread()
        {
            let these = Arc::clone(self);
            runtime.spawn(async move {
                // without it this thread stays with the one for everybody; if the store is lost,
                // whoever asks next finds out
                if let Ok(connection) = connect(&these.client).await {
                    let own = these.own.get_or(Own::of_this_thread);
                    let _first = own.connection.set(connection);
                }
            });
        }
        self.common.clone()
    }
}

/// The runtime, if all of it runs on one thread.
fn runtime_of_this_thread() -> Option<Handle> {
    let runtime = Handle::try_current().ok()?;
    (runtime.metrics().num_workers() == 1).then_some(runtime)
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // waits are timed by the link, where a process that stood still is told from a store that is
    // slow
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(None);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
