//! The gRPC API of messages: customers read their messages again.

use chassis::db::Database;
use chassis::sealing::SealingKeys;
use chassis::{Call, Error, Page};
use contracts::notification::v1::{ListMessagesRequest, ListMessagesResponse, NotificationApi};

use crate::store;

/// Serves messages.
#[derive(Clone)]
pub struct Service {
    /// Lists messages.
    pub database: Database,
    /// Unseals what customers read.
    pub sealing: SealingKeys,
}

impl NotificationApi for Service {
    type Call = Call;
    type Error = Error;

    async fn list_messages(&self, call: Call, request: ListMessagesRequest) -> Result<ListMessagesResponse, Error> {
        let customer = call.own();
        let filter = [b"messages", customer.unwrap_or_default().as_bytes(), request.flow_id.as_bytes()];
        let (page, flow) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.optional_id("flow_id", &request.flow_id))
        })?;
        let reader = self.database.reader().await?;
        let listed = store::list(reader.tx(), &self.sealing, call.caller.subject(), customer, flow, &page).await?;
        let (messages, next_page_token) = listed;
        Ok(ListMessagesResponse { messages, next_page_token })
    }
}
