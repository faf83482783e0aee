package guardgrpc_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

// Server.ServeHTTP calls no tap: the interceptors judge the head.
func TestServeHTTP(t *testing.T) {
	var ended done
	server := guardgrpc.NewServer(pipeline(t, check{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		if x.Request().Header().Get("X-Token") == "" || x.Client().Addr.String() != "127.0.0.1" {
			return no(guard.CauseUnauthenticated)
		}
		return guard.Decision{}
	}}, replace(guard.RequestBody, "wild", "tame"), ended.part()))
	testpb.RegisterTestServiceServer(server, &service{})
	l := listen(t)
	outer := &http.Server{Handler: server, Protocols: new(http.Protocols)}
	outer.Protocols.SetUnencryptedHTTP2(true)
	go outer.Serve(l)
	t.Cleanup(func() { outer.Close() })
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecureCreds))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := call(context.Background(), cc, message("wild")); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-token", "1")
	if got, err := call(ctx, cc, message("wild")); err != nil || got.GetUsername() != "tame" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, _, err := converse(t, cc, 1); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v", err)
	}
	ended.wait(t, 3)
}

// A second tap is a programmer's error that gRPC finds.
func TestSecondTap(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	guardgrpc.NewServer(pipeline(t), grpc.InTapHandle(
		func(ctx context.Context, _ *tap.Info) (context.Context, error) { return ctx, nil }))
}

// Each RPC has an exchange of its own, and each is ended once, whatever
// becomes of it.
func TestConcurrent(t *testing.T) {
	const n, clients = 1000, 50
	var ended done
	var mixed atomic.Int64
	p := pipeline(t,
		check{guard.RequestHead | guard.ResponseBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
			id := x.Request().Header().Get("X-Id")
			if at == guard.RequestHead && strings.HasSuffix(id, "7") {
				return no(guard.CauseForbidden)
			}
			if at == guard.ResponseBody {
				if b, err := x.Response().Body(); err != nil || !strings.Contains(string(b.Bytes()), id) {
					mixed.Add(1)
				}
			}
			return guard.Decision{}
		}},
		replace(guard.ResponseBody, "wild", "tame"),
		ended.part())
	cc := serve(t, p, &service{})
	var wg sync.WaitGroup
	work := make(chan int)
	for range clients {
		wg.Go(func() {
			for i := range work {
				id := "id-" + string(rune('a'+i%26)) + string(rune('0'+i%10))
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				ctx = metadata.AppendToOutgoingContext(ctx, "x-id", id)
				if i%10 == 3 {
					if err := cc.Invoke(ctx, "/no.Service/Method", message(id), &testpb.SimpleResponse{}); status.Code(err) != codes.Unimplemented {
						t.Errorf("unknown method: %v", err)
					}
					cancel()
					continue
				}
				got, err := call(ctx, cc, message(id+" wild"))
				switch {
				case i%10 == 7 && status.Code(err) != codes.PermissionDenied:
					t.Errorf("%s: got %v", id, err)
				case i%10 != 7 && got.GetUsername() != id+" tame":
					t.Errorf("%s: got %q, %v", id, got.GetUsername(), err)
				}
				cancel()
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	ended.wait(t, n)
	if mixed.Load() != 0 {
		t.Errorf("%d exchanges saw another's answer", mixed.Load())
	}
}

// RPCs canceled at any moment are ended once too.
func TestConcurrentCancel(t *testing.T) {
	var began atomic.Int64
	var ended done
	p := pipeline(t, check{guard.RequestHead, func(*guard.Exchange, guard.Phase) guard.Decision {
		began.Add(1)
		return guard.Decision{}
	}}, replace(guard.RequestBody, "a", "b"), ended.part())
	before := runtime.NumGoroutine()
	cc := serve(t, p, &service{})
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%30)*100*time.Microsecond)
			defer cancel()
			call(ctx, cc, message("a"))
		})
	}
	wg.Wait()
	cc.Close()
	time.Sleep(50 * time.Millisecond) // heads on their way may still begin
	ended.wait(t, int(began.Load()))
	stopped(t, before)
}

// stopped waits until no more goroutines run than before, but for those of a
// server without connections.
func stopped(t *testing.T, before int) {
	t.Helper()
	const idle = 3
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+idle; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines run, %d before", runtime.NumGoroutine(), before)
		}
	}
}
