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
 * The error of a failed call.
 *
 * <p>Generated stubs only throw gRPC's own {@link StatusRuntimeException}; {@link #of} converts it.
 */
public final class NadeuriException extends StatusRuntimeException {
  // The pauses between attempts if the server sets no delay: doubled each time, with jitter so that clients that failed
  // together don't retry together.
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 2_000;
  // After this many doublings the pause is the longest one; more would overflow.
  private static final int DOUBLINGS = 5;

  /** An invalid field of the request: its path, such as {@code car.daily_rate}, and what is expected. */
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
      // If the details can't be parsed, the status is still valid.
      addSuppressed(failed);
    }
  }

  /** Converts what a stub threw. */
  public static NadeuriException of(StatusRuntimeException failed) {
    if (failed instanceof NadeuriException known) {
      return known;
    }
    var trailers = failed.getTrailers() != null ? failed.getTrailers() : new Metadata();
    var made = new NadeuriException(failed.getStatus(), trailers);
    made.setStackTrace(failed.getStackTrace());
    return made;
  }

  /** The reason for programs, such as {@code PERIOD_TAKEN}; empty if no server of Nadeuri answered. */
  public String reason() {
    return reason;
  }

  /** The invalid fields, if the reason is {@code INVALID_FIELDS}. */
  public List<Violation> violations() {
    return List.copyOf(violations);
  }

  /** The server's retry delay, if it sets one. */
  public Optional<Duration> retryDelay() {
    return Optional.ofNullable(retryDelay);
  }

  /** The pause after this attempt (the first is 1); null if another would not help. */
  Duration pause(int attempt) {
    var random = ThreadLocalRandom.current();
    if (retryDelay != null) {
      return retryDelay.plusMillis(random.nextLong(FIRST_PAUSE_MS));
    }
    return switch (getStatus().getCode()) {
      // No server answered.
      case UNAVAILABLE, DEADLINE_EXCEEDED ->
          Duration.ofMillis(
              random.nextLong(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << Math.min(attempt, DOUBLINGS))));
      default -> null;
    };
  }
}
