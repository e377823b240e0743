//! The gRPC API of deliveries: parse, handle, answer.

use chassis::db::Database;
use chassis::{Call, Error, Loader, Page, Writer};
use contracts::delivery::v1::*;

use crate::domain::{Command, Delivery, DeliveryId, State};
use crate::store;

/// Serves deliveries.
#[derive(Clone)]
pub struct Service {
    /// Changes deliveries.
    pub writer: Writer<Delivery>,
    /// Loads deliveries.
    pub loader: Loader<DeliveryId, Delivery>,
    /// Lists deliveries.
    pub database: Database,
}

impl DeliveryApi for Service {
    type Call = Call;
    type Error = Error;

    async fn start_delivery(&self, call: Call, request: StartDeliveryRequest) -> Result<StartDeliveryResponse, Error> {
        let id = call.parse(|fields| fields.id("delivery_id", &request.delivery_id))?;
        let command = Command::Start(call.caller.subject().to_owned());
        let delivery = self.writer.handle(call.command(id, command)).await?;
        Ok(StartDeliveryResponse { delivery: Some(delivery) })
    }

    async fn complete_delivery(
        &self,
        call: Call,
        request: CompleteDeliveryRequest,
    ) -> Result<CompleteDeliveryResponse, Error> {
        let id = call.parse(|fields| fields.id("delivery_id", &request.delivery_id))?;
        let command = Command::Complete(call.caller.subject().to_owned());
        let delivery = self.writer.handle(call.command(id, command)).await?;
        Ok(CompleteDeliveryResponse { delivery: Some(delivery) })
    }

    async fn get_delivery(&self, call: Call, request: GetDeliveryRequest) -> Result<GetDeliveryResponse, Error> {
        let id = call.parse(|fields| fields.id("delivery_id", &request.delivery_id))?;
        let sees = |delivery: &Delivery| {
            let is_mine = delivery.is_of(call.caller.subject()) || delivery.state == State::Prepared;
            is_mine || call.is_staff
        };
        let delivery = self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("delivery", id))?;
        Ok(GetDeliveryResponse { delivery: Some((&delivery).into()) })
    }

    async fn list_deliveries(
        &self,
        call: Call,
        request: ListDeliveriesRequest,
    ) -> Result<ListDeliveriesResponse, Error> {
        let courier = call.own();
        let filter = [courier.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            let state = DeliveryState::try_from(request.state);
            (page, fields.take("state", state.map_err(|_| "must be a value of DeliveryState")))
        })?;
        let reader = self.database.reader().await?;
        let (deliveries, next_page_token) = store::list(reader.tx(), courier, state, &page).await?;
        Ok(ListDeliveriesResponse { deliveries, next_page_token })
    }
}
