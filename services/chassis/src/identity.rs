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
    /// A token of the context's, signed with the product's own key.
    Signed(Arc<Signer>),
}

impl Identity {
    /// Sets `context` as the caller of a request.
    pub fn sign(&self, context: &'static str, metadata: &mut MetadataMap, now: Timestamp) -> Result<(), Status> {
        match self {
            Identity::Named => {
                metadata.insert("x-user", MetadataValue::from_static(context));
                metadata.insert("x-roles", MetadataValue::from_static("service"));
            }
            Identity::Signed(signer) => {
                let authorization = signer.service_authorization(context, now);
                let authorization = authorization.map_err(|error| Status::internal(error.to_string()))?;
                metadata.insert("authorization", authorization);
            }
        }
        Ok(())
    }
}
