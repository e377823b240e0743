package nadeuri;

import com.google.protobuf.Message;
import io.grpc.Channel;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.Stream;
import nadeuri.chronicle.v1.WatchEventsRequest;

/** The entry point. */
public final class Nadeuri {
  private Nadeuri() {}

  /** Connects to {@code http://HOST:PORT} or, over TLS, to {@code https://HOST:PORT}, at the first call. */
  public static Connection connect(String address, Options options) {
    return new Connection(address, options);
  }

  /**
   * All items of a list; each page is requested when the iteration reaches it:
   * {@code items(fleet::listCars, ListCarsRequest.getDefaultInstance(), ListCarsResponse::getCarsList)}.
   */
  public static <Q extends Message, P extends Message, T> Stream<T> items(
      Function<Q, P> call, Q request, Function<P, List<T>> of) {
    P first = call.apply(request);
    return Stream.iterate(first, Objects::nonNull, page -> after(page, call, request))
        .flatMap(page -> of.apply(page).stream());
  }

  @SuppressWarnings("unchecked") // A builder of a message builds that kind of message.
  private static <Q extends Message, P extends Message> P after(P page, Function<Q, P> call, Q request) {
    var token = page.getField(page.getDescriptorForType().findFieldByName("next_page_token"));
    if (token.equals("")) {
      return null;
    }
    var field = request.getDescriptorForType().findFieldByName("page_token");
    return call.apply((Q) request.toBuilder().setField(field, token).build());
  }

  /**
   * An endless stream of events; after a broken connection it continues after the last one received. Close it when
   * you have seen enough.
   *
   * <p>Without an {@code after_position} it starts now; if it breaks before the first event, it starts again at a later one.
   */
  public static Watch watch(Channel channel, WatchEventsRequest request) {
    return new Watch(channel, request);
  }
}
