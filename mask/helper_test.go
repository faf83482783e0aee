package mask_test

import (
	"net/http"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/payload"
	"github.com/palegate/palegate/mask"
)

type silent struct{}

func (silent) Observe(guard.Event) {}

func pipeline(t testing.TB, part guard.Part) *guard.Pipeline {
	t.Helper()
	p, err := guard.New(guard.Settings{Observer: silent{}}, part)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judge lets p judge one body, or unit of a stream, and returns what leaves and
// the decision.
func judge(t testing.TB, p *guard.Pipeline, contentType, body string) (string, guard.Decision) {
	t.Helper()
	h := http.Header{}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return judgeHeader(t, p, h, body)
}

func judgeHeader(t testing.TB, p *guard.Pipeline, h http.Header, body string) (string, guard.Decision) {
	t.Helper()
	s := p.Begin(t.Context(), guard.Call{})
	defer s.End()
	in := []byte(body)
	s.SetHead(http.StatusOK, h)
	out, edited, d := s.JudgeBody(guard.ResponseBody, payload.New(in))
	if d.Refused() {
		return "", d
	}
	if string(in) != body {
		t.Errorf("the body itself was changed: %q to %q", body, in)
	}
	if all := s.Exchange().Decisions(); len(all) > 0 {
		d = all[0]
	}
	if edited {
		return string(out), d
	}
	return body, d
}

// masked is judge for what must not be refused.
func masked(t testing.TB, p *guard.Pipeline, contentType, body string) string {
	t.Helper()
	out, d := judge(t, p, contentType, body)
	if d.Refused() {
		t.Fatalf("%s %q: refused for %s: %s", contentType, body, d.Reason, d.Detail)
	}
	wantReason := guard.Reason("")
	if out != body {
		wantReason = mask.ReasonField
	}
	if d.Reason != wantReason {
		t.Errorf("%s %q: reason %q, want %q", contentType, body, d.Reason, wantReason)
	}
	return out
}
