package guardgrpc_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

// decodes counts what a server decodes.
type decodes struct {
	encoding.CodecV2
	n atomic.Int64
}

func newDecodes() *decodes { return &decodes{CodecV2: encoding.GetCodecV2(proto.Name)} }

func (d *decodes) Unmarshal(data mem.BufferSlice, v any) error {
	d.n.Add(1)
	return d.CodecV2.Unmarshal(data, v)
}

func TestAllowed(t *testing.T) {
	var ended done
	s := &service{}
	cc := serve(t, pipeline(t, check{
		guard.RequestHead | guard.RequestBody | guard.ResponseHead | guard.ResponseBody,
		func(*guard.Exchange, guard.Phase) guard.Decision { return guard.Decision{} },
	}, ended.part()), s)
	got, err := call(context.Background(), cc, message("hello"))
	if err != nil || got.GetUsername() != "hello" {
		t.Errorf("got %v, %v", got, err)
	}
	ended.wait(t, 1)
	if ended.last != unaryCall || ended.state != 200 {
		t.Errorf("ended with route %q and status %d", ended.last, ended.state)
	}
}

// A refusal at the head costs neither the client nor us the message.
func TestRefusedAtHead(t *testing.T) {
	var ended done
	s, codec, l := &service{}, newDecodes(), &counted{Listener: listen(t)}
	server := guardgrpc.NewServer(pipeline(t, refuse(guard.RequestHead, guard.CauseForbidden), ended.part()),
		grpc.ForceServerCodecV2(codec))
	testpb.RegisterTestServiceServer(server, s)
	cc := connect(t, server, l, insecureCreds)
	big := &testpb.SimpleRequest{Payload: &testpb.Payload{Body: make([]byte, 3<<20)}}
	_, err := call(context.Background(), cc, big)
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v", err)
	}
	ended.wait(t, 1)
	if n := codec.n.Load(); n != 0 || s.calls.Load() != 0 {
		t.Errorf("%d messages decoded, %d handled", n, s.calls.Load())
	}
	if n := l.read.Load(); n > 1<<20 {
		t.Errorf("%d bytes received of a refused message of %d", n, 3<<20)
	}
}

// gRPC keeps a timer for each RPC that a tap has refused, until the deadline
// that its client chose. Far ones are refused by the interceptor.
func TestRefusedWithDeadline(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		decodes int64
	}{{"near", 10 * time.Second, 0}, {"far", time.Hour, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			var ended done
			s, codec := &service{}, newDecodes()
			cc := serve(t, pipeline(t, refuse(guard.RequestHead, guard.CauseForbidden), ended.part()), s, grpc.ForceServerCodecV2(codec))
			ctx, cancel := context.WithTimeout(context.Background(), tt.timeout)
			defer cancel()
			_, err := call(ctx, cc, message("a"))
			if got, n := status.Code(err), codec.n.Load(); got != codes.PermissionDenied || n != tt.decodes || s.calls.Load() != 0 {
				t.Errorf("got %v, %d messages decoded, want %d; %d handled", got, n, tt.decodes, s.calls.Load())
			}
			_, err = testpb.NewTestServiceClient(cc).StreamingInputCall(ctx)
			if err == nil {
				err = cc.Invoke(ctx, "/grpc.testing.TestService/Nope", message("a"), &testpb.SimpleResponse{})
			}
			if status.Code(err) == codes.OK {
				t.Error("an unknown method was answered")
			}
			ended.wait(t, 3)
		})
	}
}

