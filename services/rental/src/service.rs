//! The gRPC face of rentals: parse, handle, answer.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::Database;
use chassis::idempotency::Key;
use chassis::error::RefusalCode;
use chassis::values::Period;
use chassis::runtime::Runtime;
use chassis::{Call, PeerClient, Error, Fields, Loader, Page, Writer, all};
use contracts::Role;
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::rental::v1 as proto;
use contracts::rental::v1::rental_service_server::RentalService;
use tonic::{Request, Response, Status};

use crate::domain::{Calendar, CarId, Command, PaymentId, Region, ReservationId, State};
use crate::policy;
use crate::store::{self, Found};

/// Serves rentals.
#[derive(Clone)]
pub struct Service {
    /// Changes calendars.
    pub writer: Writer<Calendar>,
    /// Finds reservations.
    pub loader: Loader<ReservationId, Found>,
    /// Lists reservations.
    pub database: Database,
    /// Charges payments.
    pub payment: PeerClient,
    /// Time and chance.
    pub runtime: Runtime,
    /// Where the company rents cars out.
    pub region: Arc<Region>,
}

impl Service {
    /// The reservation, if the caller may see it.
    async fn visible(&self, call: &Call, id: ReservationId) -> Result<Found, Error> {
        let sees = |found: &Found| found.reservation.customer == call.caller.subject() || call.caller.has(Role::Admin);
        self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("reservation", id))
    }

    /// The car of the reservation, if it is the caller's own.
    async fn car_of(&self, call: &Call, id: ReservationId) -> Result<Found, Error> {
        let found = self.loader.get(id).await?.filter(|found| found.reservation.customer == call.caller.subject());
        found.ok_or_else(|| Error::not_found("reservation", id))
    }

    /// Has a command about the caller's own reservation executed.
    async fn execute(
        &self,
        call: &Call,
        id: ReservationId,
        command: Command,
        key: Option<Key>,
    ) -> Result<Option<proto::Reservation>, Error> {
        let car = self.car_of(call, id).await?.car;
        self.writer.handle(call.command(car, command, key)).await.map(Some)
    }

    /// Pays for the reservation, and waits. Should this process die after that, the event `PaymentApproved` does the rest.
    async fn pay(&self, call: &Call, id: ReservationId, found: &Found, method: String) -> Result<PaymentId, Error> {
        let request = CollectPaymentRequest {
            // The purchase makes it happen once.
            request_id: String::new(),
            purchase_id: id.to_string(),
            customer_id: found.reservation.customer.clone(),
            amount: Some(found.reservation.price.into()),
            payment_method: method,
            seller_reference: policy::reference(found.car),
            used: false,
        };
        let paid = self.payment.call(Some(call), request, |transport, request| async move {
            PaymentServiceClient::new(transport).collect_payment(request).await
        });
        let away = "payments can't be taken at the moment; the reservation is kept: pay a little later";
        let payment = paid.await.map_err(|none| none.into_error("PAYMENT_AWAY", away))?.payment;
        let id = payment.and_then(|payment| payment.payment_id.parse().ok());
        id.ok_or_else(|| Error::Internal("payment answered without a payment".into()))
    }

    async fn rent(
        &self,
        call: &Call,
        id: ReservationId,
        method: String,
        key: Option<Key>,
    ) -> Result<proto::Reservation, Error> {
        if let Some(first) = self.writer.first_answer(key).await? {
            return rented(first);
        }
        let found = self.car_of(call, id).await?;
        let payment = match (found.reservation.state, found.reservation.payment) {
            (State::Reserved { .. }, _) => self.pay(call, id, &found, method).await?,
            (State::Rented, Some(payment)) => payment,
            _ => return rented(store::to_proto(id, found.car, &found.reservation)),
        };
        rented(self.writer.handle(call.command(found.car, Command::Rent(id, payment), key)).await?)
    }
}

/// The reservation, if it is a rental now.
fn rented(reservation: proto::Reservation) -> Result<proto::Reservation, Error> {
    let (reason, message) = match reservation.state() {
        proto::ReservationState::Rented => return Ok(reservation),
        proto::ReservationState::Returned => ("ALREADY_RETURNED", "the car was returned already"),
        _ => ("RESERVATION_CANCELLED", "the reservation was cancelled; what was paid for it is refunded"),
    };
    Err(Error::Refused { code: RefusalCode::Precondition, reason, message: message.to_owned(), retry_after: None })
}

