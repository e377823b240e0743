//! The requests of customers and admins, one method each.

use contracts::chronicle::v1::{Event, GetFlowRequest};
use contracts::fleet::v1::{Car, CarStatus, GetCarRequest, RegisterCarRequest, RemoveCarRequest};
use contracts::money::v1::Money;
use contracts::mypage::v1::{CarRental, GetCarRentalRequest};
use contracts::notification::v1::{ListMessagesRequest, Message};
use contracts::payment::v1::{
    CancelPaymentRequest, ChargePaymentRequest, GetPaymentRequest, ListPaymentsRequest, Payment, PaymentState,
};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, GetReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReservationState,
    ReserveCarRequest, ReturnCarRequest,
};
use tonic::{Code, Status};

use super::client::Client;
use super::{GOOD_CARD, eventually};

type Answer<T> = Result<T, Status>;

/// This amount in won.
pub fn won(amount_minor: i64) -> Money {
    Money { currency_code: "KRW".to_owned(), amount_minor }
}

/// A valid car to register.
pub fn some_car(model: &str, daily_rate: Money) -> Car {
    let place = Place { name: "Gimpo Airport".to_owned(), ..Default::default() };
    Car { model: model.to_owned(), place: Some(place), daily_rate: Some(daily_rate), ..Default::default() }
}

impl Client {
    /// Registers a car for this daily rate in won.
    pub async fn new_car(&self, model: &str, won_a_day: i64) -> Car {
        self.register(some_car(model, won(won_a_day))).await.unwrap()
    }

    /// Registers a car.
    pub async fn register(&self, car: Car) -> Answer<Car> {
        Ok(self.send(RegisterCarRequest { car: Some(car), ..Default::default() }).await?.car.unwrap())
    }

    /// Removes a car.
    pub async fn remove(&self, car: &Car) -> Answer<Car> {
        let request = RemoveCarRequest { car_id: car.car_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.car.unwrap())
    }

    /// Gets a car.
    pub async fn car(&self, car: &Car) -> Answer<Car> {
        Ok(self.send(GetCarRequest { car_id: car.car_id.clone() }).await?.car.unwrap())
    }

    /// Waits until the car has the status.
    pub async fn sees(&self, car: &Car, status: CarStatus) -> Car {
        let what = format!("the {} to be {}", car.model, status.as_str_name());
        eventually(&what, async || self.car(car).await.ok().filter(|car| car.status() == status)).await
    }

    /// Reserves a car. Repeats the request until `rental` has received the event of the car.
    pub async fn reserve(&self, car: &Car, period: Period) -> Answer<Reservation> {
        let request = ReserveCarRequest { car_id: car.car_id.clone(), period: Some(period), ..Default::default() };
        let answer = eventually("rental knows the car", async || {
            let answer = self.send(request.clone()).await;
            let is_unknown = matches!(&answer, Err(status) if status.code() == Code::NotFound);
            (!is_unknown).then_some(answer)
        });
        Ok(answer.await?.reservation.unwrap())
    }

    /// Cancels a reservation.
    pub async fn cancel(&self, it: &Reservation) -> Answer<Reservation> {
        let request = CancelReservationRequest { reservation_id: it.reservation_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.reservation.unwrap())
    }

    /// Pays with a valid card.
    pub async fn rent(&self, it: &Reservation) -> Answer<Reservation> {
        self.rent_with(it, GOOD_CARD).await
    }

    /// Pays with this payment method.
    pub async fn rent_with(&self, it: &Reservation, payment_method: &str) -> Answer<Reservation> {
        let (reservation_id, payment_method) = (it.reservation_id.clone(), payment_method.to_owned());
        let request = RentCarRequest { reservation_id, payment_method, ..Default::default() };
        Ok(self.send(request).await?.reservation.unwrap())
    }

    /// Returns the car.
    pub async fn bring_back(&self, it: &Reservation) -> Answer<Reservation> {
        let request = ReturnCarRequest { reservation_id: it.reservation_id.clone(), ..Default::default() };
        Ok(self.send(request).await?.reservation.unwrap())
    }

    /// Rates the rental.
    pub async fn rate(&self, it: &Reservation, stars: i32) -> Answer<Reservation> {
        let request = RateRentalRequest { reservation_id: it.reservation_id.clone(), stars, ..Default::default() };
        Ok(self.send(request).await?.reservation.unwrap())
    }

    /// Gets a reservation.
    pub async fn reservation(&self, it: &Reservation) -> Answer<Reservation> {
        let request = GetReservationRequest { reservation_id: it.reservation_id.clone() };
        Ok(self.send(request).await?.reservation.unwrap())
    }

