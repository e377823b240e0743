package nadeuri;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A call failed.
 *
 * <p>Generated stubs throw nothing but gRPC's own {@link StatusRuntimeException}; {@link #of} makes this one of it.
 */
public final class NadeuriException extends StatusRuntimeException {
  // The pauses between attempts where the server names none: doubled each time, and random, so that clients that failed
  // together don't come back together.
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 2_000;
  // After so many doublings it is the longest, and more would be too many for the number.
  private static final int DOUBLINGS = 5;

  /** A field of the request that can't be taken: its path, such as {@code car.daily_rate}, and what would be right. */
  public record Violation(String field, String description) {}

  private String reason = "";
  private final List<Violation> violations = new ArrayList<>();
  private Duration retryDelay;

  NadeuriException(Status status, Metadata trailers) {
    super(status, trailers);
    var told = StatusProto.fromStatusAndTrailers(status, trailers);
    try {
      for (var detail : told.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          reason = detail.unpack(ErrorInfo.class).getReason();
        } else if (detail.is(BadRequest.class)) {
          for (var found : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            violations.add(new Violation(found.getField(), found.getDescription()));
          }
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          retryDelay = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
        }
      }
    } catch (InvalidProtocolBufferException failed) {
      // Who garbles the details has still told the status.
      addSuppressed(failed);
    }
  }

  /** What a stub threw. */
  public static NadeuriException of(StatusRuntimeException failed) {
    if (failed instanceof NadeuriException known) {
      return known;
    }
    var trailers = failed.getTrailers() != null ? failed.getTrailers() : new Metadata();
    var made = new NadeuriException(failed.getStatus(), trailers);
    made.setStackTrace(failed.getStackTrace());
    return made;
  }

  /** What programs go by, such as {@code PERIOD_TAKEN}; empty if no server of Nadeuri answered. */
  public String reason() {
    return reason;
  }

  /** The fields that can't be taken, when the reason is {@code INVALID_FIELDS}. */
  public List<Violation> violations() {
    return List.copyOf(violations);
  }

  /** After how long trying again may help, if the server says so. */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(retryDelay);
  }

  /** How long to wait after this attempt (the first is 1) until the next; null if another would not help. */
  Duration pause(int attempt) {
    var random = ThreadLocalRandom.current();
    if (retryDelay != null) {
      return retryDelay.plusMillis(random.nextLong(FIRST_PAUSE_MS));
    }
    return switch (getStatus().getCode()) {
      // Nobody is there at the moment.
      case UNAVAILABLE, DEADLINE_EXCEEDED ->
          Duration.ofMillis(
              random.nextLong(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << Math.min(attempt, DOUBLINGS))));
      default -> null;
    };
  }
}
