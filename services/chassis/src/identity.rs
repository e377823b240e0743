//! Who this process is when a context of it calls another.

use std::sync::Arc;

use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::auth::Signer;
use crate::clock::Timestamp;

/// What calls to other contexts are signed with.
#[derive(Clone)]
pub enum Identity {
    /// The context's name, which is believed where nobody is checked.
    Named,
    /// A token of the context's, signed with the product's own key.
    Signed(Arc<Signer>),
}

impl Identity {
    /// Says in a request that `context` makes it.
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
