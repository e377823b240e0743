//! What customers and admins do, in a word each.

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

/// So many won.
pub fn won(amount_minor: i64) -> Money {
    Money { currency_code: "KRW".to_owned(), amount_minor }
}

/// A car that could be registered.
pub fn some_car(model: &str, daily_rate: Money) -> Car {
    let place = Place { name: "Gimpo Airport".to_owned(), ..Default::default() };
    Car { model: model.to_owned(), place: Some(place), daily_rate: Some(daily_rate), ..Default::default() }
}

impl Client {
    /// Registers a car for so many won a day, and waits until it can be reserved: `rental` hears of it a moment later.
    pub async fn new_car(&self, model: &str, won_a_day: i64) -> Car {
        let car = self.register(some_car(model, won(won_a_day))).await.unwrap();
        self.wait_until_reservable(&car).await;
        car
    }

    /// Registers a car.
    pub async fn register(&self, car: Car) -> Answer<Car> {
        let answer = self.send(RegisterCarRequest { car: Some(car), ..Default::default() }).await?;
        Ok(answer.car.unwrap())
    }

    /// Waits until `rental` knows the car: until the chronicle's story of it does not matter any more, and a reservation
    /// that can't be is refused for another reason than that there is no car.
    pub async fn wait_until_reservable(&self, car: &Car) {
        let probe = self.as_customer("probe");
        eventually("rental knows the car", async || {
            // A period of 80 days, cancelled at once, would do too; this leaves nothing behind.
            match probe.reserve(&car.car_id, super::period(600, 1)).await {
                Ok(reservation) => {
                    probe.cancel(&reservation).await.unwrap();
                    Some(())
                }
                Err(status) if status.code() == Code::NotFound => None,
                Err(_) => Some(()),
            }
        })
        .await;
    }
}