    /// Waits until the reservation is in the state.
    pub async fn sees_reservation(&self, it: &Reservation, state: ReservationState) -> Reservation {
        let what = format!("the reservation to be {}", state.as_str_name());
        eventually(&what, async || self.reservation(it).await.ok().filter(|found| found.state() == state)).await
    }

    /// The payment for a reservation, once `payment` has received the event.
    pub async fn payment_for(&self, it: &Reservation) -> Payment {
        let request = ListPaymentsRequest { purchase_id: it.reservation_id.clone(), ..Default::default() };
        eventually("the payment is requested", async || {
            let payments = self.send(request.clone()).await.unwrap().payments;
            assert!(payments.len() < 2, "there is one payment for a purchase");
            payments.into_iter().next()
        })
        .await
    }

    /// Gets a payment.
    pub async fn payment(&self, payment_id: &str) -> Answer<Payment> {
        let request = GetPaymentRequest { payment_id: payment_id.to_owned() };
        Ok(self.send(request).await?.payment.unwrap())
    }

    /// Waits until the payment for a reservation is in the state.
    pub async fn sees_payment(&self, it: &Reservation, state: PaymentState) -> Payment {
        let what = format!("the payment to be {}", state.as_str_name());
        eventually(&what, async || Some(self.payment_for(it).await).filter(|found| found.state() == state)).await
    }

    /// Pays a payment.
    pub async fn charge(&self, payment_id: &str, payment_method: &str) -> Answer<Payment> {
        let (payment_id, payment_method) = (payment_id.to_owned(), payment_method.to_owned());
        let request = ChargePaymentRequest { payment_id, payment_method, ..Default::default() };
        Ok(self.send(request).await?.payment.unwrap())
    }

    /// Cancels a payment.
    pub async fn cancel_payment(&self, payment_id: &str) -> Answer<Payment> {
        let request = CancelPaymentRequest { payment_id: payment_id.to_owned(), ..Default::default() };
        Ok(self.send(request).await?.payment.unwrap())
    }

    /// Gets the read model of a rental.
    pub async fn page(&self, it: &Reservation) -> Answer<CarRental> {
        let request = GetCarRentalRequest { reservation_id: it.reservation_id.clone() };
        Ok(self.send(request).await?.car_rental.unwrap())
    }

    /// Waits until the read model of a rental shows these states.
    pub async fn sees_page(&self, it: &Reservation, rental: ReservationState, payment: PaymentState) -> CarRental {
        let what = format!("the read model to show {} and {}", rental.as_str_name(), payment.as_str_name());
        let shows = |page: &CarRental| page.rental_state() == rental && page.payment_state() == payment;
        eventually(&what, async || self.page(it).await.ok().filter(shows)).await
    }

    /// The messages about a flow, oldest first.
    pub async fn messages_of(&self, flow_id: &str) -> Vec<Message> {
        let request = ListMessagesRequest { flow_id: flow_id.to_owned(), ..Default::default() };
        let mut messages = self.send(request).await.unwrap().messages;
        messages.reverse();
        messages
    }

    /// The messages about a reservation, oldest first.
    pub async fn messages(&self, it: &Reservation) -> Vec<Message> {
        self.messages_of(&it.reservation_id).await
    }

    /// Waits until these, in some order, are the topics of the messages about a reservation.
    pub async fn is_notified(&self, it: &Reservation, topics: &[&str]) {
        self.is_notified_of_flow(&it.reservation_id, topics).await;
    }

    /// Waits until these, in some order, are the topics of the messages about a flow.
    pub async fn is_notified_of_flow(&self, flow_id: &str, topics: &[&str]) {
        let mut expected = topics.to_vec();
        expected.sort_unstable();
        eventually(&format!("the messages {topics:?}"), async || {
            let messages = self.messages_of(flow_id).await;
            let mut topics: Vec<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
            topics.sort_unstable();
            (topics == expected).then_some(())
        })
        .await;
    }

    /// Waits for a message about a flow under a topic, and returns its text.
    pub async fn is_told(&self, flow_id: &str, topic: &str) -> String {
        eventually(&format!("the message {topic}"), async || {
            self.messages_of(flow_id).await.into_iter().find(|message| message.topic == topic)
        })
        .await
        .text
    }

    /// The events of a flow so far.
    pub async fn flow(&self, flow_id: &str) -> Vec<Event> {
        let request = GetFlowRequest { flow_id: flow_id.to_owned() };
        self.send(request).await.map(|answer| answer.events).unwrap_or_default()
    }
}
