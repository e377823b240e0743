//! stub
/// When a caller stops waiting.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub tokio::time::Instant);
