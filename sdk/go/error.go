package nadeuri

import (
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The pauses between attempts if the server sets no delay: doubled each time, with jitter so that clients that failed
// together don't retry together.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// After this many doublings the pause is the longest one; more would overflow.
	doublings = 5
)

// Error is the error of a failed call. It works with errors.As and status.Code.
type Error struct {
	// Code is the status code.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is for programs, such as PERIOD_TAKEN; empty if no server of Nadeuri answered.
	Reason string
	// Violations are the invalid fields, if the reason is INVALID_FIELDS.
	Violations []Violation
	// RetryDelay is the server's retry delay, if it sets one.
	RetryDelay *time.Duration

	status *status.Status
}

// Violation is an invalid field of the request.
type Violation struct {
	// Field is its path, such as car.daily_rate.currency_code.
	Field string
	// Description is what is expected.
	Description string
}

// Error returns the reason, or else the code, and the message.
func (e *Error) Error() string {
	if e.Reason != "" {
		return e.Reason + ": " + e.Message
	}
	return e.Code.String() + ": " + e.Message
}

// GRPCStatus is for gRPC's own functions.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Reason is the reason of an error, or empty if there is none.
func Reason(err error) string {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

// typed converts a gRPC error.
func typed(err error) *Error {
	if err == nil {
		return nil
	}
	told := status.Convert(err)
	failed := &Error{Code: told.Code(), Message: told.Message(), status: told}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			failed.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, found := range detail.GetFieldViolations() {
				failed.Violations = append(failed.Violations, Violation{found.GetField(), found.GetDescription()})
			}
		case *errdetails.RetryInfo:
			delay := detail.GetRetryDelay().AsDuration()
			failed.RetryDelay = &delay
		}
	}
	return failed
}

// pause returns the pause after this attempt (the first is 1), and whether another attempt may help.
func (e *Error) pause(attempt int) (time.Duration, bool) {
	if e.RetryDelay != nil {
		return *e.RetryDelay + rand.N(firstPause), true
	}
	// No server answered.
	if e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded {
		return rand.N(min(longestPause, firstPause<<min(attempt, doublings))), true
	}
	return 0, false
}

// typedStream is a stream whose failure is an Error.
type typedStream struct{ grpc.ClientStream }

func (s typedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return typed(err)
}
