package guardgrpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/guard"
)

// info returns the ErrorInfo of a refusal.
func info(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			return i
		}
	}
	return nil
}

func TestRefusals(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		for c := guard.CauseNone; c <= guard.CauseUnavailable+1; c++ {
			t.Run(at.String()+"/"+c.String(), func(t *testing.T) {
				t.Parallel()
				var ended done
				_, err := call(context.Background(), serve(t, pipeline(t, refuse(at, c), ended.part()), &service{}), message("a"))
				got := status.Convert(err)
				if got.Code() == codes.OK || got.Code() != codes.Code(c.GRPC()) || got.Message() != c.Title() {
					t.Errorf("got %v %q, want %v %q", got.Code(), got.Message(), codes.Code(c.GRPC()), c.Title())
				}
				if i := info(err); i.GetReason() != string(reason) || i.GetDomain() != "palegate" || i.GetMetadata()["id"] == "" {
					t.Errorf("got details %v", i)
				}
				ended.wait(t, 1)
				if ended.state < 400 {
					t.Errorf("ended with status %d", ended.state)
				}
			})
		}
	}
}

func TestRefusalDetails(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody} {
		t.Run(at.String(), func(t *testing.T) {
			_, err := call(context.Background(), serve(t, pipeline(t, check{at, func(*guard.Exchange, guard.Phase) guard.Decision {
				return guard.Decision{
					Effect: guard.Refuse, Cause: guard.CauseExhausted, Reason: reason,
					Violations: []guard.Violation{{At: "body:/qty", Rule: "minimum", Text: "must be at least 1"}},
					RetryAfter: 1500 * time.Millisecond,
					Detail:     "kept here", Err: errors.New("kept here"),
					Findings: []guard.Finding{{Rule: "kept here"}},
				}
			}}), &service{}), message("a"))
			st := status.Convert(err)
			var bad *errdetails.BadRequest
			var retry *errdetails.RetryInfo
			for _, d := range st.Details() {
				switch d := d.(type) {
				case *errdetails.BadRequest:
					bad = d
				case *errdetails.RetryInfo:
					retry = d
				}
			}
			if v := bad.GetFieldViolations(); len(v) != 1 || v[0].GetField() != "body:/qty" ||
				v[0].GetReason() != "minimum" || v[0].GetDescription() != "must be at least 1" {
				t.Errorf("violations: %v", v)
			}
			if got := retry.GetRetryDelay().AsDuration(); got != 1500*time.Millisecond {
				t.Errorf("retry delay: %v", got)
			}
			if strings.Contains(st.Proto().String(), "kept here") {
				t.Errorf("leaks: %v", st.Proto())
			}
		})
	}
}

// However many violations there are, the refusal arrives.
func TestManyViolations(t *testing.T) {
	many := make([]guard.Violation, 1000)
	for i := range many {
		many[i] = guard.Violation{At: "body:/items/1/description", Rule: "maxLength", Text: "must be at most 100 characters long"}
	}
	_, err := call(context.Background(), serve(t, pipeline(t, check{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInvalid, Reason: reason, Violations: many}
	}}), &service{}), message("a"))
	if status.Code(err) != codes.InvalidArgument || info(err).GetReason() != string(reason) {
		t.Errorf("got %v", err)
	}
}
