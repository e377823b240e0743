package nadeuri

import (
	"context"
	"iter"

	chroniclev1 "example.com/nadeuri/sdk/go/nadeuri/chronicle/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A watch outlives a restart of the server: so many failures in a row take about a minute, with the pauses between them.
const watchFailures = 60

// Page is the answer of a list.
type Page interface{ GetNextPageToken() string }

// Items are all items of a list, page after page:
//
//	for car, err := range nadeuri.Items(ctx, fleet.ListCars, &fleetv1.ListCarsRequest{}, (*fleetv1.ListCarsResponse).GetCars)
func Items[Request proto.Message, Answer Page, Item any](
	ctx context.Context, call func(context.Context, Request, ...grpc.CallOption) (Answer, error), request Request,
	of func(Answer) []Item,
) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		asked := proto.CloneOf(request)
		token := asked.ProtoReflect().Descriptor().Fields().ByName("page_token")
		for {
			page, err := call(ctx, asked)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range of(page) {
				if !yield(item, nil) {
					return
				}
			}
			if page.GetNextPageToken() == "" {
				return
			}
			asked.ProtoReflect().Set(token, protoreflect.ValueOfString(page.GetNextPageToken()))
		}
	}
}

// Watch gives events as they are heard, without an end; when the connection breaks, it goes on after the last that came.
//
// Without an AfterPosition it begins now; until a first event came, a break makes it begin at a new now.
func Watch(
	ctx context.Context, conn grpc.ClientConnInterface, request *chroniclev1.WatchEventsRequest,
) iter.Seq2[*chroniclev1.Event, error] {
	return func(yield func(*chroniclev1.Event, error) bool) {
		// It ends the stream, also when the caller has seen enough.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		asked, failures := proto.CloneOf(request), 0
		for {
			err := follow(ctx, conn, asked, func(event *chroniclev1.Event) bool {
				failures, asked.AfterPosition = 0, proto.Int64(event.GetPosition())
				return yield(event, nil)
			})
			if err == nil {
				return
			}
			failures++
			failed := typed(err)
			pause, helps := failed.pause(failures)
			if !helps || failures >= watchFailures || !wait(ctx, pause) {
				yield(nil, failed)
				return
			}
		}
	}
}

// follow hands the events of one stream on until that is refused, which is no error.
func follow(
	ctx context.Context, conn grpc.ClientConnInterface, request *chroniclev1.WatchEventsRequest,
	take func(*chroniclev1.Event) bool,
) error {
	stream, err := chroniclev1.NewChronicleServiceClient(conn).WatchEvents(ctx, request)
	for err == nil {
		var answer *chroniclev1.WatchEventsResponse
		if answer, err = stream.Recv(); err == nil && !take(answer.GetEvent()) {
			return nil
		}
	}
	if _, is := status.FromError(err); !is {
		return status.Error(codes.Unavailable, "the stream of events ended")
	}
	return err
}
