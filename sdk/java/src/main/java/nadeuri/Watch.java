package nadeuri;

import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import nadeuri.chronicle.v1.ChronicleServiceGrpc;
import nadeuri.chronicle.v1.Event;
import nadeuri.chronicle.v1.WatchEventsRequest;
import nadeuri.chronicle.v1.WatchEventsResponse;

/** A stream of events: {@code try (var events = watch(…)) { for (var event : events) … }}. */
public final class Watch implements Iterable<Event>, Iterator<Event>, AutoCloseable {
  // It survives a restart of the server: this many consecutive failures take about a minute, with their pauses.
  private static final int FAILURES = 60;

  private final Channel channel;
  private final Context.CancellableContext context = Context.current().withCancellation();
  private WatchEventsRequest request;
  private Iterator<WatchEventsResponse> stream;
  private int failures;

  Watch(Channel channel, WatchEventsRequest request) {
    this.channel = channel;
    this.request = request;
  }

  @Override
  public Iterator<Event> iterator() {
    return this;
  }

  @Override
  public boolean hasNext() {
    return true;
  }

  /** Waits for the next event. */
  @Override
  public Event next() {
    for (; ; ) {
      try {
        if (stream == null) {
          var chronicle = ChronicleServiceGrpc.newBlockingStub(channel);
          context.run(() -> stream = chronicle.watchEvents(request));
        }
        if (stream.hasNext()) {
          var event = stream.next().getEvent();
          request = request.toBuilder().setAfterPosition(event.getPosition()).build();
          failures = 0;
          return event;
        }
        var ended = Status.UNAVAILABLE.withDescription("the stream of events ended");
        pauseAfter(new NadeuriException(ended, new Metadata()));
      } catch (StatusRuntimeException failed) {
        pauseAfter(NadeuriException.of(failed));
      }
    }
  }

  /** Waits until the stream may be reopened, or throws if that would not help. */
  private void pauseAfter(NadeuriException failed) {
    stream = null;
    failures++;
    var pause = failed.pause(failures);
    if (pause == null || failures >= FAILURES) {
      throw failed;
    }
    try {
      Thread.sleep(pause.toMillis());
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw failed;
    }
  }

  @Override
  public void close() {
    context.cancel(null);
  }
}
