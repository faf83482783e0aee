package guardgrpc

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/palegate/palegate/guard"
)

// stream judges a streaming RPC: for now its heads alone.
func (a *adapter) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	c, ctx, err := a.take(ss.Context(), info.FullMethod)
	defer c.s.End()
	if c.ended {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	head, ctx := c.answer(ctx)
	if err != nil {
		return head.refuse(err)
	}
	if c.s.Enforces(guard.RequestBody | guard.ResponseBody) {
		return head.refuse(unread(c.s))
	}
	s := &stream{ServerStream: ss, ctx: ctx, cancel: cancel, answer: head}
	head.send = func() error { return s.SendHeader(nil) }
	c.s.Reach()
	return s.finish(handler(srv, s))
}

// A stream is what a handler gets of a streaming RPC. Its refusal is final:
// whatever the handler makes of the error, the RPC ends with it.
type stream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelFunc
	answer *answer

	mu      sync.Mutex
	begun   bool // the head was judged
	refused error
}

func (s *stream) Context() context.Context { return s.ctx }

// SetHeader sets or holds md, as the answer does.
func (s *stream) SetHeader(md metadata.MD) error {
	if s.answer.holds {
		return s.answer.SetHeader(md)
	}
	return s.ServerStream.SetHeader(md)
}

// SendHeader sends the header as soon as it was judged.
func (s *stream) SendHeader(md metadata.MD) error {
	if err := s.SetHeader(md); err != nil {
		return err
	}
	if err := s.begin(nil); err != nil {
		return err
	}
	return s.ServerStream.SendHeader(nil)
}

// SendMsg sends m if the header may be sent.
func (s *stream) SendMsg(m any) error {
	if err := s.begin(nil); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg receives m, if the stream goes on.
func (s *stream) RecvMsg(m any) error {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.check() // it may have waited for long
}

// begin lets guards judge the head, once.
func (s *stream) begin(handlers error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return s.refused
	}
	s.begun = true
	err := s.answer.judge(handlers)
	if err != nil {
		err = s.answer.refuse(err)
	} else {
		err = s.answer.release()
	}
	s.refuse(err)
	return err
}

// check returns why the stream may not go on.
func (s *stream) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.answer.c.s
	if s.refused == nil && session.Expired(time.Now()) {
		s.refuse(expired(session))
	}
	return s.refused
}

func (s *stream) refuse(err error) {
	if err != nil {
		s.refused = err
		s.cancel()
	}
}

// finish returns what the RPC ends with.
func (s *stream) finish(handlers error) error {
	if err := s.begin(handlers); err != nil {
		return err
	}
	session := s.answer.c.s
	session.SetHead(httpStatus(codeOf(handlers)), session.Exchange().Response().Header())
	return handlers
}
