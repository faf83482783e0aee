package guardgrpc_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/guard"
)

// headers answers with a header, a trailer and err.
func headers(send bool, err error) *service {
	return &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		grpc.SetHeader(ctx, metadata.Pairs("x-both", "handler", "x-handler", "1"))
		if send {
			grpc.SendHeader(ctx, metadata.Pairs("x-sent", "1"))
		}
		grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "1"))
		return &testpb.SimpleResponse{}, err
	}}
}

func TestAnswerHeader(t *testing.T) {
	set := func(name string, values ...string) guard.Edit {
		return guard.Edit{In: guard.InHeader, Name: name, Values: values}
	}
	for _, tt := range []struct {
		name string
		part []guard.Part
		send bool
		err  error
		want metadata.MD // nil values: absent
	}{
		{"untouched", nil, true, nil, metadata.MD{"x-both": {"handler"}, "x-handler": {"1"}, "x-sent": {"1"}}},
		{
			"added early",
			[]guard.Part{stage(guard.RequestHead, set("X-Guard", "1")), check{guard.RequestHead, addRate}},
			false, nil,
			metadata.MD{"x-both": {"handler"}, "ratelimit": {"9"}},
		},
		{
			"added late",
			[]guard.Part{stage(guard.ResponseHead, set("X-Guard", "1"))},
			true, nil,
			metadata.MD{"x-handler": {"1"}, "x-sent": {"1"}, "x-guard": {"1"}},
		},
		{
			"replaced and removed", []guard.Part{
				stage(guard.ResponseHead, set("X-Both", "guard")), stage(guard.ResponseHead, set("X-Sent")),
			}, true, nil, metadata.MD{"x-both": {"guard"}, "x-handler": {"1"}, "x-sent": nil},
		},
		{
			"with an error",
			[]guard.Part{stage(guard.ResponseHead, set("X-Both", "guard"))},
			false, status.Error(codes.NotFound, "no"),
			metadata.MD{"x-both": {"guard"}, "x-handler": {"1"}},
		},
		{
			"refused",
			[]guard.Part{refuse(guard.ResponseHead, guard.CauseInternal)},
			true, nil,
			metadata.MD{"x-both": nil, "x-handler": nil, "x-sent": nil},
		},
		{
			"refused with a header",
			[]guard.Part{check{guard.RequestBody, refuseRate}},
			false, nil,
			metadata.MD{"ratelimit": {"9"}, "x-handler": nil},
		},
		{
			"answer refused with a header",
			[]guard.Part{check{guard.ResponseHead, refuseRate}},
			true, nil,
			metadata.MD{"ratelimit": {"9"}, "x-handler": nil, "x-sent": nil},
		},
		{
			"body refused",
			[]guard.Part{refuse(guard.ResponseBody, guard.CauseInternal)},
			true, nil,
			metadata.MD{"x-both": nil, "x-handler": nil, "x-sent": nil},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got metadata.MD
			_, err := call(context.Background(), serve(t, pipeline(t, tt.part...), headers(tt.send, tt.err)), message("a"), grpc.Header(&got))
			if tt.err != nil && status.Code(err) != status.Code(tt.err) {
				t.Errorf("got %v", err)
			}
			for key, want := range tt.want {
				if !slices.Equal(got[key], want) {
					t.Errorf("%s: got %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

func addRate(x *guard.Exchange, _ guard.Phase) guard.Decision {
	x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "RateLimit", Values: []string{"9"}})
	return guard.Decision{}
}

func refuseRate(x *guard.Exchange, at guard.Phase) guard.Decision {
	addRate(x, at)
	return no(guard.CauseExhausted)
}

func TestTrailer(t *testing.T) {
	p := pipeline(t, stage(guard.ResponseBody, guard.Edit{In: guard.InTrailer, Name: "X-Guard", Values: []string{"1"}}))
	var got metadata.MD
	_, err := call(context.Background(), serve(t, p, headers(false, nil)), message("a"), grpc.Trailer(&got))
	if err != nil || len(got["x-guard"]) != 1 || len(got["x-trailer"]) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}

// Guards see what the handler answers in the terms of HTTP.
func TestAnswerHead(t *testing.T) {
	for _, mode := range []guard.Mode{guard.ModeEnforce, guard.ModeMonitor} {
		for code, want := range map[codes.Code]int{codes.OK: 200, codes.NotFound: 404, codes.Unauthenticated: 401, codes.Code(99): 500} {
			var got int
			var header, contentType string
			bodies := 0
			p := pipeline(t, guard.Use{Name: "a", Mode: mode, Part: check{
				guard.ResponseHead | guard.ResponseBody,
				func(x *guard.Exchange, at guard.Phase) guard.Decision {
					if at == guard.ResponseBody {
						bodies++
						return guard.Decision{}
					}
					got, header = x.Response().Status(), x.Response().Header().Get("X-Both")
					contentType = x.Response().Header().Get("Content-Type")
					return guard.Decision{}
				},
			}})
			_, err := call(context.Background(), serve(t, p, headers(false, status.Error(code, "text"))), message("a"))
			if status.Code(err) != code || got != want || header != "handler" || contentType != "application/grpc" {
				t.Errorf("%v %v: guards saw %d %q %q, the client %v", mode, code, got, header, contentType, err)
			}
			if (bodies == 1) != (code == codes.OK) {
				t.Errorf("%v %v: %d bodies", mode, code, bodies)
			}
		}
	}
}

// A handler's panic is for whoever is around: here an interceptor in front.
func TestHandlerPanics(t *testing.T) {
	var ended done
	s := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		grpc.SendHeader(ctx, metadata.Pairs("x-secret", "half"))
		panic("the handler's own")
	}}
	heads := 0
	p := pipeline(t, check{guard.ResponseHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		heads++
		return guard.Decision{}
	}}, ended.part())
	cc := serve(t, p, s, grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
			defer func() { err = status.Error(codes.DataLoss, recover().(string)) }()
			return h(ctx, req)
		}))
	var header metadata.MD
	_, err := call(context.Background(), cc, message("a"), grpc.Header(&header))
	if status.Convert(err).Message() != "the handler's own" || len(header["x-secret"]) != 0 || heads != 0 {
		t.Errorf("got %v, header %v, %d heads judged", err, header, heads)
	}
	ended.wait(t, 1)
}

