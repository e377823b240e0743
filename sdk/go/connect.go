// Package nadeuri is the client of Nadeuri.
//
// Connect returns a connection. Every client generated from the contracts works over it, with request ids, deadlines,
// retries and typed errors. Items iterates over pages, Watch follows the events.
package nadeuri

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	defaultDeadline = 15 * time.Second
	defaultAttempts = 4
	// Without keepalive, a stream without events would not notice a lost connection.
	keepaliveTime = time.Minute
)

// Options set the caller and the connection; the zero value has no token and no headers.
type Options struct {
	// Token returns the token of each call, so that it can be renewed; Static returns a fixed one.
	Token func(context.Context) (string, error)
	// CA is a PEM file of the certificates to trust in place of the machine's.
	CA string
	// Headers are sent with each call.
	Headers map[string]string
	// Deadline limits a call with all its attempts, unless its context has one; 15 seconds if 0.
	Deadline time.Duration
	// Attempts is the highest number of attempts of a call; 4 if 0.
	Attempts int
}

// Static is a fixed token.
func Static(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

// Connect connects to http://HOST:PORT or, over TLS, to https://HOST:PORT, at the first call.
func Connect(address string, options Options) (*grpc.ClientConn, error) {
	server, err := url.Parse(address)
	if err != nil || server.Hostname() == "" || (server.Scheme != "http" && server.Scheme != "https") {
		return nil, fmt.Errorf("%q is no address: give http://HOST:PORT, or https://HOST:PORT for TLS", address)
	}
	port, transport := "80", insecure.NewCredentials()
	if server.Scheme == "https" {
		roots, err := trusted(options.CA)
		if err != nil {
			return nil, err
		}
		port, transport = "443", credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	}
	if server.Port() != "" {
		port = server.Port()
	}
	if options.Deadline == 0 {
		options.Deadline = defaultDeadline
	}
	if options.Attempts == 0 {
		options.Attempts = defaultAttempts
	}
	added := layer{options}
	return grpc.NewClient(net.JoinHostPort(server.Hostname(), port),
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime}),
		grpc.WithChainUnaryInterceptor(added.unary),
		grpc.WithChainStreamInterceptor(added.stream))
}

// trusted reads certificates; an empty path means those of the machine.
func trusted(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return roots, nil
}

// layer adds request ids, deadlines, retries and typed errors to every call.
type layer struct{ options Options }

func (l layer) unary(
	ctx context.Context, path string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	if _, has := ctx.Deadline(); !has {
		limited, cancel := context.WithTimeout(ctx, l.options.Deadline)
		defer cancel()
		ctx = limited
	}
	request = withRequestID(request)
	for attempt := 1; ; attempt++ {
		sent, err := l.withHeaders(ctx)
		if err != nil {
			return err
		}
		failed := typed(invoke(sent, path, request, answer, conn, options...))
		if failed == nil {
			return nil
		}
		pause, helps := failed.pause(attempt)
		if !helps || attempt >= l.options.Attempts || !isRepeatable(path) || !wait(ctx, pause) {
			return failed
		}
	}
}

func (l layer) stream(
	ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, path string, open grpc.Streamer,
	options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	sent, err := l.withHeaders(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := open(sent, description, conn, path, options...)
	if failed := typed(err); failed != nil {
		return nil, failed
	}
	return typedStream{stream}, nil
}

func (l layer) withHeaders(ctx context.Context) (context.Context, error) {
	for name, value := range l.options.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	if l.options.Token == nil {
		return ctx, nil
	}
	token, err := l.options.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("there is no token to call with: %w", err)
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), nil
}

// wait waits, unless the context ends earlier: then there is no time for another attempt.
func wait(ctx context.Context, pause time.Duration) bool {
	if ends, has := ctx.Deadline(); has && time.Now().Add(pause).After(ends) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isRepeatable is whether the contract says that the call is safe to repeat with the same request id.
func isRepeatable(path string) bool {
	// /nadeuri.rental.v1.RentalService/ReserveCar is nadeuri.rental.v1.RentalService.ReserveCar in the contracts.
	name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return false
	}
	options, _ := found.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN
}

// withRequestID returns a copy of the request with a request id, if it has that field; the caller's own stays unchanged.
func withRequestID(request any) any {
	message, is := request.(proto.Message)
	if !is {
		return request
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || message.ProtoReflect().Get(field).String() != "" {
		return request
	}
	copied := proto.Clone(message)
	copied.ProtoReflect().Set(field, protoreflect.ValueOfString(uuid.NewString()))
	return copied
}
