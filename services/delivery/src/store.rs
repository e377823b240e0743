//! Deliveries in a table, and what others hear of them.

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::{Error, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::delivery::v1 as proto;

use crate::domain::{Command, Delivery, DeliveryId, Event, OrderId, Parcel, State};

diesel::table! {
    use chassis::db::sql_types::*;
    deliveries (id) {
        id -> SqlUuid,
        version -> BigInt,
        order_id -> SqlUuid,
        customer -> Text,
        product_name -> Text,
        quantity -> Integer,
        address -> Text,
        state -> Text,
        courier -> Nullable<Text>,
        created_at -> SqlTime,
        started_at -> Nullable<SqlTime>,
        completed_at -> Nullable<SqlTime>,
        updated_at -> SqlTime,
    }
}

chassis::rows! {
    /// A delivery, flat.
    struct Row in deliveries (id) {
        id: DeliveryId,
        version: i64,
        order_id: OrderId,
        customer: String,
        product_name: String,
        quantity: i32,
        address: String,
        state: String,
        courier: Option<String>,
        created_at: Timestamp,
        started_at: Option<Timestamp>,
        completed_at: Option<Timestamp>,
        updated_at: Timestamp,
    }
}

impl Store for Delivery {
    type Answer = proto::Delivery;

    chassis::flat!(Row in deliveries);

    fn answer(&self, _: &Command) -> proto::Delivery {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (delivery, id, flow) = (Some(proto::Delivery::from(self)), self.id, Some(self.order.uuid()));
        Some(match event {
            Event::Prepared(..) => Publication::of(&proto::DeliveryPrepared { delivery }, id, flow),
            Event::Started(..) => Publication::of(&proto::DeliveryStarted { delivery }, id, flow),
            Event::Completed(_) => Publication::of(&proto::DeliveryCompleted { delivery }, id, flow),
            // Who cancels before we have heard of the order waits for an answer, too.
            Event::Cancelled(_) | Event::Barred(..) => {
                Publication::of(&proto::DeliveryCancelled { delivery }, id, flow)
            }
            Event::CancellationRefused => Publication::of(&proto::DeliveryCancellationRefused { delivery }, id, flow),
        })
    }
}

/// A page of deliveries, newest first: those that a courier may start or has started, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    courier: Option<&str>,
    state: Option<State>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Delivery>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in deliveries by created_at;
        courier: deliveries::state.eq("prepared").or(deliveries::courier.assume_not_null().eq(courier)),
        state: deliveries::state.eq(name(state))
    );
    let deliveries = rows.into_iter().map(|row| Loaded::try_from(row).map(|loaded| (&loaded.state).into()));
    Ok((deliveries.collect::<Result<_, Error>>()?, next))
}

/// A state of the contract.
pub fn state_named(state: proto::DeliveryState) -> Option<State> {
    match state {
        proto::DeliveryState::Unspecified => None,
        proto::DeliveryState::Prepared => Some(State::Prepared),
        proto::DeliveryState::Started => Some(State::Started),
        proto::DeliveryState::Completed => Some(State::Completed),
        proto::DeliveryState::Cancelled => Some(State::Cancelled),
    }
}

fn name(state: State) -> &'static str {
    match state {
        State::Prepared => "prepared",
        State::Started => "started",
        State::Completed => "completed",
        State::Cancelled => "cancelled",
    }
}

impl Row {
    fn new(delivery: &Delivery, version: i64) -> Row {
        let Parcel { customer, product_name, quantity, address } = delivery.parcel.clone();
        Row {
            id: delivery.id,
            version,
            order_id: delivery.order,
            customer,
            product_name,
            quantity: quantity as i32,
            address,
            state: name(delivery.state).to_owned(),
            courier: delivery.courier.clone(),
            created_at: delivery.created,
            started_at: delivery.started,
            completed_at: delivery.completed,
            updated_at: delivery.updated,
        }
    }
}

impl TryFrom<Row> for Loaded<Delivery> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let states = [State::Prepared, State::Started, State::Completed, State::Cancelled];
        let state = states.into_iter().find(|state| name(*state) == row.state);
        let state = state.ok_or_else(|| Error::Internal(format!("delivery {}: corrupt state", row.id)))?;
        let parcel = Parcel {
            customer: row.customer,
            product_name: row.product_name,
            quantity: row.quantity as u32,
            address: row.address,
        };
        let state = Delivery {
            id: row.id,
            order: row.order_id,
            parcel,
            state,
            courier: row.courier,
            created: row.created_at,
            started: row.started_at,
            completed: row.completed_at,
            updated: row.updated_at,
        };
        Ok(Loaded { id: row.id, version: row.version, state })
    }
}

impl From<&Delivery> for proto::Delivery {
    fn from(delivery: &Delivery) -> Self {
        use proto::DeliveryState;
        let state = match delivery.state {
            State::Prepared => DeliveryState::Prepared,
            State::Started => DeliveryState::Started,
            State::Completed => DeliveryState::Completed,
            State::Cancelled => DeliveryState::Cancelled,
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_proto);
        let parcel = delivery.parcel.clone();
        proto::Delivery {
            delivery_id: delivery.id.to_string(),
            order_id: delivery.order.to_string(),
            customer_id: parcel.customer,
            product_name: parcel.product_name,
            quantity: parcel.quantity as i32,
            address: parcel.address,
            state: state.into(),
            courier_id: delivery.courier.clone().unwrap_or_default(),
            create_time: Some(delivery.created.to_proto()),
            start_time: time(delivery.started),
            complete_time: time(delivery.completed),
            update_time: Some(delivery.updated.to_proto()),
        }
    }
}
