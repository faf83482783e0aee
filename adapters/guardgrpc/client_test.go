package guardgrpc_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

// remember keeps what guards know of who asks, at the head and later.
type remember struct {
	client    guard.Client
	principal *guard.Principal
	tls       *tls.ConnectionState
}

func (r *remember) part() check {
	return check{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		r.client, r.principal, r.tls = x.Client(), x.Principal(), x.Request().HTTP().TLS
		return guard.Decision{}
	}}
}

func TestClientOfPeer(t *testing.T) {
	var r remember
	if _, err := call(context.Background(), serve(t, pipeline(t, r.part()), &service{}), message("a")); err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddr("127.0.0.1"); r.client.Addr != want || r.client.Cert != "" || r.tls != nil {
		t.Errorf("the client is %+v, TLS %v", r.client, r.tls)
	}
}

func TestClientOfCertificate(t *testing.T) {
	const id = "spiffe://example.org/orders"
	serverCreds, clientCreds := certificates(t, id)
	var r remember
	server := guardgrpc.NewServer(pipeline(t, r.part()), grpc.Creds(serverCreds))
	testpb.RegisterTestServiceServer(server, &service{})
	if _, err := call(context.Background(), connect(t, server, listen(t), clientCreds), message("a")); err != nil {
		t.Fatal(err)
	}
	if r.client.Cert != id || r.client.Addr != netip.MustParseAddr("127.0.0.1") || r.tls == nil || r.tls.Version != tls.VersionTLS13 {
		t.Errorf("the client is %+v, TLS %v", r.client, r.tls)
	}
}

// Forwarding headers are believed if Settings say of whom, and of nobody else.
func TestClientForwarded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trust guard.Trust
		want  string
	}{
		{"nobody", guard.Trust{}, "127.0.0.1"},
		{"proxy", guard.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, "203.0.113.7"},
		{"other proxy", guard.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, "127.0.0.1"},
		{"hops", guard.Trust{Hops: 1}, "203.0.113.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r remember
			ctx := metadata.AppendToOutgoingContext(context.Background(), "x-forwarded-for", "198.51.100.1, 203.0.113.7")
			if _, err := call(ctx, serve(t, pipeline(t, guard.Settings{Trust: tt.trust}, r.part()), &service{}), message("a")); err != nil {
				t.Fatal(err)
			}
			if r.client.Addr != netip.MustParseAddr(tt.want) {
				t.Errorf("the client is %v, want %v", r.client, tt.want)
			}
		})
	}
}

// A Unix socket has no address: its clients are unknown.
func TestClientOfSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	var r remember
	server := guardgrpc.NewServer(pipeline(t, r.part()))
	testpb.RegisterTestServiceServer(server, &service{})
	connect(t, server, l, insecureCreds)
	cc, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecureCreds))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if _, err := call(context.Background(), cc, message("a")); err != nil {
		t.Fatal(err)
	}
	if r.client.Addr.IsValid() || r.client.String() != "unknown" {
		t.Errorf("the client is %v", r.client)
	}
}

// tagged gives each connection the principal of its certificate.
type tagged struct{ stats.Handler }

func (tagged) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (tagged) HandleRPC(context.Context, stats.RPCStats)                       {}
func (tagged) HandleConn(context.Context, stats.ConnStats)                     {}
func (tagged) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return guard.WithPrincipal(ctx, &guard.Principal{Subject: "orders"})
}

func TestPrincipalOfConnection(t *testing.T) {
	var r remember
	var handlers *guard.Exchange
	s := &service{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		handlers = guard.From(ctx)
		return &testpb.SimpleResponse{}, nil
	}}
	if _, err := call(context.Background(), serve(t, pipeline(t, r.part()), s, grpc.StatsHandler(tagged{})), message("a")); err != nil {
		t.Fatal(err)
	}
	if r.principal == nil || r.principal.Subject != "orders" {
		t.Errorf("the principal is %v", r.principal)
	}
	if handlers == nil || handlers.Principal() != r.principal || handlers.Route() != unaryCall {
		t.Errorf("the handler found %+v", handlers)
	}
}

// A principal of an interceptor in front comes too late for heads, and in time
// for bodies.
func TestPrincipalOfInterceptor(t *testing.T) {
	var head, body *guard.Principal
	p := pipeline(t, check{guard.RequestHead | guard.RequestBody, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		if at == guard.RequestHead {
			head = x.Principal()
		} else {
			body = x.Principal()
		}
		return guard.Decision{}
	}})
	cc := serve(t, p, &service{}, grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			return h(guard.WithPrincipal(ctx, &guard.Principal{Subject: "u"}), req)
		}))
	if _, err := call(context.Background(), cc, message("a")); err != nil || head != nil || body == nil || body.Subject != "u" {
		t.Errorf("%v: the principal was %v at the head, %v at the body", err, head, body)
	}
}
