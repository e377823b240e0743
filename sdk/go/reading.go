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

// A watch survives a restart of the server: this many consecutive failures take about a minute, with their pauses.
const watchFailures = 60

// Page is the response of a list.
type Page interface{ GetNextPageToken() string }

// Items iterates over all items of a list, over all pages:
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

// Watch is an endless stream of events; after a broken connection it continues after the last one received.
//
// Without an AfterPosition it starts now; if it breaks before the first event, it starts again at that later moment.
func Watch(
	ctx context.Context, conn grpc.ClientConnInterface, request *chroniclev1.WatchEventsRequest,
) iter.Seq2[*chroniclev1.Event, error] {
	return func(yield func(*chroniclev1.Event, error) bool) {
		// Ends the stream, also when the caller stops iterating.
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

// follow passes on the events of one stream until the caller stops, which is no error.
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
