//! The gRPC API of rentals: parse, handle, answer.

use std::sync::Arc;

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::{Intervention, Money, Period};
use chassis::{Call, Error, Loader, Page, PeerClient, Writer};
use contracts::payment::v1::CollectPaymentRequest;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use contracts::rental::v1::{self as proto, *};

use crate::domain::{Calendar, Command, PaymentId, Region, ReservationId, State};
use crate::policy;
use crate::store::{self, Filter, Found};

/// Serves rentals.
#[derive(Clone)]
pub struct Service {
    /// Changes calendars.
    pub writer: Writer<Calendar>,
    /// Loads reservations.
    pub loader: Loader<ReservationId, Found>,
    /// Lists reservations.
    pub database: Database,
    /// Charges payments.
    pub payment: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// The country and region.
    pub region: Arc<Region>,
}

impl Service {
    /// The reservation, if the caller may see it.
    async fn visible(&self, call: &Call, id: ReservationId) -> Result<Found, Error> {
        let sees =
            |found: &Found| call.caller.is(&found.reservation.customer) || call.is_staff_of(&found.reservation.owner);
        self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("reservation", id))
    }

    /// Executes a command about the caller's own reservation, or one of a car of theirs that they act about as staff.
    async fn execute_for(
        &self,
        call: &Call,
        id: ReservationId,
        reason: &str,
        command: impl FnOnce(Option<Intervention>) -> Command,
    ) -> Result<proto::Reservation, Error> {
        let found = self.visible(call, id).await?;
        let intervention = call.intervention(&found.reservation.customer, reason, self.runtime.now())?;
        self.writer.handle(call.command(found.car, command(intervention))).await
    }

    /// The reservation, if it is the caller's own.
    async fn own(&self, call: &Call, id: ReservationId) -> Result<Found, Error> {
        let found = self.loader.get(id).await?.filter(|found| found.reservation.customer == call.caller.subject());
        found.ok_or_else(|| Error::not_found("reservation", id))
    }

    /// Executes a command about the caller's own reservation.
    async fn execute(&self, call: &Call, id: ReservationId, command: Command) -> Result<proto::Reservation, Error> {
        let car = self.own(call, id).await?.car;
        self.writer.handle(call.command(car, command)).await
    }

    /// Charges the payment of the reservation and waits for the answer. If this process crashes after that, the event
    /// `PaymentApproved` completes it.
    async fn pay(&self, call: &Call, id: ReservationId, found: &Found, method: String) -> Result<PaymentId, Error> {
        let request = CollectPaymentRequest {
            // The purchase id is the idempotency key.
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

    async fn rent(&self, call: &Call, id: ReservationId, method: String) -> Result<proto::Reservation, Error> {
        let found = self.own(call, id).await?;
        let payment = match (found.reservation.state, found.reservation.payment) {
            (State::Reserved { .. }, _) => self.pay(call, id, &found, method).await?,
            (State::Rented, Some(payment)) => payment,
            _ => return Ok(store::to_proto(id, found.car, &found.reservation)),
        };
        self.writer.handle(call.command(found.car, Command::Rent(id, payment))).await
    }
}

/// The reservation, if it is a rental now.
fn rented(reservation: proto::Reservation) -> Result<proto::Reservation, Error> {
    let (reason, message) = match reservation.state() {
        proto::ReservationState::Rented => return Ok(reservation),
        proto::ReservationState::Returned => ("ALREADY_RETURNED", "the car was returned already"),
        _ => ("RESERVATION_CANCELLED", "the reservation was cancelled; what was paid for it is refunded"),
    };
    Err(Error::precondition(reason, message))
}

impl RentalApi for Service {
    type Call = Call;
    type Error = Error;

    async fn reserve_car(&self, call: Call, request: ReserveCarRequest) -> Result<ReserveCarResponse, Error> {
        let now = self.runtime.now();
        let parsed = call.parse(|fields| {
            let car = fields.id("car_id", &request.car_id);
            let period = Period::parse(fields, "period", request.period.as_ref());
            let days = period.and_then(|period| fields.take("period", self.region.days(&period, now)));
            let expected = fields.optional("expected_price", Money::price, request.expected_price.as_ref());
            (car, period, days, expected)
        });
        let (car, period, days, expected_price) = match parsed {
            Ok(parsed) => parsed,
            // A period that was valid at the first attempt may be over when the request is repeated.
            Err(wrong) => {
                let reservation = self.writer.first_answer(call.key).await?.ok_or(wrong)?;
                return Ok(ReserveCarResponse { reservation: Some(reservation) });
            }
        };
        let command = Command::Reserve {
            id: self.runtime.ids.mint(now),
            customer: call.caller.subject().to_owned(),
            period,
            days,
            currency: self.region.currency,
            expected_price,
            pay_within: self.region.pay_within,
            time_zone: self.region.zone.iana_name().unwrap_or_default().to_owned(),
            unpaid: self.region.unpaid_reservations,
        };
        let reservation = self.writer.handle(call.command(car, command)).await?;
        Ok(ReserveCarResponse { reservation: Some(reservation) })
    }

    async fn cancel_reservation(
        &self,
        call: Call,
        request: CancelReservationRequest,
    ) -> Result<CancelReservationResponse, Error> {
        let id = call.parse(|fields| fields.id("reservation_id", &request.reservation_id))?;
        let cancel = |by| Command::Cancel(id, by);
        let reservation = self.execute_for(&call, id, &request.reason, cancel).await?;
        Ok(CancelReservationResponse { reservation: Some(reservation) })
    }

    async fn rent_car(&self, call: Call, request: RentCarRequest) -> Result<RentCarResponse, Error> {
        let (id, method) = call.parse(|fields| {
            let id = fields.id("reservation_id", &request.reservation_id);
            (id, fields.reference("payment_method", &request.payment_method))
        })?;
        let reservation = self.writer.once(call.key, self.rent(&call, id, method)).await?;
        Ok(RentCarResponse { reservation: Some(rented(reservation)?) })
    }

    async fn return_car(&self, call: Call, request: ReturnCarRequest) -> Result<ReturnCarResponse, Error> {
        let id = call.parse(|fields| fields.id("reservation_id", &request.reservation_id))?;
        let bring_back = |by| Command::Return(id, by, self.region.terms);
        let reservation = self.execute_for(&call, id, &request.reason, bring_back).await?;
        Ok(ReturnCarResponse { reservation: Some(reservation) })
    }

    async fn rate_rental(&self, call: Call, request: RateRentalRequest) -> Result<RateRentalResponse, Error> {
        let (id, stars) = call.parse(|fields| {
            let stars = u8::try_from(request.stars).ok().filter(|stars| (1..=5).contains(stars));
            let id = fields.id("reservation_id", &request.reservation_id);
            (id, fields.take("stars", stars.ok_or("must be 1 to 5")))
        })?;
        let reservation = self.execute(&call, id, Command::Rate(id, stars)).await?;
        Ok(RateRentalResponse { reservation: Some(reservation) })
    }

    async fn get_reservation(
        &self,
        call: Call,
        request: GetReservationRequest,
    ) -> Result<GetReservationResponse, Error> {
        let id = call.parse(|fields| fields.id("reservation_id", &request.reservation_id))?;
        let found = self.visible(&call, id).await?;
        Ok(GetReservationResponse { reservation: Some(store::to_proto(id, found.car, &found.reservation)) })
    }

    async fn list_reservations(
        &self,
        call: Call,
        request: ListReservationsRequest,
    ) -> Result<ListReservationsResponse, Error> {
        let (customer, owner) = (call.own(), call.owner());
        let options = [request.state.to_be_bytes()[3], u8::from(request.overdue)];
        let filter = [customer.or(owner).unwrap_or_default().as_bytes(), &options];
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.choice("state", request.state))
        })?;
        let reader = self.database.reader().await?;
        let filter = Filter { customer, owner, state, overdue: request.overdue };
        let (reservations, next_page_token) = store::list(reader.tx(), filter, &page).await?;
        Ok(ListReservationsResponse { reservations, next_page_token })
    }

    async fn get_region(&self, _: Call, _: GetRegionRequest) -> Result<GetRegionResponse, Error> {
        let Region { country, currency, zone, pay_within, longest_days, horizon, unpaid_reservations, terms } =
            &*self.region;
        let region = proto::Region {
            country_code: country.clone(),
            currency_code: currency.to_string(),
            time_zone: zone.iana_name().unwrap_or_default().to_owned(),
            pay_within_minutes: (pay_within.as_secs() / 60) as i64,
            longest_days: i64::from(*longest_days),
            horizon_days: (horizon.as_secs() / 86_400) as i64,
            unpaid_reservations: *unpaid_reservations as i32,
            free_cancellation_hours: (terms.free_until.as_secs() / 3_600) as i32,
            cancellation_fee_percent: terms.kept_percent as i32,
            late_fee_per_hour: Some(terms.late_fee.into()),
        };
        Ok(GetRegionResponse { region: Some(region) })
    }

    async fn retire_car(&self, call: Call, request: RetireCarRequest) -> Result<RetireCarResponse, Error> {
        let car = call.parse(|fields| fields.id("car_id", &request.car_id))?;
        self.writer.handle(call.command(car, Command::Retire(car))).await?;
        Ok(RetireCarResponse {})
    }
}
