package guardtest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/palegate/palegate/guard"
)

// Result is what became of one request.
type Result struct {
	// Refused is the first enforced refusal, or zero if there was none.
	Refused guard.Decision
	// Route is the route as guards know it, or "" if none is known.
	Route string
	// Reached says that the handler behind the pipeline ran. It stays false
	// where no guard of the pipeline is on.
	Reached bool
	// Aborted says that the connection was broken on purpose: a panic with
	// [http.ErrAbortHandler], by the handler or by a pipeline that refused a
	// response of which a part had gone on.
	Aborted bool
	// Decisions is all that was decided, but for plain Allows, in order.
	Decisions []guard.Decision

	Status int // 0 if it was aborted before it began
	Header http.Header
	Body   []byte
}

// maxBody is how much of a body String prints.
const maxBody = 512

// String tells status, refusal, decisions and the begin of the body, for
// t.Fatal(res).
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, ", r.status())
	switch {
	case r.Refused.Refused():
		fmt.Fprintf(&b, "refused by %s: %s", r.Refused.Guard, r.Refused.Reason)
	case r.Reached:
		b.WriteString("reached the handler")
	default:
		b.WriteString("not refused, and no handler reached behind a guard")
	}
	for _, d := range r.Decisions {
		b.WriteString("\n\t" + describe(d))
	}
	if len(r.Body) > 0 {
		body, more := r.Body, ""
		if len(body) > maxBody {
			body, more = body[:maxBody], fmt.Sprintf(" … (%d bytes)", len(r.Body))
		}
		fmt.Fprintf(&b, "\n\tbody: %s%s", strings.TrimRight(string(body), "\n"), more)
	}
	return b.String()
}

// status is the status as a column of a [Table] has it.
func (r Result) status() string {
	if r.Aborted {
		return "aborted"
	}
	return fmt.Sprint(r.Status)
}

// describe writes d in one line, with what is for operators.
func describe(d guard.Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s: %s", d.Guard, d.Phase, d.Effect)
	if d.Shadow {
		b.WriteString(" (shadow)")
	}
	if d.Reason != "" {
		fmt.Fprintf(&b, " %s", d.Reason)
	}
	if d.Effect == guard.Refuse {
		fmt.Fprintf(&b, " (%s)", d.Cause)
	}
	for _, v := range d.Violations {
		fmt.Fprintf(&b, "; %s %s: %s", v.At, v.Rule, v.Text)
	}
	if d.Detail != "" {
		fmt.Fprintf(&b, "; detail: %s", d.Detail)
	}
	if d.Err != nil {
		fmt.Fprintf(&b, "; error: %v", d.Err)
	}
	return b.String()
}
