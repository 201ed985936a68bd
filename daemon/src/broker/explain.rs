//! What would become of a request, and why: `explain`.

use authsome_proto::request::Explain;
use authsome_proto::response::Explained;
use authsome_proto::{ErrorCode, WireError};

use super::Broker;

impl Broker {
    /// Answers `question` for the process `by`.
    pub async fn explain(&self, question: Explain, by: u32) -> Result<Explained, WireError> {
        drop((question, by));
        Err(WireError::new(ErrorCode::NotAvailableYet, "not yet"))
    }
}
