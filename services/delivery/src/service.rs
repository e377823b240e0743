//! The gRPC face of deliveries: parse, handle, answer.

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::page::Cursor;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::delivery::v1 as proto;
use contracts::delivery::v1::delivery_service_server::DeliveryService;
use tonic::{Request, Response, Status};

use crate::domain::{Command, Delivery, DeliveryId, State};
use crate::store;

/// Serves deliveries.
#[derive(Clone)]
pub struct Service {
    /// Changes deliveries.
    pub writer: Writer<Delivery>,
    /// Finds deliveries.
    pub loader: Loader<DeliveryId, Delivery>,
    /// Lists deliveries.
    pub database: Database,
}

/// Parses a request about one delivery.
fn parse<M: prost::Message + prost::Name>(
    call: &Call,
    request: &M,
    request_id: &str,
    delivery_id: &str,
) -> Result<(Option<Key>, DeliveryId), Error> {
    let mut fields = Fields::new();
    let key = fields.key(call, request_id, request);
    let id = fields.id("delivery_id", delivery_id);
    fields.finish(all!(key, id))
}

#[tonic::async_trait]
impl DeliveryService for Service {
    async fn start_delivery(
        &self,
        request: Request<proto::StartDeliveryRequest>,
    ) -> Result<Response<proto::StartDeliveryResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = parse(&call, &request, &request.request_id, &request.delivery_id)?;
        let command = Command::Start(call.caller.subject().to_owned());
        let delivery = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::StartDeliveryResponse { delivery: Some(delivery) }))
    }

    async fn complete_delivery(
        &self,
        request: Request<proto::CompleteDeliveryRequest>,
    ) -> Result<Response<proto::CompleteDeliveryResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let (key, id) = parse(&call, &request, &request.request_id, &request.delivery_id)?;
        let command = Command::Complete(call.caller.subject().to_owned());
        let delivery = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::CompleteDeliveryResponse { delivery: Some(delivery) }))
    }

    async fn get_delivery(
        &self,
        request: Request<proto::GetDeliveryRequest>,
    ) -> Result<Response<proto::GetDeliveryResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("delivery_id", &request.delivery_id);
        let id = fields.finish(id)?;
        let sees = |delivery: &Delivery| {
            let is_mine = delivery.is_of(call.caller.subject()) || delivery.state == State::Prepared;
            is_mine || call.caller.has(Role::Admin)
        };
        let delivery = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("delivery", id))?;
        Ok(Response::new(proto::GetDeliveryResponse { delivery: Some((&delivery).into()) }))
    }

    async fn list_deliveries(
        &self,
        request: Request<proto::ListDeliveriesRequest>,
    ) -> Result<Response<proto::ListDeliveriesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let courier = call.own();
        let filter = [courier.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let known = proto::DeliveryState::try_from(request.state);
        let state = fields.take("state", known.map_err(|_| "must be a value of DeliveryState"));
        let (page, state): (Page<Cursor>, _) = fields.finish(all!(page, state))?;
        let reader = self.database.reader().await?;
        let listed = store::list(reader.tx(), courier, store::state_named(state), &page).await?;
        let (deliveries, next_page_token) = listed;
        Ok(Response::new(proto::ListDeliveriesResponse { deliveries, next_page_token }))
    }
}
