package guardgrpc

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/palegate/palegate/guard"
)

// A call is one RPC. It is the context that the tap returns, in which the
// interceptors find it again.
type call struct {
	context.Context
	adapter *adapter
	s       *guard.Session
	header  http.Header // of the request, as the context's metadata has it

	taken   atomic.Bool // by an interceptor, which ends s
	stop    func() bool // until then, the end of the stream does; this stops it
	ended   bool        // before an interceptor has taken it
	refused error       // what the tap has left the interceptor to answer
}

type callKey struct{}

func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// maxLeft bounds how long gRPC keeps the timer of an RPC that a tap has refused.
const maxLeft = time.Minute

// tap judges a request's head. gRPC calls it on the goroutine that reads the
// connection, with the connection's lock held.
//
// After an error from here gRPC (1.85) does not cancel the stream's context. If
// the client has set a deadline, its timer is there until then: memory for as
// long as the client likes. So refusals with a far deadline are left to the
// interceptors, at the price of receiving the message.
func (a *adapter) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := a.begin(ctx, info.FullMethodName, info.Header)
	if err := c.judgeHead(); err != nil {
		if end, ok := ctx.Deadline(); !ok || time.Until(end) <= maxLeft {
			c.s.End()
			return ctx, err
		}
		c.refused = err
	}
	// No interceptor runs for methods that do not exist, nor if one in front of
	// ours has refused.
	c.stop = context.AfterFunc(ctx, c.s.End)
	return c, nil
}

// take makes the interceptor that calls it responsible for the RPC, and for
// ending it, whatever the error. The context is what the handler gets.
//
// It begins the RPC if the tap has not: [grpc.Server.ServeHTTP] has none. It
// does so too if the tap's was taken already, by somebody in front who tries
// again.
func (a *adapter) take(ctx context.Context, method string) (*call, context.Context, error) {
	if c, ok := ctx.Value(callKey{}).(*call); ok && c.adapter == a && c.taken.CompareAndSwap(false, true) {
		if !c.stop() {
			c.ended = true
			return c, ctx, goneError(c.Err()) // s has ended: its guards judge no more
		}
		return c, ctx, c.refused
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c := a.begin(ctx, method, md)
	err := c.judgeHead()
	return c, c, err
}

func (a *adapter) begin(ctx context.Context, method string, md metadata.MD) *call {
	c := &call{adapter: a, header: toHeader(md)}
	about := guard.Call{Route: a.route(method), Header: c.header}
	if host := md[":authority"]; len(host) > 0 {
		about.Host = host[0]
	}
	if p, ok := peer.FromContext(ctx); ok {
		about.Peer = addrPort(p.Addr)
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			about.TLS = &info.State
		}
	}
	c.s = a.pipeline.Begin(ctx, about)
	c.Context = c.s.Exchange().Context()
	return c
}

func (c *call) judgeHead() error {
	if d := c.s.Judge(guard.RequestHead); d.Refused() {
		return refusal(c.s, d)
	}
	c.Context = c.incoming(c.Context)
	return nil
}

// gone is the error for an RPC whose context has ended, and nil for any other.
func (c *call) gone() error {
	if c.Err() == nil {
		return nil
	}
	err := goneError(c.Err())
	c.s.SetHead(httpStatus(status.Code(err)), nil)
	return err
}

func goneError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Canceled, guard.CauseGone.Title())
}
