package nadeuri

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	chroniclev1 "example.com/nadeuri/sdk/go/nadeuri/chronicle/v1"
	fleetv1 "example.com/nadeuri/sdk/go/nadeuri/fleet/v1"
	rentalv1 "example.com/nadeuri/sdk/go/nadeuri/rental/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fake is a server within the process: it fails with failures, one a call, then answers.
type fake struct {
	rentalv1.UnimplementedRentalServiceServer
	fleetv1.UnimplementedFleetServiceServer
	chroniclev1.UnimplementedChronicleServiceServer

	failures    []error
	requestIDs  []string
	headers     []metadata.MD
	timeLeft    []time.Duration
	watchedFrom []int64
}

func (f *fake) take(ctx context.Context) error {
	headers, _ := metadata.FromIncomingContext(ctx)
	f.headers = append(f.headers, headers)
	ends, _ := ctx.Deadline()
	f.timeLeft = append(f.timeLeft, time.Until(ends))
	if len(f.failures) == 0 {
		return nil
	}
	failure := f.failures[0]
	f.failures = f.failures[1:]
	return failure
}

func (f *fake) ReserveCar(ctx context.Context, r *rentalv1.ReserveCarRequest) (*rentalv1.ReserveCarResponse, error) {
	f.requestIDs = append(f.requestIDs, r.GetRequestId())
	return &rentalv1.ReserveCarResponse{Reservation: &rentalv1.Reservation{CarId: r.GetCarId()}}, f.take(ctx)
}

func (f *fake) ListCars(ctx context.Context, r *fleetv1.ListCarsRequest) (*fleetv1.ListCarsResponse, error) {
	page, _ := strconv.Atoi(r.GetPageToken())
	cars := []*fleetv1.Car{{CarId: strconv.Itoa(page) + "-0"}, {CarId: strconv.Itoa(page) + "-1"}}
	next := strconv.Itoa(page + 1)
	if page == 2 {
		next = ""
	}
	return &fleetv1.ListCarsResponse{Cars: cars, NextPageToken: next}, f.take(ctx)
}

func (f *fake) WatchEvents(
	r *chroniclev1.WatchEventsRequest, stream grpc.ServerStreamingServer[chroniclev1.WatchEventsResponse],
) error {
	f.watchedFrom = append(f.watchedFrom, r.GetAfterPosition())
	for position := r.GetAfterPosition() + 1; position <= r.GetAfterPosition()+2; position++ {
		event := &chroniclev1.Event{Position: position}
		if err := stream.Send(&chroniclev1.WatchEventsResponse{Event: event}); err != nil {
			return err
		}
	}
	return f.take(stream.Context())
}

func failure(code codes.Code, details ...protoadapt.MessageV1) error {
	told, err := status.New(code, "as told").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return told.Err()
}

func retryAfter(delay time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}

