//! The gRPC face of messages: customers read again what they were told.

use chassis::db::Database;
use chassis::page::Cursor;
use chassis::{Call, Fields, Page, all};
use contracts::notification::v1 as proto;
use contracts::notification::v1::notification_service_server::NotificationService;
use tonic::{Request, Response, Status};

use crate::store;

/// Serves messages.
#[derive(Clone)]
pub struct Service {
    /// Lists messages.
    pub database: Database,
}

#[tonic::async_trait]
impl NotificationService for Service {
    async fn list_messages(
        &self,
        request: Request<proto::ListMessagesRequest>,
    ) -> Result<Response<proto::ListMessagesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [b"messages", customer.unwrap_or_default().as_bytes(), request.flow_id.as_bytes()];
        let page = Page::<Cursor>::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let flow = fields.optional_id("flow_id", &request.flow_id);
        let (page, flow) = fields.finish(all!(page, flow))?;
        let reader = self.database.reader().await?;
        let (messages, next_page_token) =
            store::list(reader.tx(), call.caller.subject(), customer, flow, &page).await?;
        Ok(Response::new(proto::ListMessagesResponse { messages, next_page_token }))
    }
}
