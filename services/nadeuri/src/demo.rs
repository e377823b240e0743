//! `nadeuri demo`: plays a day of the company over gRPC, on a running server or one that it starts, and tells what happens.
//!
//! It does what clients do, nothing else: every line that it prints comes from an answer.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chassis::auth::{Roles, Signer};
use chassis::clock::Clock;
use clap::{Args, Parser};
use contracts::Role;
use contracts::chronicle::v1::{GetFlowRequest, chronicle_service_client::ChronicleServiceClient};
use contracts::fleet::v1::{
    Car, CarStatus, GetCarRequest, RegisterCarRequest, fleet_service_client::FleetServiceClient,
};
use contracts::money::v1::Money;
use contracts::mypage::v1::{CarRental, GetCarRentalRequest, mypage_service_client::MypageServiceClient};
use contracts::notification::v1::{ListMessagesRequest, notification_service_client::NotificationServiceClient};
use contracts::payment::v1::{CancelPaymentRequest, PaymentState, payment_service_client::PaymentServiceClient};
use contracts::period::v1::Period;
use contracts::place::v1::Place;
use contracts::rental::v1::{
    CancelReservationRequest, RateRentalRequest, RentCarRequest, Reservation, ReservationState, ReserveCarRequest,
    ReturnCarRequest, rental_service_client::RentalServiceClient,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::operate::Target;
use crate::options::ServeOptions;
use crate::serve::Served;

/// How long an answer, or what follows from it, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where to play.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The server; if none is running there, the demo starts one of its own on a temporary folder.
    #[arg(long, env = "NADEURI_SERVER", default_value = "http://127.0.0.1:50051")]
    server: String,

    /// The key (`nadeuri token` makes one) of a server that checks tokens.
    #[arg(long)]
    identity: Option<PathBuf>,
}

/// Plays the day.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let signer = options.identity.as_deref().map(|path| Signer::open(path, "nadeuri")).transpose()?;
    let target = Target { server: options.server.clone(), token: None };
    if let Ok(channel) = target.connect().await {
        println!("on the server at {}\n", options.server);
        return Day { channel, signer }.play().await;
    }
    let folder = std::env::temp_dir().join(format!("nadeuri-demo-{}", std::process::id()));
    println!("no server answers at {}, so the demo starts its own, in {}\n", options.server, folder.display());
    let served = Served::start(&own_server(&folder)).await?;
    let target = Target { server: format!("http://{}", served.address), token: None };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(served.until(async {
        // It also stops when the demo fails and the sender is dropped.
        let _ = stopped.await;
    }));
    let played = Day { channel: target.connect().await?, signer }.play().await;
    drop(stop);
    server.await??;
    std::fs::remove_dir_all(&folder)?;
    played
}

fn own_server(folder: &std::path::Path) -> ServeOptions {
    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        options: ServeOptions,
    }
    let folder = folder.display().to_string();
    Parsed::parse_from(["demo", "--listen", "127.0.0.1:0", "--data", &folder]).options
}

struct Day {
    channel: Channel,
    signer: Option<Signer>,
}

impl Day {
    async fn play(&self) -> anyhow::Result<()> {
        println!("MORNING. The company gets cars.");
        let casper = self.register("Hyundai Casper", 54_000).await?;
        let ioniq = self.register("Hyundai Ioniq 5", 98_000).await?;

        println!("\nMina wants the Casper for three days; Jun wants it for one of them.");
        let trip = self.reserve("mina", &casper, 24, 72).await?;
        let refused = self.reserve("jun", &casper, 48, 24).await.err().context("two customers got one car")?;
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
        let cancelled =
            RentalServiceClient::new(self.channel.clone()).cancel_reservation(self.by("jun", request)?).await;
        say_state("jun", taken(cancelled)?.reservation)?;
        self.wait_for_status(&ioniq, CarStatus::Available).await?;

        println!("\nSora rents it, and then wants her money back: the rental is cancelled, the money refunded.");
        let third = self.reserve("sora", &ioniq, 24, 24).await?;
        let rented = self.rent("sora", &third, "sandbox-approve").await?;
        let request = CancelPaymentRequest { payment_id: rented.payment_id, ..Default::default() };
        taken(PaymentServiceClient::new(self.channel.clone()).cancel_payment(self.by("sora", request)?).await)?;
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

        self.tell_messages("mina").await?;
        self.tell_story(&trip).await
    }

    async fn register(&self, model: &str, won_a_day: i64) -> anyhow::Result<Car> {
        let money = Money { currency_code: "KRW".to_owned(), amount_minor: won_a_day };
        let place = Place { name: "Gimpo Airport".to_owned(), ..Default::default() };
        let car = Car { model: model.to_owned(), place: Some(place), daily_rate: Some(money), ..Default::default() };
        let request = self.by("admin", RegisterCarRequest { car: Some(car), ..Default::default() })?;
        let car = taken(FleetServiceClient::new(self.channel.clone()).register_car(request).await)?.car;
        let car = car.context("no car in the answer")?;
        println!("  {model} for {won_a_day} won a day: car {}", car.car_id);
        Ok(car)
    }

