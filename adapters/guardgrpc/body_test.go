package guardgrpc_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

// replace puts new in the place of old in a message's bytes, of equal length.
func replace(at guard.Phase, from, to string) check {
	return check{at, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		m := x.Request()
		if at == guard.ResponseBody {
			m = x.Response()
		}
		b, err := m.Body()
		if err != nil {
			return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: reason, Err: err}
		}
		m.Stage(guard.Edit{In: guard.InBody, Body: bytes.ReplaceAll(b.Bytes(), []byte(from), []byte(to))})
		return guard.Decision{Effect: guard.Transform, Reason: reason}
	}}
}

func TestRefusedAtBody(t *testing.T) {
	s := &service{}
	cc := serve(t, pipeline(t, check{guard.RequestBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		b, err := x.Request().Body()
		if err != nil || bytes.Contains(b.Bytes(), []byte("attack")) {
			return no(guard.CauseForbidden)
		}
		return guard.Decision{}
	}}), s)
	if _, err := call(context.Background(), cc, message("an attack")); status.Code(err) != codes.PermissionDenied || s.calls.Load() != 0 {
		t.Errorf("got %v; handled %d", err, s.calls.Load())
	}
	if _, err := call(context.Background(), cc, message("fine")); err != nil || s.calls.Load() != 1 {
		t.Errorf("got %v; handled %d", err, s.calls.Load())
	}
}

// An edit makes another message: the handler's own, which it keeps, and the
// request that interceptors in front hold stay as they are.
func TestBodyEdited(t *testing.T) {
	cached := &testpb.SimpleResponse{Username: "secret"}
	s := &service{unary: func(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		if got := in.GetResponseStatus().GetMessage(); got != "tame" {
			t.Errorf("the handler got %q", got)
		}
		return cached, nil
	}}
	var outer string
	cc := serve(t, pipeline(t, replace(guard.RequestBody, "wild", "tame"), replace(guard.ResponseBody, "secret", "******")), s,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			resp, err := h(ctx, req)
			outer = req.(*testpb.SimpleRequest).GetResponseStatus().GetMessage()
			return resp, err
		}))
	for range 2 {
		got, err := call(context.Background(), cc, message("wild"))
		if err != nil || got.GetUsername() != "******" {
			t.Errorf("got %v, %v", got, err)
		}
	}
	if cached.GetUsername() != "secret" || outer != "wild" {
		t.Errorf("the handler's message is now %q, the request %q", cached.GetUsername(), outer)
	}
}

// unknown returns a message with a field that its type does not have.
func unknown(t *testing.T) *testpb.SimpleRequest {
	t.Helper()
	raw, err := proto.Marshal(message("wild"))
	if err != nil {
		t.Fatal(err)
	}
	m := &testpb.SimpleRequest{}
	if err := proto.Unmarshal(append(raw, 0xfa, 0x3f, 3, 'n', 'e', 'w'), m); err != nil { // field 1023
		t.Fatal(err)
	}
	return m
}

func TestUnknownFieldsKept(t *testing.T) {
	var got []byte
	s := &service{unary: func(_ context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		got = in.ProtoReflect().GetUnknown()
		out := &testpb.SimpleResponse{Username: "secret"}
		out.ProtoReflect().SetUnknown(got)
		return out, nil
	}}
	cc := serve(t, pipeline(t, replace(guard.RequestBody, "wild", "tame"), replace(guard.ResponseBody, "secret", "******")), s)
	answer, err := call(context.Background(), cc, unknown(t))
	if err != nil || !bytes.HasSuffix(got, []byte("new")) || !bytes.HasSuffix(answer.ProtoReflect().GetUnknown(), []byte("new")) {
		t.Errorf("%v: the handler got %q, the client %q", err, got, answer.ProtoReflect().GetUnknown())
	}
}

func TestBrokenEdit(t *testing.T) {
	for _, at := range []guard.Phase{guard.RequestBody, guard.ResponseBody} {
		s := &service{}
		_, err := call(context.Background(), serve(t, pipeline(t, stage(at, guard.Edit{In: guard.InBody, Body: []byte{0xff}})), s), message("a"))
		if status.Code(err) != codes.Internal || info(err).GetReason() != string(guard.ReasonEdit) {
			t.Errorf("%v: got %v", at, err)
		}
		if at == guard.RequestBody && s.calls.Load() != 0 {
			t.Error("the handler ran")
		}
	}
}

