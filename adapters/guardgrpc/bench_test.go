package guardgrpc_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/palegate/palegate/guard"
)

// BenchmarkUnary tells what guards cost a unary RPC over loopback, of 1 KiB
// each way, client included.
func BenchmarkUnary(b *testing.B) {
	allow := func(*guard.Exchange, guard.Phase) guard.Decision { return guard.Decision{} }
	read := func(x *guard.Exchange, at guard.Phase) guard.Decision {
		m := x.Request()
		if at == guard.ResponseBody {
			m = x.Response()
		}
		if _, err := m.Body(); err != nil {
			return no(guard.CauseInternal)
		}
		return guard.Decision{}
	}
	in := message(strings.Repeat("hello ", 170))
	run := func(name string, cc func(b *testing.B) *grpc.ClientConn) {
		b.Run(name, func(b *testing.B) {
			c := testpb.NewTestServiceClient(cc(b))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.UnaryCall(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("bare", func(b *testing.B) *grpc.ClientConn {
		b.Helper()
		server := grpc.NewServer()
		testpb.RegisterTestServiceServer(server, &service{})
		return connect(b, server, listen(b), insecureCreds)
	})
	guarded := func(parts ...guard.Part) func(b *testing.B) *grpc.ClientConn {
		return func(b *testing.B) *grpc.ClientConn {
			b.Helper()
			return serve(b, pipeline(b, parts...), &service{})
		}
	}
	run("empty", guarded())
	run("head", guarded(check{guard.RequestHead, allow}))
	run("heads", guarded(check{guard.RequestHead | guard.ResponseHead, allow}))
	run("request", guarded(check{guard.RequestBody, read}))
	run("both", guarded(check{guard.RequestBody | guard.ResponseBody, read}))
	run("edited", guarded(replace(guard.RequestBody, "hello", "HELLO"), replace(guard.ResponseBody, "HELLO", "hello")))
}
