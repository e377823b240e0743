package nadeuri;

import io.grpc.Metadata;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Supplier;

/** Who calls, and how. */
public final class Options {
  final Metadata headers = new Metadata();
  Supplier<String> token;
  Path ca;
  Duration deadline = Duration.ofSeconds(15);
  int attempts = 4;

  /** A token that goes with each call. */
  public Options token(String token) {
    return token(() -> token);
  }

  /** What is asked for the token of each call, so that it can be renewed. */
  public Options token(Supplier<String> token) {
    this.token = token;
    return this;
  }

  /** A PEM file of the certificates to trust in place of the machine's. */
  public Options ca(Path file) {
    ca = file;
    return this;
  }

  /** A header that goes with each call. */
  public Options header(String name, String value) {
    headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    return this;
  }

  /** For a call with all its attempts, unless its stub has one; 15 seconds, if not given. */
  public Options deadline(Duration deadline) {
    this.deadline = deadline;
    return this;
  }

  /** How often a call is made at most; 4 times, if not given. */
  public Options attempts(int attempts) {
    this.attempts = attempts;
    return this;
  }

  /** The headers of the next call. */
  Metadata headersOfCall() {
    var sent = new Metadata();
    sent.merge(headers);
    if (token != null) {
      sent.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token.get());
    }
    return sent;
  }
}
