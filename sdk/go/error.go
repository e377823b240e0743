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

// The pauses between attempts where the server names none: doubled each time, and random, so that clients that failed
// together don't come back together.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// After so many doublings it is the longest, and more would be too many for the number.
	doublings = 5
)

// Error is a call that failed: errors.As finds it, and what status.Code says of it is right.
type Error struct {
	// Code is the status.
	Code codes.Code
	// Message is for people.
	Message string
	// Reason is what programs go by, such as PERIOD_TAKEN; empty if no server of Nadeuri answered.
	Reason string
	// Violations are the fields that can't be taken, when the reason is INVALID_FIELDS.
	Violations []Violation
	// RetryDelay is after how long trying again may help, if the server says so.
	RetryDelay *time.Duration

	status *status.Status
}

// Violation is a field of the request that can't be taken.
type Violation struct {
	// Field is its path, such as car.daily_rate.currency_code.
	Field string
	// Description is what would be right.
	Description string
}

// Error says the reason, or else the code, and what it means.
func (e *Error) Error() string {
	if e.Reason != "" {
		return e.Reason + ": " + e.Message
	}
	return e.Code.String() + ": " + e.Message
}

// GRPCStatus is what gRPC's own functions read.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Reason is the reason of an error, or empty if there is none.
func Reason(err error) string {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

// typed is what gRPC tells of a failed call.
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

// pause is how long to wait after this attempt (the first is 1) until the next, and whether another may help.
func (e *Error) pause(attempt int) (time.Duration, bool) {
	if e.RetryDelay != nil {
		return *e.RetryDelay + rand.N(firstPause), true
	}
	// Nobody is there at the moment.
	if e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded {
		return rand.N(min(longestPause, firstPause<<min(attempt, doublings))), true
	}
	return 0, false
}

// typedStream is a stream whose end in failure is an Error as well.
type typedStream struct{ grpc.ClientStream }

func (s typedStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return typed(err)
}
