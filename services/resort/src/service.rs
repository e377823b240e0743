//! The gRPC API of resorts: parse, handle, answer.

use chassis::db::Database;
use chassis::runtime::Runtime;
use chassis::values::{Dates, Money};
use chassis::{Call, Error, Fields, Loader, Page, Writer};
use contracts::resort::v1::{self as proto, *};
use jiff::tz::TimeZone;
use prost::Message;

use crate::domain::{Claim, Command, Limits, Listing, MAX_OFFERED, Resort, ResortId};
use crate::store::{self, Filter};

/// Serves resorts.
#[derive(Clone)]
pub struct Service {
    /// Changes resorts.
    pub writer: Writer<Resort>,
    /// Loads resorts.
    pub loader: Loader<ResortId, Resort>,
    /// Lists resorts.
    pub database: Database,
    /// The clock and ids.
    pub runtime: Runtime,
    /// The time zone of resorts that give none.
    pub zone: TimeZone,
    /// Limits of holds.
    pub limits: Limits,
}

impl Service {
    fn listing(&self, fields: &mut Fields, resort: &proto::Resort) -> Option<Listing> {
        let name = fields.text("resort.name", &resort.name, 1..=100);
        let kind = fields.text("resort.kind", &resort.kind, 1..=50);
        let nightly_rate = Money::price(fields, "resort.nightly_rate", resort.nightly_rate.as_ref());
        let zone = match resort.time_zone.as_str() {
            "" => Some(self.zone.clone()),
            name => {
                // Only IANA names: a zone is stored by its name.
                let zone = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
                fields.take("resort.time_zone", zone.ok_or("must be an IANA name such as Asia/Seoul, or empty"))
            }
        };
        Some(Listing { name: name?, kind: kind?, nightly_rate: nightly_rate?, zone: zone? })
    }
}

fn offered(fields: &mut Fields, resort: &proto::Resort) -> Option<Vec<Dates>> {
    if !(1..=MAX_OFFERED).contains(&resort.offered.len()) {
        fields.violate("resort.offered", format!("must be 1 to {MAX_OFFERED} spans of dates"));
        return None;
    }
    let parsed = resort.offered.iter().enumerate();
    // Collected first, so that the answer contains every violation.
    let parsed: Vec<Option<Dates>> =
        parsed.map(|(index, dates)| Dates::parse(fields, &format!("resort.offered[{index}]"), Some(dates))).collect();
    parsed.into_iter().collect()
}

fn filter(fields: &mut Fields, request: &ListResortsRequest) -> Option<Filter> {
    let kind = match request.kind.as_str() {
        "" => Some(None),
        kind => fields.text("kind", kind, 1..=50).map(Some),
    };
    let max_nightly_rate = fields.optional("max_nightly_rate", Money::amount, request.max_nightly_rate.as_ref());
    let free = fields.optional("free_dates", Dates::parse, request.free_dates.as_ref());
    Some(Filter { kind: kind?, max_nightly_rate: max_nightly_rate?, free: free? })
}

impl ResortApi for Service {
    type Call = Call;
    type Error = Error;

    async fn register_resort(
        &self,
        call: Call,
        request: RegisterResortRequest,
    ) -> Result<RegisterResortResponse, Error> {
        let (listing, offered) = call.parse(|fields| {
            let resort = fields.required("resort", request.resort)?;
            let (listing, offered) = (self.listing(fields, &resort), offered(fields, &resort));
            Some((listing?, offered?))
        })?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let owner = call.caller.subject().to_owned();
        let answer = self.writer.handle(call.command(id, Command::Register(id, listing, offered, owner))).await?;
        Ok(RegisterResortResponse { resort: answer.resort })
    }

    async fn offer_dates(&self, call: Call, request: OfferDatesRequest) -> Result<OfferDatesResponse, Error> {
        let (id, dates) = call.parse(|fields| {
            let id = fields.id("resort_id", &request.resort_id);
            (id, Dates::parse(fields, "dates", request.dates.as_ref()))
        })?;
        let own = self.loader.get(id).await?.filter(|resort| call.is_staff_of(&resort.owner));
        own.ok_or_else(|| Error::not_found("resort", id))?;
        let answer = self.writer.handle(call.command(id, Command::Offer(dates))).await?;
        Ok(OfferDatesResponse { resort: answer.resort })
    }

    async fn transfer_resort(
        &self,
        call: Call,
        request: TransferResortRequest,
    ) -> Result<TransferResortResponse, Error> {
        let (id, owner) = call.parse(|fields| {
            let id = fields.id("resort_id", &request.resort_id);
            (id, fields.subject("owner_id", &request.owner_id))
        })?;
        let answer = self.writer.handle(call.command(id, Command::Transfer(owner))).await?;
        Ok(TransferResortResponse { resort: answer.resort })
    }

    async fn get_resort(&self, call: Call, request: GetResortRequest) -> Result<GetResortResponse, Error> {
        let id = call.parse(|fields| fields.id("resort_id", &request.resort_id))?;
        let resort = self.loader.get(id).await?.ok_or_else(|| Error::not_found("resort", id))?;
        Ok(GetResortResponse { resort: Some((&resort).into()) })
    }

    async fn list_resorts(&self, call: Call, request: ListResortsRequest) -> Result<ListResortsResponse, Error> {
        let asked = ListResortsRequest { page_size: 0, page_token: String::new(), ..request.clone() }.encode_to_vec();
        let (page, filter) = call.parse(|fields| {
            let page = Page::parse(fields, request.page_size, &request.page_token, &[&asked]);
            (page, filter(fields, &request))
        })?;
        let reader = self.database.reader().await?;
        let (resorts, next_page_token) = store::list(reader.tx(), &filter, &page).await?;
        Ok(ListResortsResponse { resorts, next_page_token })
    }

    async fn hold_dates(&self, call: Call, request: HoldDatesRequest) -> Result<HoldDatesResponse, Error> {
        let (id, stay, customer, dates, expected) = call.parse(|fields| {
            let (id, stay) = (fields.id("resort_id", &request.resort_id), fields.id("stay_id", &request.stay_id));
            let customer = fields.text("customer_id", &request.customer_id, 1..=128);
            let dates = Dates::parse(fields, "dates", request.dates.as_ref());
            let expected = fields.optional("expected_price", Money::price, request.expected_price.as_ref());
            (id, stay, customer, dates, expected)
        })?;
        let command = Command::Hold(stay, Claim { customer, dates }, self.limits, expected);
        let answer = self.writer.handle(call.command(id, command)).await?;
        Ok(HoldDatesResponse { hold: answer.hold })
    }
}