func TestMonitoredChangesNothing(t *testing.T) {
	var seen []guard.Decision
	all := guard.RequestHead | guard.RequestBody | guard.ResponseHead | guard.ResponseBody
	monitor := func(name string, c check) guard.Part {
		return guard.Use{Name: name, Mode: guard.ModeMonitor, Part: c}
	}
	p := pipeline(t,
		monitor("refuse", refuse(all, guard.CauseForbidden)),
		monitor("panic", check{all, func(*guard.Exchange, guard.Phase) guard.Decision { panic("a bug") }}),
		monitor("request", replace(guard.RequestBody, "wild", "tame")),
		monitor("response", replace(guard.ResponseBody, "wild", "tame")),
		monitor("header", stage(all, guard.Edit{In: guard.InHeader, Name: "X-Guard", Values: []string{"1"}})),
		guard.Use{Name: "end", Part: check{guard.Done, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			seen = x.Decisions()
			return guard.Decision{}
		}}})
	got, err := call(context.Background(), serve(t, p, &service{}), message("wild"))
	if err != nil || got.GetUsername() != "wild" {
		t.Errorf("got %v, %v", got, err)
	}
	if len(seen) != 14 { // three guards at four phases, two at one
		t.Errorf("%d decisions", len(seen))
	}
	for _, d := range seen {
		if !d.Shadow {
			t.Errorf("not in shadow: %v", d)
		}
	}
}

// raw is a codec that hands bytes through, as proxies use.
type raw struct{}

func (raw) Name() string { return "raw" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// rawService answers with what it got.
var rawService = grpc.ServiceDesc{
	ServiceName: "raw.Service", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(
		srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
	) (any, error) {
		in := new([]byte)
		if err := decode(in); err != nil {
			return nil, err
		}
		return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/raw.Service/Echo"},
			func(_ context.Context, req any) (any, error) { return req, nil })
	}}},
}

// Guards cannot be shown messages that are no protobuf messages.
func TestOtherCodec(t *testing.T) {
	for _, tt := range []struct {
		name string
		mode guard.Mode
		at   guard.Phase
		want codes.Code
	}{
		{"request", guard.ModeEnforce, guard.RequestBody, codes.InvalidArgument},
		{"response", guard.ModeEnforce, guard.ResponseBody, codes.Internal},
		{"head only", guard.ModeEnforce, guard.RequestHead, codes.OK},
		{"monitored", guard.ModeMonitor, guard.RequestBody | guard.ResponseBody, codes.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := guardgrpc.NewServer(pipeline(t, guard.Use{Name: "a", Mode: tt.mode, Part: check{
				tt.at,
				func(x *guard.Exchange, at guard.Phase) guard.Decision {
					if _, err := x.Request().Body(); at == guard.RequestBody && err == nil {
						t.Error("a guard was shown a body")
					}
					return guard.Decision{}
				},
			}}), grpc.ForceServerCodecV2(raw{}))
			server.RegisterService(&rawService, nil)
			cc := connect(t, server, listen(t), insecureCreds)
			in, out := []byte("hello"), []byte(nil)
			err := cc.Invoke(context.Background(), "/raw.Service/Echo", &in, &out, grpc.ForceCodecV2(raw{}))
			if status.Code(err) != tt.want || err == nil && string(out) != "hello" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

// old is a message of the first protobuf API.
type old struct {
	Text string `protobuf:"bytes,1,opt,name=text"`
}

func (m *old) Reset()         { *m = old{} }
func (m *old) String() string { return m.Text }
func (*old) ProtoMessage()    {}

func TestOldMessage(t *testing.T) {
	server := guardgrpc.NewServer(pipeline(t, replace(guard.RequestBody, "wild", "tame")))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "old.Service", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(
			srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (any, error) {
			in := &old{}
			if err := decode(in); err != nil {
				return nil, err
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/old.Service/Echo"},
				func(_ context.Context, req any) (any, error) { return req.(*old), nil })
		}}},
	}, nil)
	out := &old{}
	err := connect(t, server, listen(t), insecureCreds).Invoke(context.Background(), "/old.Service/Echo", &old{Text: "wild"}, out)
	if err != nil || out.Text != "tame" {
		t.Errorf("got %q, %v", out.Text, err)
	}
}

// Messages that came compressed are judged as the handler reads them.
func TestCompressed(t *testing.T) {
	cc := serve(t, pipeline(t, replace(guard.RequestBody, "wild", "tame")), &service{})
	got, err := call(context.Background(), cc, message(strings.Repeat("wild", 1000)), grpc.UseCompressor("gzip"))
	if err != nil || got.GetUsername() != strings.Repeat("tame", 1000) {
		t.Errorf("got %.20s, %v", got.GetUsername(), err)
	}
}
