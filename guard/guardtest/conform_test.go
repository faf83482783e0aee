package guardtest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
)

// part makes a guard of a function that may have state of its own.
type part struct {
	phases  guard.Phase
	reasons []guard.Reason
	check   func() func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (p part) Guard(guard.Guard) (guard.Guard, error) {
	return &checker{part: p, check: p.check()}, nil
}

type checker struct {
	part  part
	check func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (c *checker) Phases() guard.Phase     { return c.part.phases }
func (c *checker) Reasons() []guard.Reason { return c.part.reasons }

func (c *checker) Check(x *guard.Exchange, at guard.Phase) guard.Decision { return c.check(x, at) }

const testReason guard.Reason = "test.refused"

// always is the check of a guard without state.
func always(check func(x *guard.Exchange, at guard.Phase) guard.Decision) part {
	return part{
		phases:  guard.RequestHead,
		reasons: []guard.Reason{testReason},
		check:   func() func(*guard.Exchange, guard.Phase) guard.Decision { return check },
	}
}

func (p part) at(phases guard.Phase) part {
	p.phases = phases
	return p
}

// refusal refuses every exchange with d.
func refusal(d guard.Decision) part {
	d.Effect, d.Reason = guard.Refuse, testReason
	if d.Cause == guard.CauseNone {
		d.Cause = guard.CauseForbidden
	}
	return always(func(*guard.Exchange, guard.Phase) guard.Decision { return d })
}

// doing calls do at each Check, and allows.
func doing(do func(x *guard.Exchange, at guard.Phase)) part {
	return always(func(x *guard.Exchange, at guard.Phase) guard.Decision {
		do(x, at)
		return guard.Decision{}
	})
}

// keep is a guard that keeps what find finds of each exchange, if that is
// something.
func keep[T any](phases guard.Phase, find func(x *guard.Exchange) (T, bool)) part {
	return part{phases: phases, check: func() func(*guard.Exchange, guard.Phase) guard.Decision {
		var (
			mu   sync.Mutex
			kept T
		)
		return func(x *guard.Exchange, _ guard.Phase) guard.Decision {
			mu.Lock()
			defer mu.Unlock()
			if found, ok := find(x); ok {
				kept = found
			}
			_ = kept
			return guard.Decision{}
		}
	}}
}

func bytesOf(m *guard.Message) ([]byte, bool) {
	b := bodyOf(m)
	return b, len(b) >= 32
}

// toggling returns other phases each time it is asked after a while.
type toggling struct{ asked atomic.Int64 }

func (g *toggling) Phases() guard.Phase {
	if g.asked.Add(1) > 5 {
		return guard.RequestHead | guard.Done
	}
	return guard.RequestHead
}
func (*toggling) Reasons() []guard.Reason { return nil }

func (*toggling) Check(*guard.Exchange, guard.Phase) guard.Decision { return guard.Decision{} }

type makes func(prev guard.Guard) (guard.Guard, error)

func (m makes) Guard(prev guard.Guard) (guard.Guard, error) { return m(prev) }

// stopped is a guard's lock that nobody opens.
var stopped = make(chan struct{})

// broken are guards that break one rule each.
var broken = []struct {
	name string
	rule string
	part guard.Part
}{
	{"keeps the Exchange", ruleKeeps, keep(guard.RequestHead, func(x *guard.Exchange) (*guard.Exchange, bool) { return x, true })},
	{"keeps the context", ruleKeeps, keep(guard.Done, func(x *guard.Exchange) (context.Context, bool) { return x.Context(), true })},
	{"keeps the request", ruleKeeps, keep(guard.RequestHead, func(x *guard.Exchange) (*http.Request, bool) { return x.Request().HTTP(), true })},
	{"keeps bytes of a request", ruleKeeps, keep(guard.RequestBody, func(x *guard.Exchange) ([]byte, bool) { return bytesOf(x.Request()) })},
	{"keeps bytes of a response", ruleKeeps, keep(guard.ResponseBody, func(x *guard.Exchange) ([]byte, bool) { return bytesOf(x.Response()) })},

	{"refuses without a cause", ruleCause, always(func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Refuse, Reason: testReason}
	})},
	{"refuses with a cause that is none", ruleCause, refusal(guard.Decision{Cause: 200})},
	{"has an effect that is none", ruleCause, always(func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Refuse + 1, Cause: guard.CauseForbidden, Reason: testReason}
	})},

	{"names a phase that is none", rulePhases, doing(func(*guard.Exchange, guard.Phase) {}).at(guard.RequestHead | 1<<7)},
	{"names no phase", rulePhases, doing(func(*guard.Exchange, guard.Phase) {}).at(0)},
	{"changes its mind on phases", rulePhases, makes(func(guard.Guard) (guard.Guard, error) { return &toggling{}, nil })},

	{"gives a reason that it does not declare", ruleReasons, always(func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "test.other"}
	})},
	{"flags for no reason", ruleReasons, always(func(*guard.Exchange, guard.Phase) guard.Decision {
		return guard.Decision{Effect: guard.Flag}
	})},
	{"declares what is no reason", ruleReasons, part{
		phases: guard.RequestHead, reasons: []guard.Reason{"Not allowed!"}, check: doing(func(*guard.Exchange, guard.Phase) {}).check,
	}},

	{"sets a header of the request", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		x.Request().Header()["X-Checked"] = checked
	})},
	{"changes the URL", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		x.Request().HTTP().URL.RawQuery = "safe=1"
	})},
	{"changes bytes of the request", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		overwrite(bodyOf(x.Request()))
	}).at(guard.RequestBody)},
	{"sets a header of the response", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		x.Response().Header()["X-Checked"] = checked
	}).at(guard.ResponseHead)},
	{"changes bytes of the response", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		overwrite(bodyOf(x.Response()))
	}).at(guard.ResponseBody)},
	{"reads the body from under the handler", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		b := scratch.Get().(*[8]byte)
		defer scratch.Put(b)
		_, _ = x.Request().HTTP().Body.Read(b[:])
	})},
	{"parses the form", ruleEdits, doing(func(x *guard.Exchange, _ guard.Phase) {
		_ = x.Request().HTTP().ParseForm()
	})},

	{"allocates", ruleAllocates, doing(func(x *guard.Exchange, _ guard.Phase) {
		text := x.Client().String()
		grown.Store(&text)
	})},

	{"allocates for a body", ruleAllocates, doing(func(x *guard.Exchange, _ guard.Phase) {
		text := string(bodyOf(x.Response()))
		grown.Store(&text)
	}).at(guard.ResponseBody)},

	{"allocates at the end", ruleAllocates, doing(func(x *guard.Exchange, _ guard.Phase) {
		text := x.Client().String()
		grown.Store(&text)
	}).at(guard.Done)},

	{"waits for ever", ruleBlocks, doing(func(*guard.Exchange, guard.Phase) { <-stopped })},
	{"waits for the client to go", ruleBlocks, doing(func(x *guard.Exchange, _ guard.Phase) { <-x.Context().Done() })},
	{"lets one exchange wait for another", ruleBlocks, part{phases: guard.RequestHead, check: func() func(*guard.Exchange, guard.Phase) guard.Decision {
		var mu sync.Mutex
		return func(*guard.Exchange, guard.Phase) guard.Decision {
			mu.Lock() // and never unlocks
			return guard.Decision{}
		}
	}}},

	{"panics", rulePanics, doing(func(x *guard.Exchange, _ guard.Phase) {
		if x.Request().HTTP().Method == http.MethodPost {
			panic("not yet done")
		}
	})},

	{"tells clients the detail", ruleLeaks, refusal(guard.Decision{
		Detail:     "matched rule 7 of the list",
		Violations: []guard.Violation{{At: "query:q", Rule: "list", Text: "refused: matched rule 7 of the list"}},
	})},
	{"tells clients the error", ruleLeaks, always(func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Error", Values: []string{errTest.Error()}})
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseUnavailable, Reason: testReason, Err: errTest}
	})},
	{"tells clients their own value", ruleLeaks, always(func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		_, q, _ := strings.Cut(x.Request().HTTP().URL.RawQuery, "q=")
		return guard.Decision{
			Effect: guard.Refuse, Cause: guard.CauseInvalid, Reason: testReason,
			Violations: []guard.Violation{{At: "query:q", Rule: "pattern", Text: "is " + strconv.Quote(q)}},
		}
	})},

	{"does not take over", ruleUpdate, makes(func(prev guard.Guard) (guard.Guard, error) {
		if prev != nil {
			return nil, errTest
		}
		return doing(func(*guard.Exchange, guard.Phase) {}).Guard(nil)
	})},
	{"panics when it takes over", ruleUpdate, makes(func(prev guard.Guard) (guard.Guard, error) {
		if prev != nil {
			panic("not yet done")
		}
		return doing(func(*guard.Exchange, guard.Phase) {}).Guard(nil)
	})},
}

