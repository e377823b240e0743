package nadeuri;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientCall;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.concurrent.TimeUnit;

/** The channel under all stubs: it adds request ids, deadlines, retries and typed errors. */
public final class Connection extends Channel implements AutoCloseable {
  private final ManagedChannel channel;
  private final Options options;

  Connection(String address, Options options) {
    var server = URI.create(address);
    var isTls = "https".equals(server.getScheme());
    if (server.getHost() == null || !isTls && !"http".equals(server.getScheme())) {
      throw new IllegalArgumentException(
          "\"" + address + "\" is no address: give http://HOST:PORT, or https://HOST:PORT for TLS");
    }
    var port = server.getPort() != -1 ? server.getPort() : isTls ? 443 : 80;
    var credentials = isTls ? tls(options) : InsecureChannelCredentials.create();
    this.options = options;
    // Without keepalive, a stream without events would not notice a lost connection.
    channel = Grpc.newChannelBuilder(server.getHost() + ":" + port, credentials).keepAliveTime(1, TimeUnit.MINUTES).build();
  }

  private static ChannelCredentials tls(Options options) {
    if (options.ca == null) {
      return TlsChannelCredentials.create();
    }
    try {
      return TlsChannelCredentials.newBuilder().trustManager(options.ca.toFile()).build();
    } catch (IOException failed) {
      throw new UncheckedIOException(failed);
    }
  }

  @Override
  public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions called) {
    if (method.getType() == MethodType.UNARY) {
      return new UnaryCall<>(method, called, channel, options);
    }
    return new SimpleForwardingClientCall<>(channel.newCall(method, called)) {
      @Override
      public void start(Listener<A> listener, Metadata headers) {
        headers.merge(options.headersOfCall());
        super.start(listener, headers);
      }
    };
  }

  @Override
  public String authority() {
    return channel.authority();
  }

  /** Finishes calls in flight, and starts no new ones. */
  @Override
  public void close() {
    channel.shutdown();
  }
}
