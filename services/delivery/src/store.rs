//! Deliveries in a table, and the events that they publish.

use std::cmp::Reverse;

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::{Error, Page, Publication, Store, Timestamp, Tx, newest_rows, page_of_newest};
use contracts::delivery::v1::{self as proto, DeliveryState};

use crate::domain::{Command, Delivery, DeliveryId, Event, OrderId, Parcel, State};

chassis::table! {
    /// A delivery.
    deliveries (id) of Delivery as Row with version {
        id: DeliveryId as SqlUuid,
        order_id: OrderId as SqlUuid,
        courier: Option<String> as Nullable<Text>,
        created_at: Timestamp as SqlTime,
        started_at: Option<Timestamp> as Nullable<SqlTime>,
        completed_at: Option<Timestamp> as Nullable<SqlTime>,
        updated_at: Timestamp as SqlTime,
    }
    columns |delivery| {
        customer: String as Text = delivery.parcel.customer.clone(),
        product_name: String as Text = delivery.parcel.product_name.clone(),
        quantity: u32 as Integer = delivery.parcel.quantity,
        address: String as Text = delivery.parcel.address.clone(),
        state: Name<DeliveryState> as Text = Name(shown(delivery.state)),
    }
    fields |row, corrupt| {
        parcel: Parcel {
            customer: row.customer,
            product_name: row.product_name,
            quantity: row.quantity as u32,
            address: row.address,
        },
        state: match Name::parse(&row.state) {
            Some(DeliveryState::Prepared) => State::Prepared,
            Some(DeliveryState::Started) => State::Started,
            Some(DeliveryState::Completed) => State::Completed,
            Some(DeliveryState::Cancelled) => State::Cancelled,
            _ => return Err(corrupt("state")),
        },
    }
}

impl Store for Delivery {
    type Answer = proto::Delivery;

    chassis::flat!(Row in deliveries);

    fn answer(&self, _: &Command) -> proto::Delivery {
        self.into()
    }

    fn publish(&self, event: &Event) -> Option<Publication> {
        let (delivery, about) = (Some(proto::Delivery::from(self)), Publication::about(self.id, self.order_id.uuid()));
        match event {
            Event::Prepared(..) => about.publish(&proto::DeliveryPrepared { delivery }),
            Event::Started(..) => about.publish(&proto::DeliveryStarted { delivery }),
            Event::Completed(_) => about.publish(&proto::DeliveryCompleted { delivery }),
            // A cancellation that arrives before its order is answered, too.
            Event::Cancelled(_) | Event::Barred(..) => about.publish(&proto::DeliveryCancelled { delivery }),
            Event::CancellationRefused => about.publish(&proto::DeliveryCancellationRefused { delivery }),
        }
    }
}

/// A page of deliveries, newest first: those that a courier may start or has started, or all; in a state, or in any.
pub async fn list(
    tx: Tx<'_>,
    courier: Option<&str>,
    state: DeliveryState,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Delivery>, String), Error> {
    let shows_prepared = courier.is_some() && matches!(state, DeliveryState::Unspecified | DeliveryState::Prepared);
    let state = Name(state).specified();
    let mut rows = newest_rows!(
        tx, page, Row in deliveries by created_at;
        courier: deliveries::courier.eq(courier), state: deliveries::state.eq(state)
    )?;
    if shows_prepared {
        // Those have no courier yet. With `or` in one statement, no index would have the order of the page.
        let prepared = Some(Name(DeliveryState::Prepared).text());
        rows.extend(newest_rows!(
            tx, page, Row in deliveries by created_at; prepared: deliveries::state.eq(prepared)
        )?);
        rows.sort_by_key(|(at, row)| Reverse((*at, row.id)));
    }
    page_of_newest!(page, rows, |row: Row| (&row.read()?).into())
}

/// The state in the contract.
fn shown(state: State) -> DeliveryState {
    match state {
        State::Prepared => DeliveryState::Prepared,
        State::Started => DeliveryState::Started,
        State::Completed => DeliveryState::Completed,
        State::Cancelled => DeliveryState::Cancelled,
    }
}

impl From<&Delivery> for proto::Delivery {
    fn from(delivery: &Delivery) -> Self {
        let parcel = delivery.parcel.clone();
        proto::Delivery {
            delivery_id: delivery.id.to_string(),
            order_id: delivery.order_id.to_string(),
            customer_id: parcel.customer,
            product_name: parcel.product_name,
            quantity: parcel.quantity as i32,
            address: parcel.address,
            state: shown(delivery.state).into(),
            courier_id: delivery.courier.clone().unwrap_or_default(),
            create_time: Some(delivery.created_at.to_proto()),
            start_time: delivery.started_at.map(Timestamp::to_proto),
            complete_time: delivery.completed_at.map(Timestamp::to_proto),
            update_time: Some(delivery.updated_at.to_proto()),
        }
    }
}
