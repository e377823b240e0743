package nadeuri;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import nadeuri.chronicle.v1.ChronicleServiceGrpc.ChronicleServiceImplBase;
import nadeuri.chronicle.v1.Event;
import nadeuri.chronicle.v1.WatchEventsRequest;
import nadeuri.chronicle.v1.WatchEventsResponse;
import nadeuri.fleet.v1.Car;
import nadeuri.fleet.v1.FleetServiceGrpc;
import nadeuri.fleet.v1.FleetServiceGrpc.FleetServiceImplBase;
import nadeuri.fleet.v1.ListCarsRequest;
import nadeuri.fleet.v1.ListCarsResponse;
import nadeuri.rental.v1.RentalServiceGrpc;
import nadeuri.rental.v1.RentalServiceGrpc.RentalServiceImplBase;
import nadeuri.rental.v1.Reservation;
import nadeuri.rental.v1.ReserveCarRequest;
import nadeuri.rental.v1.ReserveCarResponse;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the layer adds to the generated code, against a server within the process that fails as it is told. */
class LayerTest {
  private static final RetryInfo A_MOMENT = retryAfter(Duration.ofMillis(1));

  private final Queue<StatusRuntimeException> failures = new ArrayDeque<>();
  private final List<String> requestIds = new CopyOnWriteArrayList<>();
  private final List<Metadata> headers = new CopyOnWriteArrayList<>();
  private final List<Long> timeLeftMs = new CopyOnWriteArrayList<>();
  private final List<Long> watchedFrom = new CopyOnWriteArrayList<>();
  private Server server;
  private String address;

