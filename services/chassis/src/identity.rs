//! The identity of a context in its calls to other contexts.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::auth::Signer;
use crate::clock::Timestamp;

/// The identity that signs calls to other contexts.
#[derive(Clone)]
pub enum Identity {
    /// The context's name, which is trusted where authentication is off.
    Named,
    /// A token of the context's for the one that it calls, signed with the key of its process.
    Signed(Arc<Signer>),
}

impl Identity {
    /// Sets `from` as the caller of a request to the context `to`.
    pub fn sign(
        &self,
        from: &'static str,
        to: &'static str,
        metadata: &mut MetadataMap,
        now: Timestamp,
    ) -> Result<(), Status> {
        match self {
            Identity::Named => {
                metadata.insert("x-user", MetadataValue::from_static(from));
                metadata.insert("x-roles", MetadataValue::from_static("service"));
            }
            Identity::Signed(signer) => {
                let authorization = signer.service_authorization(from, to, now);
                let authorization = authorization.map_err(|error| Status::internal(error.to_string()))?;
                metadata.insert("authorization", authorization);
            }
        }
        Ok(())
    }
}
