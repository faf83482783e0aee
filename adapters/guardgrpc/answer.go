package guardgrpc

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/palegate/palegate/guard"
)

// An answer is the head of what the handler answers. If an enforced guard
// judges it, it takes the place of gRPC's own stream in the handler's context,
// and metadata waits here. Otherwise it stays out of the way, and guards can
// only add to what the handler sets.
type answer struct {
	next  grpc.ServerTransportStream // gRPC's own; nil if there is none, as in tests of interceptors
	c     *call
	holds bool
	send  func() error // of a stream: what SendHeader does

	mu   sync.Mutex
	held metadata.MD
	seen metadata.MD // what guards have judged
}

// answer returns the answer, and ctx as the handler needs it.
func (c *call) answer(ctx context.Context) (*answer, context.Context) {
	a := &answer{next: grpc.ServerTransportStreamFromContext(ctx), c: c}
	if a.next != nil && c.s.Enforces(guard.ResponseHead|guard.ResponseBody) {
		a.holds = true
		ctx = grpc.NewContextWithServerTransportStream(ctx, a)
	}
	return a, ctx
}

// Method returns the method's full name.
func (a *answer) Method() string { return a.next.Method() }

// SetTrailer sets md, which is not judged.
func (a *answer) SetTrailer(md metadata.MD) error { return a.next.SetTrailer(md) }

// SetHeader holds md back.
func (a *answer) SetHeader(md metadata.MD) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = metadata.Join(a.held, md)
	return nil
}

// SendHeader holds md back too, in a unary RPC: the answer is not known yet.
func (a *answer) SendHeader(md metadata.MD) error {
	if err := a.SetHeader(md); err != nil || a.send == nil {
		return err
	}
	return a.send()
}

// judge lets guards judge the head of the answer, with the handler's error. It
// returns an error if the answer must not leave.
func (a *answer) judge(err error) error {
	if gone := a.c.gone(); gone != nil {
		return gone
	}
	a.seen = a.staged()
	h := toHeader(a.seen)
	h[contentType] = a.c.header[contentType] // gRPC answers in the codec it was asked in
	a.c.s.SetHead(httpStatus(codeOf(err)), h)
	if d := a.c.s.Judge(guard.ResponseHead); d.Refused() {
		return refusal(a.c.s, d)
	}
	return nil
}

func (a *answer) staged() metadata.MD {
	if a.holds {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.held
	}
	if s, ok := a.next.(interface{ Header() (metadata.MD, error) }); ok {
		if md, err := s.Header(); err == nil {
			return md
		}
	}
	return nil
}

// release gives gRPC the header and trailer as guards have left them. An error
// means that what was held did not go, and nothing may.
func (a *answer) release() error {
	if a.next == nil {
		return nil
	}
	m := a.c.s.Exchange().Response()
	if err := a.next.SetHeader(a.changes(m.Header(), a.holds)); err != nil && a.holds {
		return status.Error(status.Code(err), "the header could not be sent")
	}
	if t := m.Trailer(); len(t) > 0 {
		return a.next.SetTrailer(toMetadata(t))
	}
	return nil
}

// refuse gives gRPC what guards have staged to go with a refusal, and nothing
// of the handler's. It returns err.
func (a *answer) refuse(err error) error {
	if a.next != nil {
		// If the header has gone, or the client, the refusal itself matters.
		_ = a.next.SetHeader(a.changes(a.c.s.Exchange().Response().Header(), false))
	}
	return err
}

// changes returns h, or what guards have made of it.
func (a *answer) changes(h http.Header, all bool) metadata.MD {
	var md metadata.MD
	for name, values := range h {
		key := strings.ToLower(name)
		if name == contentType || !all && slices.Equal(values, a.seen[key]) {
			continue
		}
		if md == nil {
			md = make(metadata.MD, len(h))
		}
		md[key] = values
	}
	return md
}