func start(t *testing.T, options Options) (*fake, *grpc.ClientConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told, server := &fake{}, grpc.NewServer()
	rentalv1.RegisterRentalServiceServer(server, told)
	fleetv1.RegisterFleetServiceServer(server, told)
	chroniclev1.RegisterChronicleServiceServer(server, told)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := Connect("http://"+listener.Addr().String(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return told, conn
}

func reserve(conn *grpc.ClientConn, request *rentalv1.ReserveCarRequest) error {
	_, err := rentalv1.NewRentalServiceClient(conn).ReserveCar(context.Background(), request)
	return err
}

// equal fails unless what was got is what is wanted.
func equal[T any](t *testing.T, got, wanted T) {
	t.Helper()
	if !reflect.DeepEqual(got, wanted) {
		t.Fatalf("got %v, wanted %v", got, wanted)
	}
}

func TestARetryKeepsTheRequestID(t *testing.T) {
	told, conn := start(t, Options{})
	told.failures = []error{failure(codes.Unavailable), failure(codes.Aborted, retryAfter(time.Millisecond))}
	request := &rentalv1.ReserveCarRequest{CarId: "casper"}
	equal(t, reserve(conn, request), nil)
	equal(t, len(told.requestIDs), 3)
	first := told.requestIDs[0]
	equal(t, len(first), 36)
	equal(t, told.requestIDs, []string{first, first, first})
	equal(t, request.GetRequestId(), "") // the caller's request is theirs
}

func TestEachCallHasARequestIDOfItsOwnUnlessItBringsOne(t *testing.T) {
	told, conn := start(t, Options{})
	request := &rentalv1.ReserveCarRequest{}
	equal(t, reserve(conn, request), nil)
	equal(t, reserve(conn, request), nil)
	equal(t, reserve(conn, &rentalv1.ReserveCarRequest{RequestId: "mine"}), nil)
	equal(t, told.requestIDs[0] == told.requestIDs[1], false)
	equal(t, told.requestIDs[2], "mine")
}

func TestARefusalIsTypedAndNotTriedAgain(t *testing.T) {
	told, conn := start(t, Options{})
	told.failures = []error{failure(codes.FailedPrecondition, &errdetails.ErrorInfo{Reason: "PERIOD_TAKEN"})}
	err := reserve(conn, &rentalv1.ReserveCarRequest{})
	equal(t, Reason(err), "PERIOD_TAKEN")
	equal(t, status.Code(err), codes.FailedPrecondition)
	equal(t, err.Error(), "PERIOD_TAKEN: as told")
	equal(t, len(told.requestIDs), 1)
}

func TestWrongFieldsAreNamed(t *testing.T) {
	told, conn := start(t, Options{})
	wrong := &errdetails.BadRequest_FieldViolation{Field: "period.end_time", Description: "it must be later"}
	bad := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{wrong}}
	told.failures = []error{failure(codes.InvalidArgument, bad)}
	var failed *Error
	equal(t, errors.As(reserve(conn, &rentalv1.ReserveCarRequest{}), &failed), true)
	equal(t, failed.Violations, []Violation{{"period.end_time", "it must be later"}})
}

func TestAttemptsEnd(t *testing.T) {
	told, conn := start(t, Options{})
	for range 10 {
		told.failures = append(told.failures, failure(codes.Unavailable, retryAfter(time.Millisecond)))
	}
	var failed *Error
	equal(t, errors.As(reserve(conn, &rentalv1.ReserveCarRequest{}), &failed), true)
	equal(t, *failed.RetryDelay, time.Millisecond)
	equal(t, len(told.requestIDs), 4)
}

func TestADelayBeyondTheDeadlineIsNotWaitedFor(t *testing.T) {
	told, conn := start(t, Options{})
	told.failures = []error{failure(codes.Unavailable, retryAfter(time.Hour))}
	var failed *Error
	equal(t, errors.As(reserve(conn, &rentalv1.ReserveCarRequest{}), &failed), true)
	equal(t, *failed.RetryDelay, time.Hour)
	equal(t, len(told.requestIDs), 1)
}

func TestEveryCallHasADeadlineTheTokenAndTheHeaders(t *testing.T) {
	told, conn := start(t, Options{Token: Static("a-token"), Headers: map[string]string{"x-user": "mina"}})
	equal(t, reserve(conn, &rentalv1.ReserveCarRequest{}), nil)
	if left := told.timeLeft[0]; left < 10*time.Second || left > defaultDeadline {
		t.Fatalf("the deadline is in %v", left)
	}
	equal(t, told.headers[0].Get("authorization"), []string{"Bearer a-token"})
	equal(t, told.headers[0].Get("x-user"), []string{"mina"})
}

func TestATokenCanBeRenewed(t *testing.T) {
	var asked atomic.Int32
	renewed := func(context.Context) (string, error) { return strconv.Itoa(int(asked.Add(1))), nil }
	told, conn := start(t, Options{Token: renewed})
	told.failures = []error{failure(codes.Unavailable)}
	equal(t, reserve(conn, &rentalv1.ReserveCarRequest{}), nil)
	equal(t, told.headers[0].Get("authorization"), []string{"Bearer 1"})
	equal(t, told.headers[1].Get("authorization"), []string{"Bearer 2"})
}

func TestPagesAreWalkedThrough(t *testing.T) {
	_, conn := start(t, Options{})
	fleet := fleetv1.NewFleetServiceClient(conn)
	var seen []string
	cars := Items(context.Background(), fleet.ListCars, &fleetv1.ListCarsRequest{}, (*fleetv1.ListCarsResponse).GetCars)
	for car, err := range cars {
		equal(t, err, nil)
		seen = append(seen, car.GetCarId())
	}
	equal(t, seen, []string{"0-0", "0-1", "1-0", "1-1", "2-0", "2-1"})
}

func TestPausesGrowOnlySoFar(t *testing.T) {
	for attempt := range 100 {
		pause, helps := (&Error{Code: codes.Unavailable}).pause(attempt)
		equal(t, helps && pause < longestPause, true)
	}
}

func TestAWatchGoesOnWhereItStopped(t *testing.T) {
	told, conn := start(t, Options{})
	again := failure(codes.Unavailable, retryAfter(time.Millisecond))
	told.failures = []error{again, again}
	var seen []int64
	from := &chroniclev1.WatchEventsRequest{AfterPosition: proto.Int64(40)}
	for event, err := range Watch(context.Background(), conn, from) {
		equal(t, err, nil)
		if seen = append(seen, event.GetPosition()); len(seen) == 6 {
			break
		}
	}
	equal(t, seen, []int64{41, 42, 43, 44, 45, 46})
	equal(t, told.watchedFrom, []int64{40, 42, 44})
}

func TestAWatchThatMayNotBeIsToldSo(t *testing.T) {
	told, conn := start(t, Options{})
	told.failures = []error{failure(codes.PermissionDenied, &errdetails.ErrorInfo{Reason: "ROLE_MISSING"})}
	var last error
	for _, err := range Watch(context.Background(), conn, &chroniclev1.WatchEventsRequest{}) {
		last = err
	}
	equal(t, Reason(last), "ROLE_MISSING")
}

func TestAWrongAddressSaysWhatIsRight(t *testing.T) {
	_, err := Connect("127.0.0.1:50051", Options{})
	equal(t, err != nil && strings.Contains(err.Error(), "give http://HOST:PORT"), true)
}
