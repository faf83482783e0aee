package guardgrpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

const (
	unaryCall = "/grpc.testing.TestService/UnaryCall"
	reason    = guard.Reason("test.no")
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // refusals are what the tests are about
	os.Exit(m.Run())
}

// check is a guard, and its own Part.
type check struct {
	phases guard.Phase
	judge  func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (c check) Guard(guard.Guard) (guard.Guard, error) { return c, nil }
func (c check) Phases() guard.Phase                    { return c.phases }
func (c check) Reasons() []guard.Reason                { return []guard.Reason{reason} }
func (c check) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	return c.judge(x, at)
}

func no(cause guard.Cause) guard.Decision {
	return guard.Decision{Effect: guard.Refuse, Cause: cause, Reason: reason}
}

// refuse refuses at the phases.
func refuse(at guard.Phase, cause guard.Cause) check {
	return check{at, func(*guard.Exchange, guard.Phase) guard.Decision { return no(cause) }}
}

// stage stages an edit of the request's or response's side, by the phase.
func stage(at guard.Phase, e guard.Edit) check {
	return check{at, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		if at&(guard.RequestHead|guard.RequestBody) != 0 {
			x.Request().Stage(e)
		} else {
			x.Response().Stage(e)
		}
		return guard.Decision{Effect: guard.Transform, Reason: reason}
	}}
}

// done counts how often each exchange was ended.
type done struct {
	mu    sync.Mutex
	ends  map[string]int
	last  string // route
	state int    // last status
}

func (d *done) part() guard.Part {
	return guard.Use{Name: "done", Part: check{guard.Done, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.ends == nil {
			d.ends = map[string]int{}
		}
		d.ends[x.ID()]++
		d.last, d.state = x.Route(), x.Response().Status()
		return guard.Decision{}
	}}}
}

// wait waits until n exchanges have ended and fails if one has ended twice.
func (d *done) wait(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		got, twice := len(d.ends), 0
		for _, times := range d.ends {
			if times != 1 {
				twice++
			}
		}
		d.mu.Unlock()
		if got == n && twice == 0 {
			return
		}
		if time.Now().After(end) || got > n || twice > 0 {
			t.Fatalf("%d exchanges ended, %d of them more than once; want %d, each once", got, twice, n)
		}
	}
}

// pipeline gives parts names, for there are several of a type.
func pipeline(t testing.TB, parts ...guard.Part) *guard.Pipeline {
	t.Helper()
	for i, part := range parts {
		if _, ok := part.(check); ok {
			parts[i] = guard.Use{Name: string(rune('a' + i)), Part: part}
		}
	}
	p, err := guard.New(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// service is the service behind the guards.
type service struct {
	testpb.UnimplementedTestServiceServer
	calls atomic.Int64
	unary func(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
	both  func(s grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error
}

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.calls.Add(1)
	if s.unary != nil {
		return s.unary(ctx, in)
	}
	return &testpb.SimpleResponse{Username: in.GetResponseStatus().GetMessage(), Payload: in.GetPayload()}, nil
}

func (s *service) FullDuplexCall(
	stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse],
) error {
	s.calls.Add(1)
	if s.both != nil {
		return s.both(stream)
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// serve serves s behind p and returns a connection to it.
func serve(t testing.TB, p *guard.Pipeline, s *service, opts ...grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	server := guardgrpc.NewServer(p, opts...)
	testpb.RegisterTestServiceServer(server, s)
	return connect(t, server, listen(t), insecureCreds)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func message(text string) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Message: text}}
}

func call(ctx context.Context, cc *grpc.ClientConn, in *testpb.SimpleRequest, opts ...grpc.CallOption) (*testpb.SimpleResponse, error) {
	return testpb.NewTestServiceClient(cc).UnaryCall(ctx, in, opts...)
}
