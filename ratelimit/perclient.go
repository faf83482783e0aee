package ratelimit

import (
	"fmt"
	"time"

	"github.com/palegate/palegate/guard"
)

// perClient is the guard.
type perClient struct {
	config  Config // with its defaults
	clients *table
	policy  []string // the values of RateLimit-Policy; nil if it cannot say the limit

	// What operators read of a refusal, made once so that a flood of refused
	// requests allocates nothing.
	exceeded, crowded, unknown string
}

func newPerClient(c Config) *perClient {
	l := c.Limit
	limit := fmt.Sprintf("more than %d requests in %v with a burst of %d", l.Count, l.Per, l.Burst)
	return &perClient{
		config:   c,
		clients:  newTable(l, c.MaxClients),
		policy:   policyOf(l),
		exceeded: limit,
		crowded:  limit + ", counting what another client has spent: there are more clients than MaxClients leaves room for",
		unknown:  limit + " by all clients together whose address is not known",
	}
}

// policyField is RateLimit-Policy in the spelling of [net/http.Header]: any
// other would be respelled, with an allocation, for every answer.
const policyField = "Ratelimit-Policy"

// policyOf returns the field's values: a list of one item, see
// draft-ietf-httpapi-ratelimit-headers. It counts in whole seconds.
func policyOf(l Limit) []string {
	if l.Per%time.Second != 0 {
		return nil
	}
	return []string{fmt.Sprintf(`"default";q=%d;w=%d`, l.Count, l.Per/time.Second)}
}

// Phases implements [guard.Guard].
func (*perClient) Phases() guard.Phase { return guard.RequestHead }

// Reasons implements [guard.Guard].
func (*perClient) Reasons() []guard.Reason { return []guard.Reason{ReasonExceeded} }

// Check implements [guard.Guard].
func (g *perClient) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if g.policy != nil {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: policyField, Values: g.policy})
	}
	who := clientOf(x.Client().Addr)
	wait, known := g.clients.take(who)
	if wait == 0 {
		return guard.Decision{}
	}
	detail := g.exceeded
	switch {
	case !known:
		detail = g.crowded
	case who.family == familyUnknown:
		detail = g.unknown
	}
	return guard.Decision{
		Effect:     guard.Refuse,
		Cause:      guard.CauseExhausted,
		Reason:     ReasonExceeded,
		RetryAfter: wait,
		Detail:     detail,
	}
}
