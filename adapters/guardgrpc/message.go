package guardgrpc

import (
	"errors"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
)

// errForeign is why guards cannot read a message: it is of another codec.
var errForeign = errors.New("guardgrpc: the message is not a protobuf message")

// judgeBody lets guards judge a message and returns it as they have left it:
// v itself, or another message of its type.
func (c *call) judgeBody(at guard.Phase, v any) (any, error) {
	msg := messageOf(v)
	edited, ok, d := c.s.JudgeBody(at, payload.Lazy(func() ([]byte, error) {
		if msg == nil {
			return nil, errForeign
		}
		return proto.Marshal(msg)
	}))
	if d.Refused() {
		return nil, refusal(c.s, d)
	}
	if !ok {
		return v, nil
	}
	// Neither the handler's message, which it may keep and share, nor the
	// request, which interceptors in front may keep, is written to.
	anew := msg.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(edited, anew); err != nil {
		return nil, broken(c.s, at)
	}
	if _, ok := v.(proto.Message); !ok {
		return protoadapt.MessageV1Of(anew), nil
	}
	return anew, nil
}

// messageOf returns v as a message, or nil if it is none, as gRPC's own codec
// does.
func messageOf(v any) proto.Message {
	switch v := v.(type) {
	case proto.Message:
		return v
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(v)
	}
	return nil
}
