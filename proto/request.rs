//! Traits of requests, for generic code in callers, servers and tests. `build.rs` implements them for the request
//! message of every RPC, from the descriptors.

use std::fmt::Debug;

use crate::Rpc;

/// A request message of an RPC.
pub trait Request: prost::Message + prost::Name + Clone + Default + PartialEq + Debug + 'static {
    /// The response message; for a streaming RPC, the message in the stream.
    type Response: prost::Message + prost::Name + Clone + Default + PartialEq + Debug + 'static;
    /// The RPC, with its path, roles and idempotency.
    const RPC: &'static Rpc;
    /// The context that serves it, such as `rental`.
    const CONTEXT: &'static str;

    /// The request id, empty if none is set; `None` if the message has no such field.
    fn request_id(&self) -> Option<&str>;

    /// Sets the request id, if the message has the field.
    fn set_request_id(&mut self, id: String);

    /// Calls `visit` with each id of a resource: each string field named `id`, `*_id` or `*_ids`, also of nested messages,
    /// but not the request id. Two requests that differ only in how their UUIDs are spelled are made equal by this.
    fn visit_ids(&mut self, visit: &mut dyn FnMut(&mut String));
}

/// The call of a request: caller, deadline and request id.
pub trait Extract: Sized {
    /// Splits a request into call and message.
    fn extract<M: Request>(request: tonic::Request<M>) -> Result<(Self, M), tonic::Status>;
}

/// An enum of the contracts.
pub trait Enumeration: Copy + Debug + PartialEq + Send + Sync + TryFrom<i32> + Into<i32> + 'static {
    /// The prefix of the names of its values, such as `CAR_STATUS_`.
    const PREFIX: &'static str;
    /// The name of the value in the contract, such as `CAR_STATUS_IN_USE`.
    fn name(&self) -> &'static str;
    /// The value with this name.
    fn from_name(name: &str) -> Option<Self>;
}

/// A request with one response.
pub trait Unary: Request {}

/// A request that is answered with a stream.
pub trait Streaming: Request {}

/// A list request, whose response is one page.
pub trait Paged: Unary {
    /// The type of the items.
    type Item;

    /// Sets the maximum number of items.
    fn set_page_size(&mut self, size: i32);

    /// Sets the token of the requested page.
    fn set_page_token(&mut self, token: String);

    /// The items of a page, and the token of the next one, which is empty on the last page.
    fn page(response: Self::Response) -> (Vec<Self::Item>, String);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Idempotency, RPCS, chronicle, fleet, place, rental};

    fn ids(mut request: impl Request) -> Vec<String> {
        let mut found = Vec::new();
        request.visit_ids(&mut |id| found.push(id.clone()));
        found
    }

    #[test]
    fn a_request_knows_its_rpc() {
        let rpc = <rental::v1::ReserveCarRequest as Request>::RPC;
        assert_eq!(rpc.path, "/nadeuri.rental.v1.RentalService/ReserveCar");
        assert_eq!(rpc.idempotency, Idempotency::Idempotent);
        assert_eq!(<rental::v1::ReserveCarRequest as Request>::CONTEXT, "rental");
        assert!(RPCS.iter().any(|other| other.path == rpc.path));
    }

    #[test]
    fn only_requests_with_the_field_take_a_request_id() {
        let mut change = rental::v1::ReserveCarRequest::default();
        assert_eq!(change.request_id(), Some(""));
        change.set_request_id("mine".to_owned());
        assert_eq!(change.request_id(), Some("mine"));
        let mut read = rental::v1::GetReservationRequest::default();
        read.set_request_id("mine".to_owned());
        assert_eq!(read.request_id(), None);
    }

    #[test]
    fn ids_are_visited_wherever_they_are_but_not_the_request_id() {
        let reserve = rental::v1::ReserveCarRequest {
            request_id: "r".to_owned(),
            car_id: "c".to_owned(),
            ..rental::v1::ReserveCarRequest::default()
        };
        assert_eq!(ids(reserve), ["c"]);
        let car = fleet::v1::Car {
            car_id: "nested".to_owned(),
            place: Some(place::v1::Place::default()),
            ..fleet::v1::Car::default()
        };
        assert_eq!(
            ids(fleet::v1::RegisterCarRequest { car: Some(car), ..Default::default() }),
            ["nested", ""],
            "the car and its owner"
        );
        assert_eq!(ids(chronicle::v1::WatchEventsRequest::default()), [""; 0]);
    }

    #[test]
    fn a_page_is_its_items_and_the_next_token() {
        let mut request = fleet::v1::ListCarsRequest::default();
        request.set_page_token("2".to_owned());
        assert_eq!(request.page_token, "2");
        let cars = vec![fleet::v1::Car::default()];
        let response = fleet::v1::ListCarsResponse { cars: cars.clone(), next_page_token: "3".to_owned() };
        assert_eq!(fleet::v1::ListCarsRequest::page(response), (cars, "3".to_owned()));
    }
}
