import com.google.protobuf.Timestamp;
import io.grpc.StatusRuntimeException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import nadeuri.Connection;
import nadeuri.Nadeuri;
import nadeuri.NadeuriException;
import nadeuri.Options;
import nadeuri.chronicle.v1.WatchEventsRequest;
import nadeuri.dispatch.v1.DispatchServiceGrpc;
import nadeuri.dispatch.v1.HailTaxiRequest;
import nadeuri.driving.v1.AcceptDriveRequest;
import nadeuri.driving.v1.Drive;
import nadeuri.driving.v1.DrivingServiceGrpc;
import nadeuri.driving.v1.FareState;
import nadeuri.driving.v1.FinishDriveRequest;
import nadeuri.driving.v1.ListOffersRequest;
import nadeuri.driving.v1.ListOffersResponse;
import nadeuri.driving.v1.Offer;
import nadeuri.driving.v1.StartDriveRequest;
import nadeuri.driving.v1.StartShiftRequest;
import nadeuri.fleet.v1.Car;
import nadeuri.fleet.v1.FleetServiceGrpc;
import nadeuri.fleet.v1.RegisterCarRequest;
import nadeuri.money.v1.Money;
import nadeuri.period.v1.Period;
import nadeuri.place.v1.Place;
import nadeuri.rental.v1.RateRentalRequest;
import nadeuri.rental.v1.RentCarRequest;
import nadeuri.rental.v1.RentalServiceGrpc;
import nadeuri.rental.v1.Reservation;
import nadeuri.rental.v1.ReservationState;
import nadeuri.rental.v1.ReserveCarRequest;
import nadeuri.rental.v1.ReturnCarRequest;

/**
 * A day out: a car is reserved, paid, rented, returned and rated, and a taxi brings its driver home.
 *
 * <pre>
 * cargo run --release     # the server, in another terminal
 * mvn package
 * java -cp 'target/nadeuri-0.1.0.jar:target/libraries/*' examples/Outing.java
 * </pre>
 *
 * <p>On http://127.0.0.1:50051, or on the address that NADEURI_SERVER names.
 */
public final class Outing {
  private static final String SERVER =
      Optional.ofNullable(System.getenv("NADEURI_SERVER")).orElse("http://127.0.0.1:50051");
  private static final Instant NOW = Instant.now();
  private static final int LOOKS = 200;
  private static final int BETWEEN_LOOKS_MS = 50;

  public static void main(String[] arguments) throws InterruptedException {
    try (var admin = as("admin", "admin");
        var mina = as("mina", "customer");
        var jun = as("jun", "customer");
        var kim = as("driver:kim", "driver")) {
      var reservation = rentACar(admin, mina, jun);
      var drive = takeATaxi(mina, kim);
      System.out.println("the chronicle: " + String.join(", ", firstEventsOf(reservation.getReservationId(), admin)));
      var isBack = reservation.getState() == ReservationState.RESERVATION_STATE_RETURNED;
      if (!isBack || drive.getFareState() != FareState.FARE_STATE_PAID) {
        throw new IllegalStateException("the day went wrong");
      }
      System.out.printf("done: the car is back with %d stars, and the taxi is paid%n", reservation.getStars());
    }
  }

  /** The server trusts these names while auth is off; with auth on, use a token for each. */
  private static Connection as(String user, String role) {
    return Nadeuri.connect(SERVER, new Options().header("x-user", user).header("x-roles", role));
  }

  /** What one context does reaches the others by events, a moment later. */
  private static <T> T eventually(Supplier<Optional<T>> look) throws InterruptedException {
    for (var looks = 0; looks < LOOKS; looks++) {
      var found = look.get();
      if (found.isPresent()) {
        return found.get();
      }
      Thread.sleep(BETWEEN_LOOKS_MS);
    }
    throw new IllegalStateException("it did not happen within ten seconds");
  }

