//! Who this process is, when it calls another.

use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::clock::Timestamp;

/// Who this process is.
#[derive(Clone)]
pub enum Identity {
    /// A name, believed where nobody is checked.
    Named(&'static str),
}

impl Identity {
    /// Puts the identity into a request.
    pub fn sign(&self, metadata: &mut MetadataMap, _now: Timestamp) -> Result<(), Status> {
        match self {
            Identity::Named(name) => {
                metadata.insert("x-user", name.parse().map_err(|_| Status::internal("a bad name"))?);
                metadata.insert("x-roles", tonic::metadata::MetadataValue::from_static("service"));
            }
        }
        Ok(())
    }
}
