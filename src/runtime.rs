//! Which threads there are: one thread per core for the calls that are answered from memory, one
//! for the vendors if there are several of those, and a runtime of several threads for everything
//! else that waits.

use std::{io, thread};

use tokio::runtime::{Builder, Runtime};

/// How many cores this process may use, at least 1.
///
/// The standard library looks at the affinity mask and at the CPU quota of the control group
/// (`cpu.max`, or `cpu.cfs_quota_us` of the older kind), rounded down, so that a container with a
/// quota of two cores on a large machine gets two.
#[must_use]
pub fn available_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// How many worker threads to start: what the operator said, else one per core.
#[must_use]
pub fn worker_count(configured: Option<usize>) -> usize {
    configured.unwrap_or_else(available_cores).max(1)
}

/// The runtime for what the process as a whole needs from outside: the admin port, exporters,
/// files that change, and the acceptor.
///
/// # Errors
/// The operating system gave no thread or descriptor.
pub fn outside() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        // at least two, so that one blocked thread does not silence the rest
        .worker_threads(available_cores().clamp(2, 8))
        .thread_name("outside")
        .enable_all()
        .build()
}

/// The runtime of a worker: one thread, which serves connections.
///
/// # Errors
/// The operating system gave no descriptor.
pub fn worker() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The runtime for what questions need from vendors, where there are several workers. A worker that
/// is alone asks the vendors on its own thread: on one core the two would only take turns.
///
/// One thread: what it does is a few system calls for each of the few hundred calls per second
/// that vendors allow, and of several threads each would wake another for half of them. It has a
/// thread of its own so that the ports of the runtime above answer whatever happens here.
///
/// # Errors
/// The operating system gave no thread or descriptor.
pub fn vendors() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("vendors")
        .enable_all()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_decides_and_zero_is_impossible() {
        assert_eq!(worker_count(Some(3)), 3);
        assert_eq!(worker_count(Some(0)), 1);
        assert_eq!(worker_count(None), available_cores());
        assert!(available_cores() >= 1);
    }
}
