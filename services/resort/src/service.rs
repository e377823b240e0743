//! The gRPC face of resorts: parse, handle, answer.

use chassis::db::Database;
use chassis::values::{Dates, Money};
use chassis::runtime::Runtime;
use chassis::{Call, Error, Fields, Loader, Page, Writer, all};
use contracts::resort::v1 as proto;
use contracts::resort::v1::resort_service_server::ResortService;
use jiff::tz::TimeZone;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::domain::{Claim, Command, Limits, Listing, MAX_OFFERED, Resort, ResortId};
use crate::store::{self, Filter};

/// Serves resorts.
#[derive(Clone)]
pub struct Service {
    /// Changes resorts.
    pub writer: Writer<Resort>,
    /// Finds resorts.
    pub loader: Loader<ResortId, proto::Resort>,
    /// Lists resorts.
    pub database: Database,
    /// Time and chance.
    pub runtime: Runtime,
    /// Where resorts are that don't say.
    pub zone: TimeZone,
    /// What limits holds.
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
                // Only the names that IANA knows: a zone must have a name to be kept by.
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
    // Collected first, so that all that is wrong is told.
    let parsed: Vec<Option<Dates>> =
        parsed.map(|(index, dates)| Dates::parse(fields, &format!("resort.offered[{index}]"), Some(dates))).collect();
    parsed.into_iter().collect()
}

fn filter(fields: &mut Fields, request: &proto::ListResortsRequest) -> Option<Filter> {
    let kind = match request.kind.as_str() {
        "" => Some(None),
        kind => fields.text("kind", kind, 1..=50).map(Some),
    };
    let max_nightly_rate = match &request.max_nightly_rate {
        None => Some(None),
        money => Money::amount(fields, "max_nightly_rate", money.as_ref()).map(Some),
    };
    let free = match &request.free_dates {
        None => Some(None),
        dates => Dates::parse(fields, "free_dates", dates.as_ref()).map(Some),
    };
    Some(Filter { kind: kind?, max_nightly_rate: max_nightly_rate?, free: free? })
}

#[tonic::async_trait]
impl ResortService for Service {
    async fn register_resort(
        &self,
        request: Request<proto::RegisterResortRequest>,
    ) -> Result<Response<proto::RegisterResortResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let resort = fields.required("resort", request.resort).and_then(|resort| {
            let (listing, offered) = (self.listing(&mut fields, &resort), offered(&mut fields, &resort));
            Some((listing?, offered?))
        });
        let (key, (listing, offered)) = fields.finish(all!(key, resort))?;
        let id = self.runtime.ids.mint(self.runtime.now());
        let answer = self.writer.handle(call.command(id, Command::Register(id, listing, offered), key)).await?;
        Ok(Response::new(proto::RegisterResortResponse { resort: answer.resort }))
    }

    async fn offer_dates(
        &self,
        request: Request<proto::OfferDatesRequest>,
    ) -> Result<Response<proto::OfferDatesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("resort_id", &request.resort_id);
        let dates = Dates::parse(&mut fields, "dates", request.dates.as_ref());
        let (key, id, dates) = fields.finish(all!(key, id, dates))?;
        let answer = self.writer.handle(call.command(id, Command::Offer(dates), key)).await?;
        Ok(Response::new(proto::OfferDatesResponse { resort: answer.resort }))
    }

    async fn get_resort(
        &self,
        request: Request<proto::GetResortRequest>,
    ) -> Result<Response<proto::GetResortResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let id = fields.id("resort_id", &request.resort_id);
        let id = fields.finish(id)?;
        let resort = self.loader.get(id).await?.ok_or_else(|| Error::not_found("resort", id))?;
        Ok(Response::new(proto::GetResortResponse { resort: Some(resort) }))
    }

    async fn list_resorts(
        &self,
        request: Request<proto::ListResortsRequest>,
    ) -> Result<Response<proto::ListResortsResponse>, Status> {
        let (_, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let asked = proto::ListResortsRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page = Page::parse(&mut fields, request.page_size, &request.page_token, &[&asked.encode_to_vec()]);
        let filter = filter(&mut fields, &request);
        let (page, filter) = fields.finish(all!(page, filter))?;
        let reader = self.database.reader().await?;
        let (resorts, next_page_token) = store::list(reader.tx(), &filter, &page).await?;
        Ok(Response::new(proto::ListResortsResponse { resorts, next_page_token }))
    }

    async fn hold_dates(
        &self,
        request: Request<proto::HoldDatesRequest>,
    ) -> Result<Response<proto::HoldDatesResponse>, Status> {
        let (call, request) = Call::take(request)?;
        let mut fields = Fields::new();
        let key = fields.key(&call, &request.request_id, &request);
        let id = fields.id("resort_id", &request.resort_id);
        let stay = fields.id("stay_id", &request.stay_id);
        let customer = fields.text("customer_id", &request.customer_id, 1..=128);
        let dates = Dates::parse(&mut fields, "dates", request.dates.as_ref());
        let (key, id, stay, customer, dates) = fields.finish(all!(key, id, stay, customer, dates))?;
        let command = Command::Hold(stay, Claim { customer, dates }, self.limits);
        let answer = self.writer.handle(call.command(id, command, key)).await?;
        Ok(Response::new(proto::HoldDatesResponse { hold: answer.hold }))
    }
}
