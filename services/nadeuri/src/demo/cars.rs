//! A day of car rental.

use std::time::Duration;

use anyhow::Context as _;
use chassis::clock::Clock;
use contracts::fleet::v1::{Car, CarStatus, GetCarRequest, RegisterCarRequest};
use contracts::money::v1::Money;
use contracts::mypage::v1::{CarRental, GetCarRentalRequest};
use contracts::payment::v1::{CancelPaymentRequest, PaymentState};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReservationState, ReserveCarRequest,
    ReturnCarRequest,
};

use super::{Day, wait};

impl Day {
    /// Runs it, and returns the flow id of a rental.
    pub(super) async fn play_cars(&self) -> anyhow::Result<String> {
        println!("MORNING. The company gets cars.");
        let casper = self.register("Hyundai Casper", 54_000).await?;
        let ioniq = self.register("Hyundai Ioniq 5", 98_000).await?;

        println!("\nMina wants the Casper for three days; Jun wants it for one of them.");
        let trip = self.reserve("mina", &casper, 0, 72).await?;
        let refused = self.reserve("jun", &casper, 24, 24).await.err().context("two customers got one car")?;
        println!("  jun is refused: {refused}");

        println!("\nMina pays. Her first card is declined, the reservation is kept, her second card works.");
        let refused = self.rent("mina", &trip, "sandbox-decline").await.err().context("a declined card paid")?;
        println!("  mina is refused: {refused}");
        self.rent("mina", &trip, "sandbox-approve").await?;
        self.wait_for_status(&casper, CarStatus::Rented).await?;

        println!("\nJun takes the other car, and changes his mind before he pays: it is free again.");
        let second = self.reserve("jun", &ioniq, 24, 24).await?;
        self.wait_for_status(&ioniq, CarStatus::Reserved).await?;
        let request = CancelReservationRequest { reservation_id: second.reservation_id, ..Default::default() };
        say_state("jun", self.ask("jun", request).await?.reservation)?;
        self.wait_for_status(&ioniq, CarStatus::Available).await?;

        println!("\nSora rents it, and then wants her money back: the rental is cancelled, the money refunded.");
        let third = self.reserve("sora", &ioniq, 24, 24).await?;
        let rented = self.rent("sora", &third, "sandbox-approve").await?;
        let request = CancelPaymentRequest { payment_id: rented.payment_id, ..Default::default() };
        self.ask("sora", request).await?;
        let is_refunded = |view: &CarRental| view.payment_state() == PaymentState::Cancelled;
        let view = self.wait_for_view("sora", &third, is_refunded).await?;
        println!("  sora's page: {} and {}", view.rental_state().as_str_name(), view.payment_state().as_str_name());
        self.wait_for_status(&ioniq, CarStatus::Available).await?;

        println!("\nEVENING. Mina brings the Casper back and gives five stars.");
        self.bring_back("mina", &trip, 5).await?;
        let is_done = |view: &CarRental| view.stars == 5 && view.payment_state() == PaymentState::Settled;
        self.wait_for_view("mina", &trip, is_done).await?;
        let car = self.wait_for_status(&casper, CarStatus::Available).await?;
        println!("  the {} has {} stars on average", car.model, car.average_stars);
        Ok(trip.reservation_id)
    }

    async fn register(&self, model: &str, won_a_day: i64) -> anyhow::Result<Car> {
        let money = Money { currency_code: "KRW".to_owned(), amount_minor: won_a_day };
        let place = Place { name: "Gimpo Airport".to_owned(), ..Default::default() };
        let car = Car { model: model.to_owned(), place: Some(place), daily_rate: Some(money), ..Default::default() };
        let request = RegisterCarRequest { car: Some(car), ..Default::default() };
        let car = self.ask("admin", request).await?.car.context("no car in the answer")?;
        println!("  {model} for {won_a_day} won a day: car {}", car.car_id);
        Ok(car)
    }

    /// Reserves a car. `rental` receives the event of a new car a moment later.
    async fn reserve(&self, who: &str, car: &Car, in_hours: u64, hours: u64) -> anyhow::Result<Reservation> {
        let start = Clock::system().now() + Duration::from_secs(in_hours * 3_600);
        let end = start + Duration::from_secs(hours * 3_600);
        let period = Period { start_time: Some(start.to_proto()), end_time: Some(end.to_proto()) };
        let request = ReserveCarRequest { car_id: car.car_id.clone(), period: Some(period), ..Default::default() };
        let reserved =
            wait(format!("the {} to be known", car.model), async || match self.ask(who, request.clone()).await {
                Err(error) if error.reason() == "CAR_NOT_FOUND" => Ok(None),
                reserved => Ok(Some(reserved?)),
            });
        let reservation = reserved.await?.reservation.context("no reservation in the answer")?;
        let price = reservation.price.as_ref().map_or(0, |price| price.amount_minor);
        println!(
            "  {who} reserves the {} for {} days: {price} won, reservation {}",
            car.model, reservation.days, reservation.reservation_id
        );
        Ok(reservation)
    }

    async fn rent(&self, who: &str, reservation: &Reservation, method: &str) -> anyhow::Result<Reservation> {
        let reservation_id = reservation.reservation_id.clone();
        let request = RentCarRequest { reservation_id, payment_method: method.to_owned(), ..Default::default() };
        say_state(who, self.ask(who, request).await?.reservation)
    }

    async fn bring_back(&self, who: &str, reservation: &Reservation, stars: i32) -> anyhow::Result<()> {
        let reservation_id = reservation.reservation_id.clone();
        let request = ReturnCarRequest { reservation_id: reservation_id.clone(), ..Default::default() };
        say_state(who, self.ask(who, request).await?.reservation)?;
        self.ask(who, RateRentalRequest { reservation_id, stars, ..Default::default() }).await?;
        Ok(())
    }

    async fn wait_for_status(&self, car: &Car, status: CarStatus) -> anyhow::Result<Car> {
        let request = GetCarRequest { car_id: car.car_id.clone() };
        let has_status = |car: &Car| car.status() == status;
        let car = self.wait_for("admin", request, |answer| answer.car.filter(has_status)).await?;
        println!("  the {} is {}", car.model, status.as_str_name());
        Ok(car)
    }

    async fn wait_for_view(
        &self,
        who: &str,
        reservation: &Reservation,
        is_so: impl Fn(&CarRental) -> bool,
    ) -> anyhow::Result<CarRental> {
        let request = GetCarRentalRequest { reservation_id: reservation.reservation_id.clone() };
        self.wait_for(who, request, |answer| answer.car_rental.filter(&is_so)).await
    }
}

fn say_state(who: &str, reservation: Option<Reservation>) -> anyhow::Result<Reservation> {
    let reservation = reservation.context("no reservation in the answer")?;
    let state = ReservationState::try_from(reservation.state)?;
    println!("  {who}'s reservation is {}", state.as_str_name());
    Ok(reservation)
}