type testError string

func (e testError) Error() string { return string(e) }

const errTest testError = "dial tcp 10.0.0.7:6379: connection refused"

// What keeps the broken guards from allocating where that is not the point.
var (
	checked = []string{"yes"}
	scratch = sync.Pool{New: func() any { return new([8]byte) }}
)

var grown atomic.Pointer[string]

func bodyOf(m *guard.Message) []byte {
	b, err := m.Body()
	if err != nil {
		return nil
	}
	return b.Bytes()
}

func overwrite(b []byte) {
	if len(b) > 0 {
		b[0] ^= 0x20
	}
}

func TestConformFindsBrokenGuards(t *testing.T) {
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			if tt.rule == ruleAllocates && raceEnabled {
				t.Skip("allocations are not counted under the race detector")
			}
			if tt.rule == ruleBlocks {
				t.Parallel() // they all wait
			}
			rep, err := check(tt.part, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.found[tt.rule]) == 0 {
				t.Errorf("got no violation of %q", tt.rule)
			}
			for rule, texts := range rep.found {
				if rule == tt.rule {
					t.Log(texts[0])
				} else {
					t.Errorf("got violations of %q, want of %q alone: %q", rule, tt.rule, texts)
				}
			}
		})
	}
}

func TestConformRefusesWhatIsNoGuard(t *testing.T) {
	for name, p := range map[string]guard.Part{
		"an error": makes(func(guard.Guard) (guard.Guard, error) { return nil, errTest }),
		"nothing":  guard.Settings{},
	} {
		if _, err := check(p, nil); err == nil {
			t.Errorf("a Part that makes %s: got no error", name)
		}
	}
}

