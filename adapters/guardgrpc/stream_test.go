package guardgrpc_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/guard"
)

type bidi = grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]

// converse sends n messages and returns how many came back, with the header
// and the final error.
func converse(t *testing.T, cc *grpc.ClientConn, n int) (back int, header metadata.MD, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := testpb.NewTestServiceClient(cc).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		s.Send(&testpb.StreamingOutputCallRequest{}) // its error comes with Recv
	}
	s.CloseSend()
	for {
		if _, err = s.Recv(); err != nil {
			break
		}
		back++
	}
	header, _ = s.Header()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return back, header, err
}

// No body guard is skipped in silence.
func TestStreamFailsClosed(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode guard.Mode
		at   guard.Phase
		want codes.Code
	}{
		{"no body guard", guard.ModeEnforce, guard.RequestHead | guard.ResponseHead, codes.OK},
		{"request", guard.ModeEnforce, guard.RequestBody, codes.Unimplemented},
		{"response", guard.ModeEnforce, guard.ResponseBody, codes.Unimplemented},
		{"monitored", guard.ModeMonitor, guard.RequestBody | guard.ResponseBody, codes.OK},
		{"off", guard.ModeOff, guard.RequestBody | guard.ResponseBody, codes.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ended done
			s := &service{}
			p := pipeline(t, guard.Use{Name: "a", Mode: tt.mode, Part: check{tt.at, func(*guard.Exchange, guard.Phase) guard.Decision {
				return guard.Decision{}
			}}}, ended.part())
			back, _, err := converse(t, serve(t, p, s), 3)
			if status.Code(err) != tt.want {
				t.Errorf("got %v", err)
			}
			if ok := tt.want == codes.OK; ok != (back == 3) || ok != (s.calls.Load() == 1) {
				t.Errorf("%d messages came back; handled %d", back, s.calls.Load())
			}
			if tt.want != codes.OK && info(err).GetReason() != string(guard.ReasonUnread) {
				t.Errorf("details: %v", info(err))
			}
			ended.wait(t, 1)
		})
	}
}

func TestStreamRefusedAtHead(t *testing.T) {
	var ended done
	s := &service{}
	_, _, err := converse(t, serve(t, pipeline(t, refuse(guard.RequestHead, guard.CauseUnauthenticated), ended.part()), s), 1)
	if status.Code(err) != codes.Unauthenticated || s.calls.Load() != 0 {
		t.Errorf("got %v; handled %d", err, s.calls.Load())
	}
	ended.wait(t, 1)
}

// A handler cannot turn a refusal of its answer into success, however it sends.
func TestStreamRefusedAtAnswer(t *testing.T) {
	for name, send := range map[string]func(bidi) error{
		"message":       func(s bidi) error { return s.Send(&testpb.StreamingOutputCallResponse{}) },
		"header":        func(s bidi) error { return s.SendHeader(metadata.Pairs("x-secret", "1")) },
		"ctx header":    func(s bidi) error { return grpc.SendHeader(s.Context(), metadata.Pairs("x-secret", "1")) },
		"nothing":       func(bidi) error { return nil },
		"set by stream": func(s bidi) error { return s.SetHeader(metadata.Pairs("x-secret", "1")) },
	} {
		t.Run(name, func(t *testing.T) {
			var ended done
			s := &service{both: func(s bidi) error {
				s.SetHeader(metadata.Pairs("x-secret", "1"))
				err := send(s)
				if later := s.Send(&testpb.StreamingOutputCallResponse{}); err != nil && status.Code(later) != codes.Internal {
					t.Errorf("sending on after %v: %v", err, later)
				}
				if s.Context().Err() == nil {
					t.Error("the handler's context goes on")
				}
				return nil
			}}
			back, header, err := converse(t, serve(t, pipeline(t, refuse(guard.ResponseHead, guard.CauseInternal), ended.part()), s), 1)
			if status.Code(err) != codes.Internal || back != 0 || len(header["x-secret"]) != 0 {
				t.Errorf("got %d messages, header %v, %v", back, header, err)
			}
			ended.wait(t, 1)
		})
	}
}

func TestStreamHeader(t *testing.T) {
	for name, at := range map[string]guard.Phase{"added early": guard.RequestHead, "added late": guard.ResponseHead} {
		t.Run(name, func(t *testing.T) {
			heads := 0
			s := &service{both: func(s bidi) error {
				s.SetHeader(metadata.Pairs("x-set", "1"))
				grpc.SetHeader(s.Context(), metadata.Pairs("x-set-too", "1"))
				s.SendHeader(metadata.Pairs("x-sent", "1"))
				s.Send(&testpb.StreamingOutputCallResponse{})
				return s.Send(&testpb.StreamingOutputCallResponse{})
			}}
			p := pipeline(t, check{at, addRate}, guard.Use{Name: "m", Mode: guard.ModeMonitor, Part: check{
				guard.ResponseHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
					heads++
					if x.Response().Header().Get("X-Sent") == "" || x.Response().Status() != 200 {
						t.Errorf("status %d, header %v", x.Response().Status(), x.Response().Header())
					}
					return guard.Decision{}
				},
			}})
			back, header, err := converse(t, serve(t, p, s), 0)
			if err != nil || back != 2 || heads != 1 {
				t.Errorf("got %d messages, %d heads judged, %v", back, heads, err)
			}
			for _, key := range []string{"x-set", "x-set-too", "x-sent", "ratelimit"} {
				if len(header[key]) != 1 {
					t.Errorf("%s: %q", key, header[key])
				}
			}
		})
	}
}

// A stream does not outlive its principal.
func TestStreamOutlivesPrincipal(t *testing.T) {
	var ended done
	p := pipeline(t, check{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Principal: &guard.Principal{Subject: "u", Expires: time.Now().Add(100 * time.Millisecond)}}
	}}, ended.part())
	s := &service{both: func(s bidi) error {
		for s.Send(&testpb.StreamingOutputCallResponse{}) == nil {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}}
	back, _, err := converse(t, serve(t, p, s), 0)
	if status.Code(err) != codes.Unauthenticated || info(err).GetReason() != string(guard.ReasonExpired) || back == 0 {
		t.Errorf("got %d messages, %v", back, err)
	}
	ended.wait(t, 1)
}

// A canceled stream is ended when its handler is, and judged no more.
func TestStreamCanceled(t *testing.T) {
	var ended done
	started := make(chan struct{})
	s := &service{both: func(s bidi) error {
		started <- struct{}{}
		<-s.Context().Done()
		return s.Context().Err()
	}}
	cc := serve(t, pipeline(t, check{guard.ResponseHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		t.Error("an answer to nobody was judged")
		return guard.Decision{}
	}}, ended.part()), s)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := testpb.NewTestServiceClient(cc).FullDuplexCall(ctx); err != nil {
			t.Fatal(err)
		}
		<-started
		cancel()
	}
	ended.wait(t, 20)
	if ended.state != guard.CauseGone.HTTP() {
		t.Errorf("ended with status %d", ended.state)
	}
}