// A client that went away is no failure of anybody: nothing is judged for it.
func TestClientGone(t *testing.T) {
	var ended done
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{unary: func(handlers context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		cancel()
		<-handlers.Done()
		return &testpb.SimpleResponse{}, nil
	}}
	p := pipeline(t, check{guard.ResponseHead | guard.ResponseBody, func(*guard.Exchange, guard.Phase) guard.Decision {
		t.Error("an answer to nobody was judged")
		return guard.Decision{}
	}}, ended.part())
	if _, err := call(ctx, serve(t, p, s), message("a")); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	ended.wait(t, 1)
	if ended.state != guard.CauseGone.HTTP() {
		t.Errorf("ended with status %d", ended.state)
	}
}

// What an interceptor in front refuses is ended all the same.
func TestRefusedInFront(t *testing.T) {
	var ended done
	cc := serve(t, pipeline(t, ended.part()), &service{}, grpc.UnaryInterceptor(
		func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.Aborted, "in front")
		}))
	if _, err := call(context.Background(), cc, message("a")); status.Code(err) != codes.Aborted {
		t.Errorf("got %v", err)
	}
	ended.wait(t, 1)
}

// An interceptor in front that tries again begins another exchange.
func TestRetriedInFront(t *testing.T) {
	var ended done
	heads := 0
	s := &service{}
	p := pipeline(t, check{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		heads++
		return guard.Decision{}
	}}, refuse(guard.RequestBody, guard.CauseUnavailable), ended.part())
	cc := serve(t, p, s, grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			h(ctx, req)
			return h(ctx, req)
		}))
	if _, err := call(context.Background(), cc, message("a")); status.Code(err) != codes.Unavailable || heads != 2 || s.calls.Load() != 0 {
		t.Errorf("got %v, %d heads judged, %d handled", err, heads, s.calls.Load())
	}
}