    /// Reserves a car. `rental` hears of a new car a moment after `fleet` has it.
    async fn reserve(&self, who: &str, car: &Car, in_hours: u64, hours: u64) -> anyhow::Result<Reservation> {
        let start = Clock::system().now() + Duration::from_secs(in_hours * 3_600);
        let end = start + Duration::from_secs(hours * 3_600);
        let period = Period { start_time: Some(start.to_proto()), end_time: Some(end.to_proto()) };
        let until = tokio::time::Instant::now() + PATIENCE;
        let reserved = loop {
            let request = ReserveCarRequest { car_id: car.car_id.clone(), period: Some(period), ..Default::default() };
            let reserved = RentalServiceClient::new(self.channel.clone()).reserve_car(self.by(who, request)?).await;
            let is_unknown = matches!(&reserved, Err(status) if status.code() == tonic::Code::NotFound);
            if !is_unknown || tokio::time::Instant::now() > until {
                break reserved;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let reservation = taken(reserved)?.reservation.context("no reservation in the answer")?;
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
        let rented = RentalServiceClient::new(self.channel.clone()).rent_car(self.by(who, request)?).await;
        say_state(who, taken(rented)?.reservation)
    }

    async fn bring_back(&self, who: &str, reservation: &Reservation, stars: i32) -> anyhow::Result<()> {
        let mut client = RentalServiceClient::new(self.channel.clone());
        let reservation_id = reservation.reservation_id.clone();
        let request = ReturnCarRequest { reservation_id: reservation_id.clone(), ..Default::default() };
        say_state(who, taken(client.return_car(self.by(who, request)?).await)?.reservation)?;
        let request = RateRentalRequest { reservation_id, stars, ..Default::default() };
        taken(client.rate_rental(self.by(who, request)?).await).map(drop)
    }

    async fn wait_for_status(&self, car: &Car, status: CarStatus) -> anyhow::Result<Car> {
        let car = wait(format!("the car to be {}", status.as_str_name()), async || {
            let request = self.by("admin", GetCarRequest { car_id: car.car_id.clone() })?;
            let car = taken(FleetServiceClient::new(self.channel.clone()).get_car(request).await)?.car;
            Ok(car.filter(|car| car.status() == status))
        });
        let car = car.await?;
        println!("  the {} is {}", car.model, status.as_str_name());
        Ok(car)
    }

    async fn wait_for_view(
        &self,
        who: &str,
        reservation: &Reservation,
        is_so: impl Fn(&CarRental) -> bool,
    ) -> anyhow::Result<CarRental> {
        wait(format!("{who}'s page"), async || {
            let reservation_id = reservation.reservation_id.clone();
            let request = self.by(who, GetCarRentalRequest { reservation_id })?;
            let view = MypageServiceClient::new(self.channel.clone()).get_car_rental(request).await;
            Ok(view.ok().and_then(|view| view.into_inner().car_rental).filter(|view| is_so(view)))
        })
        .await
    }

    async fn tell_messages(&self, who: &str) -> anyhow::Result<()> {
        println!("\nWhat {who} was told:");
        let request = self.by(who, ListMessagesRequest::default())?;
        let listed = NotificationServiceClient::new(self.channel.clone()).list_messages(request).await;
        for message in taken(listed)?.messages.iter().rev() {
            println!("  {}", message.text);
        }
        Ok(())
    }

    async fn tell_story(&self, reservation: &Reservation) -> anyhow::Result<()> {
        println!("\nThe story of the flow {}, as the chronicle tells it:", reservation.reservation_id);
        let request = GetFlowRequest { flow_id: reservation.reservation_id.clone() };
        let flow = ChronicleServiceClient::new(self.channel.clone()).get_flow(self.by("admin", request)?).await;
        for event in taken(flow)?.events {
            let kind = event.r#type.trim_start_matches("nadeuri.");
            let cause = if event.causation_id.is_empty() { "a call" } else { "an event" };
            println!("  {kind:<36} by {:<8} after {cause}", event.source);
        }
        Ok(())
    }

    /// A request by somebody: with a token, or with the name alone where nobody is checked.
    fn by<M>(&self, who: &str, message: M) -> anyhow::Result<Request<M>> {
        let mut request = Request::new(message);
        request.set_timeout(PATIENCE);
        let (name, role) = if who == "admin" { ("admin", Role::Admin) } else { (who, Role::Customer) };
        let text = |text: &str| -> anyhow::Result<MetadataValue<Ascii>> { Ok(text.parse()?) };
        let roles: Roles = [role].into_iter().collect();
        match &self.signer {
            Some(signer) => {
                let token = signer.token(name, roles, Duration::from_secs(3_600), Clock::system().now())?;
                request.metadata_mut().insert("authorization", text(&format!("Bearer {token}"))?);
            }
            None => {
                request.metadata_mut().insert("x-user", text(name)?);
                request.metadata_mut().insert("x-roles", text(&roles.to_string())?);
            }
        }
        Ok(request)
    }
}

fn say_state(who: &str, reservation: Option<Reservation>) -> anyhow::Result<Reservation> {
    let reservation = reservation.context("no reservation in the answer")?;
    let state = ReservationState::try_from(reservation.state)?;
    println!("  {who}'s reservation is {}", state.as_str_name());
    Ok(reservation)
}

fn taken<R>(answer: Result<Response<R>, Status>) -> anyhow::Result<R> {
    answer.map(Response::into_inner).map_err(|status| anyhow::anyhow!("{} ({:?})", status.message(), status.code()))
}

/// Asks until there is an answer.
async fn wait<T>(what: String, ask: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