// Interceptors do not see methods that do not exist; guards do.
func TestUnknownMethod(t *testing.T) {
	for _, method := range []string{"/grpc.testing.TestService/Nope", "/no.Service/UnaryCall", "/malformed"} {
		t.Run(method, func(t *testing.T) {
			var ended done
			judged := atomic.Int64{}
			p := pipeline(t, guard.Use{
				Name: "routed", Routes: []string{"/other.Service/*"}, // runs for what has no route
				Part: check{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
					judged.Add(1)
					return guard.Decision{}
				}},
			}, ended.part())
			cc := serve(t, p, &service{})
			err := cc.Invoke(context.Background(), method, message("a"), &testpb.SimpleResponse{})
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("got %v", err)
			}
			ended.wait(t, 1)
			if judged.Load() != 1 || ended.last != "" {
				t.Errorf("judged %d times; the route is %q", judged.Load(), ended.last)
			}
		})
	}
}

// ServerOptions cannot know what is registered.
func TestServerOptions(t *testing.T) {
	var ended done
	server := grpc.NewServer(guardgrpc.ServerOptions(pipeline(t, ended.part()))...)
	testpb.RegisterTestServiceServer(server, &service{})
	cc := connect(t, server, listen(t), insecureCreds)
	err := cc.Invoke(context.Background(), "/a.B/C", message("a"), &testpb.SimpleResponse{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	ended.wait(t, 1)
	if ended.last != "/a.B/C" {
		t.Errorf("the route is %q", ended.last)
	}
	if _, err := call(context.Background(), cc, message("a")); err != nil {
		t.Error(err)
	}
	ended.wait(t, 2)
}

func TestHeader(t *testing.T) {
	p := pipeline(t, check{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		h := x.Request().Header()
		if h.Get("X-Text") != "a" || h.Get("X-Bytes-Bin") != "\x00\xff" || h.Get("Content-Type") != "application/grpc" || len(h[":authority"]) > 0 {
			return no(guard.CauseMalformed)
		}
		if r := x.Request().HTTP(); r.Host == "" || r.Method != "POST" || r.URL.Path != unaryCall {
			return no(guard.CauseInvalid)
		}
		return guard.Decision{}
	}})
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-text", "a", "x-bytes-bin", "\x00\xff")
	if _, err := call(ctx, serve(t, p, &service{}), message("a")); err != nil {
		t.Error(err)
	}
}

// Edits of the header reach the handler, from whichever phase.
func TestHeaderEdited(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.RequestHead | guard.RequestBody} {
		t.Run(at.String(), func(t *testing.T) {
			var got metadata.MD
			s := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				got, _ = metadata.FromIncomingContext(ctx)
				return &testpb.SimpleResponse{}, nil
			}}
			p := pipeline(t,
				stage(at, guard.Edit{In: guard.InHeader, Name: "X-User", Values: []string{"from the guard"}}),
				stage(at, guard.Edit{In: guard.InHeader, Name: "X-Secret"}),
				guard.Use{Name: "m", Mode: guard.ModeMonitor, Part: stage(at, guard.Edit{In: guard.InHeader, Name: "X-Kept"})})
			ctx := metadata.AppendToOutgoingContext(context.Background(), "x-user", "from the client", "x-secret", "s", "x-kept", "k")
			if _, err := call(ctx, serve(t, p, s), message("a")); err != nil {
				t.Fatal(err)
			}
			if v := got.Get("x-user"); len(v) != 1 || v[0] != "from the guard" {
				t.Errorf("x-user is %q", v)
			}
			if len(got.Get("x-secret")) != 0 || len(got.Get("x-kept")) != 1 || len(got.Get(":authority")) != 1 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPanickingGuard(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestHead, guard.RequestBody, guard.ResponseHead, guard.ResponseBody} {
		t.Run(at.String(), func(t *testing.T) {
			var ended done
			p := pipeline(t, check{at, func(*guard.Exchange, guard.Phase) guard.Decision { panic("a bug") }}, ended.part())
			_, err := call(context.Background(), serve(t, p, &service{}), message("a"))
			if status.Code(err) != codes.Internal || info(err).GetReason() != string(guard.ReasonPanic) {
				t.Errorf("got %v", err)
			}
			ended.wait(t, 1)
		})
	}
}
