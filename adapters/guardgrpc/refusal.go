package guardgrpc

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/palegate/palegate/guard"
)

// domain is the ErrorInfo.domain of every refusal.
const domain = "palegate"

// maxViolations keeps details below what clients accept of trailers, 8 KiB at
// the least.
const maxViolations = 16

// refusal returns d as a status error. Details are google.rpc.ErrorInfo with
// the reason and the exchange's id, BadRequest with violations, and RetryInfo.
func refusal(s *guard.Session, d guard.Decision) error {
	return refuse(s, codes.Code(d.Cause.GRPC()), d)
}

func refuse(s *guard.Session, code codes.Code, d guard.Decision) error {
	s.SetHead(httpStatus(code), s.Exchange().Response().Header())  // which guards may have edited
	st := &spb.Status{Code: int32(code), Message: d.Cause.Title()} //nolint:gosec // codes end at 16
	detail := func(m proto.Message) {
		if a, err := anypb.New(m); err == nil {
			st.Details = append(st.Details, a)
		}
	}
	detail(&errdetails.ErrorInfo{
		Reason:   string(d.Reason),
		Domain:   domain,
		Metadata: map[string]string{"id": s.Exchange().ID()},
	})
	if n := min(len(d.Violations), maxViolations); n > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range d.Violations[:n] {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.At, Reason: v.Rule, Description: v.Text,
			})
		}
		detail(bad)
	}
	if d.RetryAfter > 0 {
		detail(&errdetails.RetryInfo{RetryDelay: durationpb.New(d.RetryAfter)})
	}
	return status.FromProto(st).Err()
}

// What an adapter has to refuse by itself.

// unread refuses a stream whose messages an enforced guard wants to read.
func unread(s *guard.Session) error {
	return refuse(s, codes.Unimplemented, s.Refuse(guard.RequestBody, guard.Decision{
		Effect: guard.Refuse, Cause: guard.CauseMediaType, Reason: guard.ReasonUnread,
	}))
}

// broken refuses a message that a guard's edit has made unreadable.
func broken(s *guard.Session, at guard.Phase) error {
	return refusal(s, s.Refuse(at, guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: guard.ReasonEdit}))
}

// expired refuses the next message of a stream that has outlived its principal.
func expired(s *guard.Session) error {
	return refusal(s, s.Refuse(guard.RequestBody, guard.Decision{
		Effect: guard.Refuse, Cause: guard.CauseUnauthenticated, Reason: guard.ReasonExpired,
	}))
}
