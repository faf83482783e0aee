// Package guardgrpc puts a [guard.Pipeline] around a gRPC server.
//
//	s := guardgrpc.NewServer(p, grpc.Creds(creds))
//	pb.RegisterOrdersServer(s, orders{})
//	log.Fatal(s.Serve(listener))
//
// Heads are judged in gRPC's tap, before a message is received or decoded; a
// refusal there costs neither, and carries no header metadata. Messages of unary RPCs are judged in binary
// form, as guards and handlers both read it. A message that guards have edited
// is decoded anew: neither the client's nor the handler's own is written to.
//
// What guards cannot be shown is refused, if an enforced guard wants to see it:
//
//   - messages of streams, with Unimplemented. Streams that no enforced guard
//     wants to read are judged by their heads.
//   - messages that are not protobuf messages, with InvalidArgument, or
//     Internal for an answer.
//
// If an enforced guard judges the answer, header metadata that a handler sets
// or sends waits until that was judged, and grpc.SetSendCompressor does not
// work in handlers. Trailer metadata, and text and details of a handler's
// error, pass unjudged.
//
// Guards judge heads on the goroutine that reads the connection: one that
// blocks there holds up every RPC of that connection. Principals of interceptors
// in front come too late for them; those of a stats.Handler's TagConn do not.
package guardgrpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/guard"
)

// NewServer returns a gRPC server behind p. The pipeline's interceptors come
// before all that are chained. Those of grpc.UnaryInterceptor and
// grpc.StreamInterceptor in opts stand in front: they also see an RPC whose head
// was refused, if its deadline is more than a minute away, so nothing that
// answers by itself (a cache) belongs there. It panics as [grpc.NewServer] does
// if opts have an InTapHandle, since a server takes only one.
//
// [guard.Exchange.Route] is "/pkg.Service/Method", or "" for what is not
// registered.
func NewServer(p *guard.Pipeline, opts ...grpc.ServerOption) *grpc.Server {
	a := &adapter{pipeline: p}
	s := grpc.NewServer(append(a.options(), opts...)...)
	// Read at the first RPC: gRPC lets nobody register once it serves.
	a.methods = sync.OnceValue(func() map[string]bool { return methods(s) })
	return s
}

// ServerOptions returns the options that put p around a server, for servers
// that [NewServer] cannot make, and for proxies, which register no methods. All
// of them are needed. [grpc.NewServer] panics if there is a second InTapHandle
// among its options. For interceptors in front see [NewServer].
//
// [guard.Exchange.Route] is the method's full name as the client wrote it,
// whether anything serves it or not.
func ServerOptions(p *guard.Pipeline) []grpc.ServerOption {
	return (&adapter{pipeline: p}).options()
}

// adapter is a pipeline around one server.
type adapter struct {
	pipeline *guard.Pipeline
	methods  func() map[string]bool // full names of what is registered; nil if not known
}

func (a *adapter) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(a.tap),
		grpc.ChainUnaryInterceptor(a.unary),
		grpc.ChainStreamInterceptor(a.stream),
		grpc.UnknownServiceHandler(unimplemented),
	}
}

// unimplemented answers methods that nothing serves, as gRPC itself does. Without it
// no interceptor would see them, and a refusal that the tap has left to them
// would be lost.
func unimplemented(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	return status.Errorf(codes.Unimplemented, "unknown method %s", method)
}

func (a *adapter) route(method string) string {
	if a.methods != nil && !a.methods()[method] {
		return ""
	}
	return method
}

func methods(s *grpc.Server) map[string]bool {
	names := map[string]bool{}
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			names["/"+service+"/"+m.Name] = true
		}
	}
	return names
}

// unary judges what is left of a unary RPC when gRPC has decoded its message.
func (a *adapter) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	c, ctx, err := a.take(ctx, info.FullMethod)
	defer c.s.End() // also if the handler panics
	if c.ended {
		return nil, err
	}
	head, handlers := c.answer(ctx)
	if err != nil {
		return nil, head.refuse(err)
	}
	if req, err = c.judgeBody(guard.RequestBody, req); err != nil {
		return nil, head.refuse(err)
	}
	c.s.Reach()
	resp, err := handler(c.incoming(handlers), req)
	if refusal := head.judge(err); refusal != nil {
		return nil, head.refuse(refusal)
	}
	if err == nil {
		if resp, err = c.judgeBody(guard.ResponseBody, resp); err != nil {
			return nil, head.refuse(err)
		}
	}
	if lost := head.release(); lost != nil {
		return nil, lost
	}
	return resp, err
}
