package guardgrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/adapters/guardgrpc"
	"github.com/palegate/palegate/guard"
)

// tokens is a guard that wants to see a token.
type tokens struct{}

func (t tokens) Guard(guard.Guard) (guard.Guard, error) { return t, nil }
func (tokens) Phases() guard.Phase                      { return guard.RequestHead }
func (tokens) Reasons() []guard.Reason                  { return []guard.Reason{"tokens.missing"} }
func (tokens) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if x.Request().Header().Get("Authorization") == "" {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseUnauthenticated, Reason: "tokens.missing"}
	}
	return guard.Decision{}
}

func ExampleNewServer() {
	p, err := guard.New(tokens{})
	if err != nil {
		log.Fatal(err)
	}
	server := guardgrpc.NewServer(p)
	testpb.RegisterTestServiceServer(server, &service{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(l)
	defer server.Stop()
	defer cc.Close()

	client := testpb.NewTestServiceClient(cc)
	_, err = client.UnaryCall(context.Background(), &testpb.SimpleRequest{})
	fmt.Println(status.Code(err), info(err).GetReason())
	_, err = client.UnaryCall(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer x"), &testpb.SimpleRequest{})
	fmt.Println(status.Code(err))
	// Output:
	// Unauthenticated tokens.missing
	// OK
}
