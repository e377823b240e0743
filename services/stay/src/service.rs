//! The gRPC API of stays: parse, call the resort, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::{Currency, Dates, Money, Period};
use chassis::{Call, Error, Loader, Page, PeerClient, Store as _, Timestamp, Writer};
use contracts::resort::v1::resort_service_client::ResortServiceClient;
use contracts::resort::v1::{Hold, HoldDatesRequest};
use contracts::stay::v1::{self as proto, *};

use crate::domain::{Booking, Command, Refusal, ResortId, Stay, StayId, Terms};
use crate::store;

/// Serves stays.
#[derive(Clone)]
pub struct Service {
    /// Changes stays.
    pub writer: Writer<Stay>,
    /// Loads stays.
    pub loader: Loader<StayId, Stay>,
    /// Lists stays.
    pub database: Database,
    /// Holds dates.
    pub resort: PeerClient,
    /// The clock and ids.
    pub runtime: Runtime,
    /// The terms of reservations.
    pub terms: Terms,
}

/// The parsed request for a new stay.
struct Wanted {
    resort: ResortId,
    dates: Dates,
    expected_price: Option<Money>,
}

impl Service {
    async fn reserve(&self, call: &Call, wanted: Wanted) -> Result<proto::Stay, Error> {
        // A repeated request finds the hold of its first attempt, and no other.
        let id = self.runtime.id_for(call.key);
        self.may_reserve(call).await?;
        let booking = self.hold(call, id, wanted).await?;
        self.writer.handle(call.command(id, Command::Reserve(id, booking, self.terms))).await
    }

    /// Whether the customer may have one more unpaid stay. Checked first, so that no dates are held in vain.
    async fn may_reserve(&self, call: &Call) -> Result<(), Error> {
        let reader = self.database.reader().await?;
        let unpaid = Stay::usage(reader.tx(), &[call.caller.subject().to_owned()]).await?.len();
        if unpaid < self.terms.unpaid { Ok(()) } else { Err(Error::refused(&Refusal::TooManyStays)) }
    }

    /// Calls the resort to hold the dates. If this process crashes after that, the hold lapses.
    async fn hold(&self, call: &Call, id: StayId, wanted: Wanted) -> Result<Booking, Error> {
        let request = HoldDatesRequest {
            // The stay id is the idempotency key.
            request_id: String::new(),
            resort_id: wanted.resort.to_string(),
            stay_id: id.to_string(),
            customer_id: call.caller.subject().to_owned(),
            dates: Some(wanted.dates.into()),
            expected_price: wanted.expected_price.map(Into::into),
        };
        let held = self.resort.call(Some(call), request, |transport, request| async move {
            ResortServiceClient::new(transport).hold_dates(request).await
        });
        let away = "resorts can't be reserved at the moment; nothing was reserved: come back in a while";
        let hold = held.await.map_err(|none| none.into_error("RESORT_AWAY", away))?.hold;
        let booking = hold.and_then(|hold| booking(hold, call.caller.subject()));
        booking.ok_or_else(|| Error::Internal("resort answered without a hold".into()))
    }

    /// The stay, if the caller may see it.
    async fn visible(&self, call: &Call, id: StayId) -> Result<Stay, Error> {
        let sees = |stay: &Stay| call.is_staff || call.caller.is(&stay.booking.customer);
        self.loader.get(id).await?.filter(sees).ok_or_else(|| Error::not_found("stay", id))
    }
}

/// What the resort holds; `None` if its answer breaks its contract.
fn booking(hold: Hold, customer: &str) -> Option<Booking> {
    let time = |time: Option<_>| Timestamp::from_proto(&time?);
    let price = hold.price?;
    Some(Booking {
        customer: customer.to_owned(),
        resort: hold.resort_id.parse().ok()?,
        resort_name: hold.resort_name,
        dates: Dates::from_proto(&hold.dates?)?,
        period: Period { start: time(hold.begin_time)?, end: time(hold.end_time)? },
        time_zone: hold.time_zone,
        price: Money { minor: price.amount_minor, currency: Currency::parse(&price.currency_code)? },
    })
}

impl StayApi for Service {
    type Call = Call;
    type Error = Error;

    async fn reserve_stay(&self, call: Call, request: ReserveStayRequest) -> Result<ReserveStayResponse, Error> {
        let wanted = call.parse(|fields| {
            let resort = fields.id("resort_id", &request.resort_id);
            let dates = Dates::parse(fields, "dates", request.dates.as_ref());
            let expected = fields.optional("expected_price", Money::price, request.expected_price.as_ref());
            Some(Wanted { resort: resort?, dates: dates?, expected_price: expected? })
        })?;
        let stay = self.writer.once(call.key, self.reserve(&call, wanted)).await?;
        Ok(ReserveStayResponse { stay: Some(stay) })
    }

    async fn cancel_stay(&self, call: Call, request: CancelStayRequest) -> Result<CancelStayResponse, Error> {
        let id = call.parse(|fields| fields.id("stay_id", &request.stay_id))?;
        let customer = self.visible(&call, id).await?.booking.customer;
        let by = call.intervention(&customer, &request.reason, self.runtime.now())?;
        let stay = self.writer.handle(call.command(id, Command::Cancel(by))).await?;
        Ok(CancelStayResponse { stay: Some(stay) })
    }

    async fn get_stay(&self, call: Call, request: GetStayRequest) -> Result<GetStayResponse, Error> {
        let id = call.parse(|fields| fields.id("stay_id", &request.stay_id))?;
        let stay = self.visible(&call, id).await?;
        Ok(GetStayResponse { stay: Some((&stay).into()) })
    }

    async fn list_stays(&self, call: Call, request: ListStaysRequest) -> Result<ListStaysResponse, Error> {
        let customer = call.own();
        let filter = [customer.unwrap_or_default().as_bytes(), &request.state.to_be_bytes()];
        let (page, state) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &filter);
            (page, fields.value("state", request.state))
        })?;
        let reader = self.database.reader().await?;
        let (stays, next_page_token) = store::list(reader.tx(), customer, state, &page).await?;
        Ok(ListStaysResponse { stays, next_page_token })
    }
}
