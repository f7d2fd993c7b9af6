//! What is known about a call before its message is read.

use std::sync::Arc;

use tokio::time::Instant;

use super::deadline::Deadline;
use crate::service::ask::Caller;

/// The one thing of ours among the extensions of every request: each further one would be
/// allocated by itself.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// When it arrived.
    pub at: Instant,
    /// Whether its message did not come with its head, or nobody knows.
    pub waited: bool,
    /// When the answer must be out.
    pub deadline: Deadline,
    /// Who calls; `None` where everybody may.
    pub caller: Option<Arc<Caller>>,
}