  @BeforeEach
  void start() throws Exception {
    server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new Rental())
            .addService(new Fleet())
            .addService(new Chronicle())
            .intercept(new Noting())
            .build()
            .start();
    address = "http://127.0.0.1:" + server.getPort();
  }

  @AfterEach
  void stop() {
    server.shutdownNow();
  }

  @Test
  void aRetryKeepsTheRequestId() {
    fail(Code.UNAVAILABLE);
    fail(Code.ABORTED, A_MOMENT);
    var answer = reserve(new Options(), ReserveCarRequest.newBuilder().setCarId("casper").build());
    assertEquals("casper", answer.getReservation().getCarId());
    assertEquals(3, requestIds.size());
    assertEquals(36, requestIds.get(0).length());
    assertEquals(1, requestIds.stream().distinct().count());
  }

  @Test
  void eachCallHasARequestIdOfItsOwnUnlessItBringsOne() {
    reserve(new Options(), ReserveCarRequest.getDefaultInstance());
    reserve(new Options(), ReserveCarRequest.getDefaultInstance());
    reserve(new Options(), ReserveCarRequest.newBuilder().setRequestId("mine").build());
    assertNotEquals(requestIds.get(0), requestIds.get(1));
    assertEquals("mine", requestIds.get(2));
  }

  @Test
  void aRefusalIsTypedAndNotTriedAgain() {
    fail(Code.FAILED_PRECONDITION, ErrorInfo.newBuilder().setReason("PERIOD_TAKEN").build());
    var failed = failedToReserve();
    assertEquals("PERIOD_TAKEN", failed.reason());
    assertEquals(Code.FAILED_PRECONDITION, failed.getStatus().getCode());
    assertEquals("as told", failed.getStatus().getDescription());
    assertTrue(failed.retryDelay().isEmpty());
    assertEquals(1, requestIds.size());
  }

  @Test
  void wrongFieldsAreNamed() {
    var wrong = BadRequest.FieldViolation.newBuilder().setField("period.end_time").setDescription("it must be later");
    fail(Code.INVALID_ARGUMENT, BadRequest.newBuilder().addFieldViolations(wrong).build());
    var named = new NadeuriException.Violation("period.end_time", "it must be later");
    assertEquals(List.of(named), failedToReserve().violations());
  }

  @Test
  void attemptsEnd() {
    for (var number = 0; number < 10; number++) {
      fail(Code.UNAVAILABLE, A_MOMENT);
    }
    assertEquals(Duration.ofMillis(1), failedToReserve().retryDelay().orElseThrow());
    assertEquals(4, requestIds.size());
  }

  @Test
  void aDelayBeyondTheDeadlineIsNotWaitedFor() {
    fail(Code.UNAVAILABLE, retryAfter(Duration.ofHours(1)));
    assertEquals(Duration.ofHours(1), failedToReserve().retryDelay().orElseThrow());
    assertEquals(1, requestIds.size());
  }

  @Test
  void everyCallHasADeadlineTheTokenAndTheHeaders() {
    reserve(new Options().token("a-token").header("x-user", "mina"), ReserveCarRequest.getDefaultInstance());
    assertTrue(timeLeftMs.get(0) > 10_000 && timeLeftMs.get(0) <= 15_000, timeLeftMs.toString());
    assertEquals("Bearer a-token", header(0, "authorization"));
    assertEquals("mina", header(0, "x-user"));
  }

  @Test
  void aTokenCanBeRenewed() {
    fail(Code.UNAVAILABLE);
    var asked = new AtomicInteger();
    reserve(new Options().token(() -> "" + asked.incrementAndGet()), ReserveCarRequest.getDefaultInstance());
    assertEquals("Bearer 1", header(0, "authorization"));
    assertEquals("Bearer 2", header(1, "authorization"));
  }

  @Test
  void pagesAreWalkedThrough() {
    try (var connection = Nadeuri.connect(address, new Options())) {
      var fleet = FleetServiceGrpc.newBlockingStub(connection);
      var cars = Nadeuri.items(fleet::listCars, ListCarsRequest.getDefaultInstance(), ListCarsResponse::getCarsList);
      assertEquals(List.of("0-0", "0-1", "1-0", "1-1", "2-0", "2-1"), cars.map(Car::getCarId).toList());
    }
  }

  @Test
  void pausesGrowOnlySoFar() {
    var nobodyThere = new NadeuriException(Code.UNAVAILABLE.toStatus(), new Metadata());
    for (var attempt = 1; attempt < 100; attempt++) {
      assertTrue(nobodyThere.pause(attempt).toSeconds() < 2);
    }
  }

  @Test
  void aWatchGoesOnWhereItStopped() {
    fail(Code.UNAVAILABLE, A_MOMENT);
    fail(Code.UNAVAILABLE, A_MOMENT);
    var from = WatchEventsRequest.newBuilder().setAfterPosition(40).build();
    try (var connection = Nadeuri.connect(address, new Options());
        var events = Nadeuri.watch(connection, from)) {
      var seen = LongStream.range(0, 6).map(number -> events.next().getPosition()).boxed().toList();
      assertEquals(List.of(41L, 42L, 43L, 44L, 45L, 46L), seen);
    }
    assertEquals(List.of(40L, 42L, 44L), watchedFrom);
  }

  @Test
  void aWatchThatMayNotBeIsToldSo() {
    fail(Code.PERMISSION_DENIED, ErrorInfo.newBuilder().setReason("ROLE_MISSING").build());
    try (var connection = Nadeuri.connect(address, new Options());
        var events = Nadeuri.watch(connection, WatchEventsRequest.getDefaultInstance())) {
      events.next();
      events.next();
      assertEquals("ROLE_MISSING", assertThrows(NadeuriException.class, events::next).reason());
    }
  }

  @Test
  void aWrongAddressSaysWhatIsRight() {
    var failed =
        assertThrows(IllegalArgumentException.class, () -> Nadeuri.connect("localhost:50051", new Options()));
    assertTrue(failed.getMessage().contains("give http://HOST:PORT"));
  }

  private ReserveCarResponse reserve(Options options, ReserveCarRequest request) {
    try (var connection = Nadeuri.connect(address, options)) {
      return RentalServiceGrpc.newBlockingStub(connection).reserveCar(request);
    }
  }

  private NadeuriException failedToReserve() {
    var request = ReserveCarRequest.getDefaultInstance();
    return NadeuriException.of(assertThrows(StatusRuntimeException.class, () -> reserve(new Options(), request)));
  }

  private String header(int call, String name) {
    return headers.get(call).get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }

  private void fail(Code code, Message... details) {
    var status = com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage("as told");
    for (var detail : details) {
      status.addDetails(Any.pack(detail));
    }
    failures.add(StatusProto.toStatusRuntimeException(status.build()));
  }

  private static RetryInfo retryAfter(Duration delay) {
    var told = com.google.protobuf.Duration.newBuilder().setSeconds(delay.toSeconds()).setNanos(delay.getNano());
    return RetryInfo.newBuilder().setRetryDelay(told).build();
  }

  /** Fails as told, or gives the answer. */
  private <T> void end(StreamObserver<T> observer, T answer) {
    var failure = failures.poll();
    if (failure != null) {
      observer.onError(failure);
      return;
    }
    if (answer != null) {
      observer.onNext(answer);
    }
    observer.onCompleted();
  }

  private final class Noting implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata received, ServerCallHandler<Q, A> next) {
      headers.add(received);
      var ends = Context.current().getDeadline();
      timeLeftMs.add(ends == null ? Long.MAX_VALUE : ends.timeRemaining(TimeUnit.MILLISECONDS));
      return Contexts.interceptCall(Context.current(), call, received, next);
    }
  }

  private final class Rental extends RentalServiceImplBase {
    @Override
    public void reserveCar(ReserveCarRequest request, StreamObserver<ReserveCarResponse> observer) {
      requestIds.add(request.getRequestId());
      var reservation = Reservation.newBuilder().setCarId(request.getCarId());
      end(observer, ReserveCarResponse.newBuilder().setReservation(reservation).build());
    }
  }

  private final class Fleet extends FleetServiceImplBase {
    @Override
    public void listCars(ListCarsRequest request, StreamObserver<ListCarsResponse> observer) {
      var page = request.getPageToken().isEmpty() ? 0 : Integer.parseInt(request.getPageToken());
      var answer = ListCarsResponse.newBuilder().setNextPageToken(page == 2 ? "" : "" + (page + 1));
      answer.addCars(Car.newBuilder().setCarId(page + "-0")).addCars(Car.newBuilder().setCarId(page + "-1"));
      end(observer, answer.build());
    }
  }

  private final class Chronicle extends ChronicleServiceImplBase {
    @Override
    public void watchEvents(WatchEventsRequest request, StreamObserver<WatchEventsResponse> observer) {
      watchedFrom.add(request.getAfterPosition());
      for (var next = 1; next <= 2; next++) {
        var event = Event.newBuilder().setPosition(request.getAfterPosition() + next);
        observer.onNext(WatchEventsResponse.newBuilder().setEvent(event).build());
      }
      end(observer, null);
    }
  }
}