// limiter refuses, with state of its own that survives an update, and stages a
// header on every answer.
type limiter struct{ left *atomic.Int64 }

var limitHeader = []string{"100;w=60"}

func (l limiter) Guard(prev guard.Guard) (guard.Guard, error) {
	if prev, ok := prev.(limiter); ok {
		return prev, nil
	}
	left := new(atomic.Int64)
	left.Store(100)
	return limiter{left}, nil
}

func (limiter) Phases() guard.Phase     { return guard.RequestHead | guard.Done }
func (limiter) Reasons() []guard.Reason { return []guard.Reason{"limit.exceeded"} }

func (l limiter) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	if at == guard.Done {
		return guard.Decision{}
	}
	x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "RateLimit-Policy", Values: limitHeader})
	if l.left.Add(-1) >= 0 {
		return guard.Decision{}
	}
	return guard.Decision{
		Effect: guard.Refuse, Cause: guard.CauseExhausted, Reason: "limit.exceeded", RetryAfter: 60e9,
		Detail: "client " + x.Client().String() + " over 100", Violations: []guard.Violation{{At: "client", Rule: "limit", Text: "wait a minute"}},
	}
}

// masker edits responses and keeps state for each exchange.
type masker struct{}

type maskerKey struct{}

func (masker) Guard(guard.Guard) (guard.Guard, error) { return masker{}, nil }
func (masker) Phases() guard.Phase {
	return guard.RequestHead | guard.ResponseHead | guard.ResponseBody | guard.Done
}
func (masker) Reasons() []guard.Reason { return []guard.Reason{"mask.masked", "mask.unread"} }