#[tonic::async_trait]
impl RentalService for Service {
    async fn reserve_car(
        &self,
        request: Request<proto::ReserveCarRequest>,
    ) -> Result<Response<proto::ReserveCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let now = self.runtime.now();
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let car: Option<CarId> = fields.id("car_id", &request.car_id);
        let period = Period::parse(&mut fields, "period", request.period.as_ref());
        let days = period.and_then(|period| fields.take("period", self.region.days(&period, now)));
        let (key, car, period, days) = match fields.finish(all!(key, car, period, days)) {
            Ok(parsed) => parsed,
            // A period that was right when it was asked for may be over when the request is repeated.
            Err(wrong) => {
                let reservation = Some(self.writer.first_answer(key.flatten()).await?.ok_or(wrong)?);
                return Ok(Response::new(proto::ReserveCarResponse { reservation }));
            }
        };
        let command = Command::Reserve {
            id: self.runtime.ids.mint(now),
            customer: call.caller.subject().to_owned(),
            period,
            days,
            currency: self.region.currency,
            pay_within: self.region.pay_within,
        };
        let reservation = self.writer.handle(call.command(car, command, key)).await?;
        Ok(Response::new(proto::ReserveCarResponse { reservation: Some(reservation) }))
    }

    async fn cancel_reservation(
        &self,
        request: Request<proto::CancelReservationRequest>,
    ) -> Result<Response<proto::CancelReservationResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("reservation_id", &request.reservation_id);
        let (key, id) = fields.finish(all!(key, id))?;
        let reservation = self.execute(&call, id, Command::Cancel(id), key).await?;
        Ok(Response::new(proto::CancelReservationResponse { reservation }))
    }

    async fn rent_car(
        &self,
        request: Request<proto::RentCarRequest>,
    ) -> Result<Response<proto::RentCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("reservation_id", &request.reservation_id);
        let method = fields.text("payment_method", &request.payment_method, 1..=100);
        let (key, id, method) = fields.finish(all!(key, id, method))?;
        let reservation = Some(self.rent(&call, id, method, key).await?);
        Ok(Response::new(proto::RentCarResponse { reservation }))
    }

    async fn return_car(
        &self,
        request: Request<proto::ReturnCarRequest>,
    ) -> Result<Response<proto::ReturnCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("reservation_id", &request.reservation_id);
        let (key, id) = fields.finish(all!(key, id))?;
        let reservation = self.execute(&call, id, Command::Return(id), key).await?;
        Ok(Response::new(proto::ReturnCarResponse { reservation }))
    }

    async fn rate_rental(
        &self,
        request: Request<proto::RateRentalRequest>,
    ) -> Result<Response<proto::RateRentalResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("reservation_id", &request.reservation_id);
        let stars = u8::try_from(request.stars).ok().filter(|stars| (1..=5).contains(stars)).ok_or("must be 1 to 5");
        let stars = fields.take("stars", stars);
        let (key, id, stars) = fields.finish(all!(key, id, stars))?;
        let reservation = self.execute(&call, id, Command::Rate(id, stars), key).await?;
        Ok(Response::new(proto::RateRentalResponse { reservation }))
    }

    async fn get_reservation(
        &self,
        request: Request<proto::GetReservationRequest>,
    ) -> Result<Response<proto::GetReservationResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("reservation_id", &request.reservation_id);
        let id = fields.finish(id)?;
        let found = self.visible(&call, id).await?;
        let reservation = Some(store::to_proto(id, found.car, &found.reservation));
        Ok(Response::new(proto::GetReservationResponse { reservation }))
    }

    async fn list_reservations(
        &self,
        request: Request<proto::ListReservationsRequest>,
    ) -> Result<Response<proto::ListReservationsResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &filter);
        let known = proto::ReservationState::try_from(request.state);
        let state = fields.take("state", known.map_err(|_| "must be a value of ReservationState"));
        let (page, state) = fields.finish(all!(page, state))?;
        let reader = self.database.reader().await?;
        let listed = store::list(reader.tx(), customer, store::state_name(state), &page).await?;
        let (reservations, next_page_token) = listed;
        Ok(Response::new(proto::ListReservationsResponse { reservations, next_page_token }))
    }

    async fn get_region(
        &self,
        _: Request<proto::GetRegionRequest>,
    ) -> Result<Response<proto::GetRegionResponse>, Status> {
        let Region { country, currency, zone, pay_within, longest, horizon } = &*self.region;
        let days = |duration: &Duration| (duration.as_secs() / 86_400) as i64;
        let region = proto::Region {
            country_code: country.clone(),
            currency_code: currency.to_string(),
            time_zone: zone.iana_name().unwrap_or_default().to_owned(),
            pay_within_minutes: (pay_within.as_secs() / 60) as i64,
            longest_days: days(longest),
            horizon_days: days(horizon),
        };
        Ok(Response::new(proto::GetRegionResponse { region: Some(region) }))
    }

    async fn retire_car(
        &self,
        request: Request<proto::RetireCarRequest>,
    ) -> Result<Response<proto::RetireCarResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let car = fields.id("car_id", &request.car_id);
        let (key, car) = fields.finish(all!(key, car))?;
        self.writer.handle(call.command(car, Command::Retire(car), key)).await?;
        Ok(Response::new(proto::RetireCarResponse {}))
    }
}
