//! Erasures in a table, and the event that they publish.

use chassis::db::prelude::*;
use chassis::{Publication, Store, Timestamp};
use contracts::mypage::v1 as proto;

use crate::domain::{Erasure, ErasureId, Request, Requested};

chassis::table! {
    /// An erasure.
    requested_erasures (id) of Erasure as Row with version {
        id: ErasureId as SqlUuid,
        admin: String as Text,
        reason: String as Text,
        created_at: Timestamp as SqlTime,
    }
}

impl Store for Erasure {
    type Answer = proto::Erasure;

    chassis::flat!(Row in requested_erasures);

    fn answer(&self, _: &Request) -> proto::Erasure {
        self.into()
    }

    fn publish(&self, Requested(request, _): &Requested) -> Option<Publication> {
        let event = proto::CustomerErased { erasure: Some(self.into()), customer_id: request.customer.clone() };
        Publication::about(self.id, self.id.uuid()).publish(&event)
    }
}

impl From<&Erasure> for proto::Erasure {
    fn from(erasure: &Erasure) -> Self {
        proto::Erasure {
            erasure_id: erasure.id.to_string(),
            pseudonym: erasure.pseudonym(),
            admin_id: erasure.admin.clone(),
            reason: erasure.reason.clone(),
            create_time: Some(erasure.created_at.to_proto()),
        }
    }
}