func (masker) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	switch at {
	default:
	case guard.RequestHead:
		x.SetValue(maskerKey{}, new(int))
		return guard.Decision{Effect: guard.Flag, Reason: "mask.masked", Detail: "will look at " + x.Route()}
	case guard.ResponseHead:
		x.Response().Stage(guard.Edit{In: guard.InCookie, Name: "old"})
	case guard.ResponseBody:
		b, err := x.Response().Body()
		if err != nil {
			return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: "mask.unread", Err: err}
		}
		if bytes.Contains(b.Bytes(), []byte("4111")) {
			x.Response().Stage(guard.Edit{In: guard.InBody, Body: bytes.ReplaceAll(b.Bytes(), []byte("4111"), []byte("****"))})
			return guard.Decision{Effect: guard.Transform, Reason: "mask.masked"}
		}
	}
	return guard.Decision{}
}

// strict refuses what it does not like in heads and bodies.
type strict struct{}

func (strict) Guard(guard.Guard) (guard.Guard, error) { return strict{}, nil }
func (strict) Phases() guard.Phase                    { return guard.RequestHead | guard.RequestBody | guard.ResponseBody }

func (strict) Reasons() []guard.Reason {
	return []guard.Reason{"strict.principal", "strict.body", "strict.address"}
}

func (strict) Check(x *guard.Exchange, at guard.Phase) guard.Decision {
	switch {
	case at == guard.RequestHead && x.PathValue("id") == "forbidden" && x.Principal() == nil:
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseUnauthenticated, Reason: "strict.principal", Detail: "id " + x.PathValue("id")}
	case at == guard.RequestHead && !x.Client().Addr.IsValid():
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "strict.address"}
	case at == guard.RequestBody && bytes.Contains(bodyOf(x.Request()), []byte("qty")):
		return guard.Decision{
			Effect: guard.Refuse, Cause: guard.CauseInvalid, Reason: "strict.body", Detail: string(bodyOf(x.Request())),
			Violations: []guard.Violation{{At: "/qty", Rule: "no", Text: "must not be there"}},
		}
	case at == guard.ResponseBody && bytes.Contains(bodyOf(x.Response()), []byte("cut off")):
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: "strict.body"}
	}
	return guard.Decision{}
}

// silentEdit leaves it to the pipeline to call its edits a Transform.
var silentEdit = doing(func(x *guard.Exchange, _ guard.Phase) {
	x.Response().Stage(guard.Edit{In: guard.InBody, Body: bytes.ToUpper(bodyOf(x.Response()))})
}).at(guard.ResponseBody)

func TestConform(t *testing.T) {
	forbidden := httptest.NewRequest("GET", "/things/forbidden", nil)
	forbidden.Pattern = "GET /things/{id}"
	allowed := forbidden.WithContext(guard.WithPrincipal(t.Context(), alice))
	for name, p := range map[string]guard.Part{"limiter": limiter{}, "masker": masker{}, "strict": strict{}, "edits in silence": silentEdit} {
		t.Run(name, func(t *testing.T) { Conform(t, p, forbidden, allowed) })
	}
}

func TestConformSamples(t *testing.T) {
	forbidden := httptest.NewRequest("GET", "/things/forbidden", nil)
	forbidden.Pattern = "GET /things/{id}"
	for _, tt := range []struct {
		name    string
		samples []*http.Request
		want    bool
	}{
		{"without", nil, false},
		{"refused", []*http.Request{forbidden}, true},
		{"by a principal", []*http.Request{forbidden.WithContext(guard.WithPrincipal(t.Context(), alice))}, false},
	} {
		rep, err := check(strict{}, tt.samples)
		if err != nil {
			t.Fatal(err)
		}
		if got := rep.given["strict.principal"]; got != tt.want {
			t.Errorf("%s: got the refusal of the sample %t, want %t", tt.name, got, tt.want)
		}
	}
}
