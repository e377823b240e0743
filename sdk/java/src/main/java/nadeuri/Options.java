package nadeuri;

import io.grpc.Metadata;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Supplier;

/** The caller, and the settings of the connection. */
public final class Options {
  final Metadata headers = new Metadata();
  Supplier<String> token;
  Path ca;
  Duration deadline = Duration.ofSeconds(15);
  int attempts = 4;

  /** A token that is sent with each call. */
  public Options token(String token) {
    return token(() -> token);
  }

  /** A function that returns the token of each call, so that it can be renewed. */
  public Options token(Supplier<String> token) {
    this.token = token;
    return this;
  }

  /** A PEM file of the certificates to trust instead of the machine's. */
  public Options ca(Path file) {
    ca = file;
    return this;
  }

  /** A header that is sent with each call. */
  public Options header(String name, String value) {
    headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    return this;
  }

  /** The limit of a call with all its attempts, unless its stub has one; 15 seconds by default. */
  public Options deadline(Duration deadline) {
    this.deadline = deadline;
    return this;
  }

  /** The highest number of attempts of a call; 4 by default. */
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
