package adaptertest

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/palegate/palegate/guard"
)

// reason is why the suite's guards refuse.
const reason guard.Reason = "adaptertest.refused"

// part is a guard of one function.
type part struct {
	phases guard.Phase
	check  func(x *guard.Exchange, at guard.Phase) guard.Decision
}

func (p part) Guard(guard.Guard) (guard.Guard, error) { return p, nil }
func (p part) Phases() guard.Phase                    { return p.phases }
func (p part) Reasons() []guard.Reason                { return []guard.Reason{reason} }

func (p part) Check(x *guard.Exchange, at guard.Phase) guard.Decision { return p.check(x, at) }

const allPhases = guard.RequestHead | guard.RequestBody | guard.ResponseHead | guard.ResponseBody | guard.Done

// watch calls f at phases and allows.
func watch(phases guard.Phase, f func(x *guard.Exchange, at guard.Phase)) guard.Part {
	return guard.Use{Name: "watch", Part: part{phases, func(x *guard.Exchange, at guard.Phase) guard.Decision {
		f(x, at)
		return guard.Decision{}
	}}}
}

func refusal(cause guard.Cause) guard.Decision {
	return guard.Decision{Effect: guard.Refuse, Cause: cause, Reason: reason}
}

// refuse refuses everything at a phase.
func refuse(at guard.Phase, cause guard.Cause) guard.Part {
	return guard.Use{Name: "refuse", Part: part{at, func(*guard.Exchange, guard.Phase) guard.Decision {
		return refusal(cause)
	}}}
}

const (
	secret = "secret"
	masked = "***"
)

// mask replaces each secret in a response's body.
func mask() guard.Part {
	return guard.Use{Name: "mask", Part: part{guard.ResponseBody, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		body, err := x.Response().Body()
		if err != nil {
			return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseInternal, Reason: reason, Err: err}
		}
		b := bytes.ReplaceAll(body.Bytes(), []byte(secret), []byte(masked))
		if bytes.Equal(b, body.Bytes()) {
			return guard.Decision{}
		}
		x.Response().Stage(guard.Edit{In: guard.InBody, Body: b})
		return guard.Decision{Effect: guard.Transform, Reason: reason}
	}}}
}

// limit sets a field of the answer's header at the first phase, as limits do.
func limit(refuses bool) guard.Part {
	return guard.Use{Name: "limit", Part: part{guard.RequestHead, func(x *guard.Exchange, _ guard.Phase) guard.Decision {
		x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "X-Limit", Values: []string{"guard"}})
		if refuses {
			return refusal(guard.CauseExhausted)
		}
		return guard.Decision{}
	}}}
}

// list collects strings from handlers and guards.
type list struct {
	mu    sync.Mutex
	items []string
}

func (l *list) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, s)
}

// take returns what was added since the last time.
func (l *list) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.items
	l.items = nil
	return items
}

// says is a handler that answers in plain text.
func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// notes is says, after noting in l that it ran.
func notes(l *list, status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l.add("handler")
		says(status, text)(w, r)
	}
}