  private static Reservation rentACar(Connection admin, Connection mina, Connection jun) throws InterruptedException {
    var offered =
        Car.newBuilder()
            .setModel("Hyundai Casper")
            .setPlace(Place.newBuilder().setName("Gimpo Airport"))
            .setDailyRate(Money.newBuilder().setCurrencyCode("KRW").setAmountMinor(54_000));
    var registration = RegisterCarRequest.newBuilder().setCar(offered).build();
    var car = FleetServiceGrpc.newBlockingStub(admin).registerCar(registration).getCar();
    System.out.println("the company has a " + car.getModel());

    var wanted =
        ReserveCarRequest.newBuilder()
            .setCarId(car.getCarId())
            .setPeriod(
                Period.newBuilder()
                    .setStartTime(timestamp(NOW))
                    .setEndTime(timestamp(NOW.plus(3, ChronoUnit.DAYS))))
            .build();
    var rental = RentalServiceGrpc.newBlockingStub(mina);
    var reservation =
        eventually(
            () -> {
              try {
                return Optional.of(rental.reserveCar(wanted).getReservation());
              } catch (StatusRuntimeException failed) {
                if (NadeuriException.of(failed).reason().equals("CAR_NOT_FOUND")) {
                  return Optional.empty(); // rental has not heard of the new car yet
                }
                throw failed;
              }
            });
    System.out.printf(
        "mina reserves it for %d days: %d won%n", reservation.getDays(), reservation.getPrice().getAmountMinor());

    for (var wrong : List.of(wanted, ReserveCarRequest.newBuilder().setCarId("the red one").build())) {
      try {
        RentalServiceGrpc.newBlockingStub(jun).reserveCar(wrong);
      } catch (StatusRuntimeException failed) {
        var refused = NadeuriException.of(failed);
        var fields = refused.violations().stream().map(NadeuriException.Violation::field).toList();
        System.out.printf("jun is refused: %s %s%n", refused.reason(), fields);
      }
    }

    var id = reservation.getReservationId();
    rental.rentCar(RentCarRequest.newBuilder().setReservationId(id).setPaymentMethod("sandbox-approve").build());
    System.out.println("mina pays and drives off");
    rental.returnCar(ReturnCarRequest.newBuilder().setReservationId(id).build());
    return rental.rateRental(RateRentalRequest.newBuilder().setReservationId(id).setStars(5).build()).getReservation();
  }

  private static Drive takeATaxi(Connection mina, Connection kim) throws InterruptedException {
    var wish =
        HailTaxiRequest.newBuilder()
            .setPickup(Place.newBuilder().setName("City Hall").setLatitude(37.5663).setLongitude(126.9779))
            .setDestination(Place.newBuilder().setName("Mapo"))
            .setPaymentMethod("sandbox-approve")
            .build();
    var hail = DispatchServiceGrpc.newBlockingStub(mina).hailTaxi(wish).getHail();
    System.out.println("mina hails a taxi at " + hail.getPickup().getName());

    var driving = DrivingServiceGrpc.newBlockingStub(kim);
    driving.startShift(StartShiftRequest.getDefaultInstance());
    var near = ListOffersRequest.newBuilder().setLatitude(37.5663).setLongitude(126.9779).build();
    var offer =
        eventually(
            () ->
                Nadeuri.items(driving::listOffers, near, ListOffersResponse::getOffersList)
                    .map(Offer::getDrive)
                    .filter(drive -> drive.getHailId().equals(hail.getHailId()))
                    .findFirst());
    var id = offer.getDriveId();
    driving.acceptDrive(AcceptDriveRequest.newBuilder().setDriveId(id).build());
    driving.startDrive(StartDriveRequest.newBuilder().setDriveId(id).setStartCode(hail.getStartCode()).build());
    var drive = driving.finishDrive(FinishDriveRequest.newBuilder().setDriveId(id).build()).getDrive();
    System.out.printf("kim brings her home for %d won%n", drive.getFare().getAmountMinor());
    return drive;
  }

  /** The events of a flow, as a watch receives them. */
  private static List<String> firstEventsOf(String flowId, Connection admin) {
    var seen = new ArrayList<String>();
    try (var events = Nadeuri.watch(admin, WatchEventsRequest.newBuilder().setAfterPosition(0).build())) {
      for (var event : events) {
        if (event.getFlowId().equals(flowId)) {
          seen.add(event.getType().substring(event.getType().lastIndexOf('.') + 1));
        }
        if (seen.contains("RentalRated")) {
          break;
        }
      }
    }
    return seen;
  }

  private static Timestamp timestamp(Instant instant) {
    return Timestamp.newBuilder().setSeconds(instant.getEpochSecond()).setNanos(instant.getNano()).build();
  }
}
