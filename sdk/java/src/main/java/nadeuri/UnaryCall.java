package nadeuri;

import com.google.protobuf.DescriptorProtos.MethodOptions.IdempotencyLevel;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.protobuf.ProtoMethodDescriptorSupplier;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/** A unary call with its retries. Stubs of all kinds see one call. */
final class UnaryCall<Q, A> extends ClientCall<Q, A> {
  private static final ScheduledExecutorService PAUSES =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            var thread = new Thread(task, "nadeuri-pauses");
            thread.setDaemon(true);
            return thread;
          });

  private final MethodDescriptor<Q, A> method;
  private final CallOptions called;
  private final Channel channel;
  private final Options options;

  private Listener<A> listener;
  private Metadata headers;
  private Q request;
  private int attempt;
  private ClientCall<Q, A> current;
  private Status cancelled;

  UnaryCall(MethodDescriptor<Q, A> method, CallOptions called, Channel channel, Options options) {
    this.method = method;
    this.called =
        called.getDeadline() != null
            ? called
            : called.withDeadlineAfter(options.deadline.toMillis(), TimeUnit.MILLISECONDS);
    this.channel = channel;
    this.options = options;
  }

  @Override
  public void start(Listener<A> listener, Metadata headers) {
    this.listener = listener;
    this.headers = headers;
  }

  @Override
  public void request(int count) {
    // Each attempt requests its own response.
  }

  @Override
  public void sendMessage(Q message) {
    request = withRequestId(message);
  }

  @Override
  public void halfClose() {
    tryOnce();
  }

  @Override
  public synchronized void cancel(String message, Throwable cause) {
    cancelled = Status.CANCELLED.withDescription(message).withCause(cause);
    if (current != null) {
      current.cancel(message, cause);
    }
  }

  private synchronized void tryOnce() {
    if (cancelled != null) {
      listener.onClose(cancelled, new Metadata());
      return;
    }
    attempt++;
    var sent = new Metadata();
    sent.merge(headers);
    try {
      sent.merge(options.headersOfCall());
    } catch (RuntimeException failed) {
      // An exception in the thread of the pauses would be lost.
      var told = Status.UNAUTHENTICATED.withDescription("there is no token to call with").withCause(failed);
      listener.onClose(told, new Metadata());
      return;
    }
    current = channel.newCall(method, called);
    current.start(new Attempt(), sent);
    // Two, so that a second response, which is an error, is noticed.
    current.request(2);
    current.sendMessage(request);
    current.halfClose();
  }

  private final class Attempt extends Listener<A> {
    private Metadata received = new Metadata();
    private A answer;

    @Override
    public void onHeaders(Metadata headers) {
      received = headers;
    }

    @Override
    public void onMessage(A message) {
      answer = message;
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (status.isOk()) {
        listener.onHeaders(received);
        listener.onMessage(answer);
        listener.onClose(status, trailers);
        return;
      }
      var pause = new NadeuriException(status, trailers).pause(attempt);
      var isLast = attempt >= options.attempts || !isRepeatable();
      if (isLast || pause == null || pause.toNanos() >= called.getDeadline().timeRemaining(TimeUnit.NANOSECONDS)) {
        listener.onClose(status, trailers);
      } else {
        PAUSES.schedule(UnaryCall.this::tryOnce, pause.toNanos(), TimeUnit.NANOSECONDS);
      }
    }
  }

  /** Whether the contract says that the call is safe to repeat with the same request id. */
  private boolean isRepeatable() {
    return method.getSchemaDescriptor() instanceof ProtoMethodDescriptorSupplier schema
        && schema.getMethodDescriptor().getOptions().getIdempotencyLevel() != IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
  }

  /** The same request with a request id, if it has that field. */
  @SuppressWarnings("unchecked") // A builder of a message builds that kind of message.
  private static <Q> Q withRequestId(Q request) {
    if (!(request instanceof Message message)) {
      return request;
    }
    var field = message.getDescriptorForType().findFieldByName("request_id");
    if (field == null || !message.getField(field).equals("")) {
      return request;
    }
    return (Q) message.toBuilder().setField(field, UUID.randomUUID().toString()).build();
  }
}
