//! placeholder until merge
/// Deadline.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub tokio::time::Instant);
