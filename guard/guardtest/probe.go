package guardtest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"weak"

	"github.com/palegate/palegate/guard"
)

// probe stands for the guard of a Part in a pipeline and looks at what it does.
// Only one exchange at a time goes through it.
type probe struct {
	part   guard.Part
	report *report
	about  string        // which request, for messages
	at     atomic.Uint32 // the phase whose Check runs

	guard   guard.Guard
	phases  guard.Phase
	reasons []guard.Reason

	decisions []guard.Decision // of this exchange, as Check returned them
	exchanges []weak.Pointer[guard.Exchange]
	bodies    []weak.Pointer[byte]
}

func (p *probe) Guard(guard.Guard) (guard.Guard, error) {
	g, err := p.part.Guard(nil)
	if err != nil {
		return nil, err
	}
	p.guard, p.phases, p.reasons = g, g.Phases(), g.Reasons()
	return p, nil
}

func (p *probe) Phases() guard.Phase     { return p.phases }
func (p *probe) Reasons() []guard.Reason { return p.reasons }

func (p *probe) Check(x *guard.Exchange, at guard.Phase) (d guard.Decision) {
	p.at.Store(uint32(at))
	if n := len(p.exchanges); n == 0 || p.exchanges[n-1] != weak.Make(x) {
		p.exchanges = append(p.exchanges, weak.Make(x))
	}
	before := look(x, at)
	defer func() {
		if v := recover(); v != nil {
			p.report.addf(rulePanics, "%s: Check at %s panics: %v", p.about, at, v)
			panic(v)
		}
	}()
	d = p.guard.Check(x, at)
	for _, what := range before.changed(look(x, at)) {
		p.report.addf(ruleEdits, "%s: Check at %s changes %s", p.about, at, what)
	}
	p.decided(at, &d)
	return d
}

// decided looks at a decision as Check returned it.
func (p *probe) decided(at guard.Phase, d *guard.Decision) {
	if phases := p.guard.Phases(); phases != p.phases {
		p.report.addf(rulePhases, "Phases returned %s when the pipeline was built, and %s later", p.phases, phases)
	}
	if reasons := p.guard.Reasons(); !slices.Equal(reasons, p.reasons) {
		p.report.addf(ruleReasons, "Reasons returned %q when the pipeline was built, and %q later", p.reasons, reasons)
	}
	p.report.gave(d.Reason)
	switch {
	case d.Effect > guard.Allow && d.Reason == "":
		p.report.addf(ruleReasons, "%s: Check at %s decides %s without a reason", p.about, at, d.Effect)
	case d.Reason != "" && !slices.Contains(p.reasons, d.Reason):
		p.report.addf(ruleReasons, "%s: Check at %s gives the reason %q, which Reasons does not return", p.about, at, d.Reason)
	}
	switch {
	case d.Effect > guard.Refuse:
		p.report.addf(ruleCause, "%s: Check at %s returns the effect %d, which is none", p.about, at, d.Effect)
	case d.Effect == guard.Refuse && !isKnown(d.Cause):
		p.report.addf(ruleCause, "%s: Check at %s refuses with the cause %d, which is none", p.about, at, d.Cause)
	}
	p.readable(at, d)
	p.decisions = append(p.decisions, *d)
}

// isKnown reports whether c is the constant of a cause. Others read as
// CauseInternal.
func isKnown(c guard.Cause) bool {
	return c != guard.CauseNone && (c == guard.CauseInternal || c.String() != guard.CauseInternal.String())
}

// readable checks what clients may read of d.
func (p *probe) readable(at guard.Phase, d *guard.Decision) {
	texts := []string{string(d.Reason)}
	for _, v := range d.Violations {
		texts = append(texts, v.At, v.Rule, v.Text)
	}
	for _, text := range texts {
		if strings.Contains(text, Canary) {
			p.report.addf(ruleLeaks, "%s: Check at %s repeats the client's own value to it: %q", p.about, at, text)
		}
		for what, secret := range secrets(d) {
			if strings.Contains(text, secret) {
				p.report.addf(ruleLeaks, "%s: Check at %s has its %s in %q, which clients read", p.about, at, what, text)
			}
		}
	}
}

// minSecret is the length from which on a text is not found by chance.
const minSecret = 8

// secrets returns what d says to operators alone, but for what any refusal of
// its kind says.
func secrets(d *guard.Decision) map[string]string {
	found := map[string]string{}
	public := string(d.Reason) + "\n" + d.Cause.Type() + "\n" + d.Cause.Title()
	keep := func(what, text string) {
		if len(text) >= minSecret && !strings.Contains(public, text) {
			found[what] = text
		}
	}
	keep("Detail", d.Detail)
	if d.Err != nil {
		keep("Err", d.Err.Error())
	}
	return found
}

// send sends e over HTTP and looks at what the client gets.
func (p *probe) send(ctx context.Context, pl *guard.Pipeline, e *exchange) {
	p.decisions = nil
	res := serve(e.handler(pl), e.request(ctx))
	var received strings.Builder
	for name, values := range res.Header {
		received.WriteString(name + ": " + strings.Join(values, "\n") + "\n")
	}
	// What the handler has answered may well say what the guard does.
	if res.Refused.Refused() {
		received.Write(res.Body)
		if strings.Contains(received.String(), Canary) {
			p.report.addf(ruleLeaks, "%s: the refusal %s repeats the client's own value to it", p.about, res.Refused.Reason)
		}
	}
	for i := range p.decisions {
		for what, secret := range secrets(&p.decisions[i]) {
			if strings.Contains(received.String(), secret) {
				p.report.addf(ruleLeaks, "%s: the client gets the %s %q", p.about, what, secret)
			}
		}
	}
	p.decisions = nil
}

// call makes a call of e as another transport than net/http does, with bodies
// whose memory is watched.
func (p *probe) call(ctx context.Context, pl *guard.Pipeline, e *exchange) {
	e.call(ctx, pl, p.body)
	p.decisions = nil
}

// body returns a copy of b that forgotten looks for.
func (p *probe) body(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) >= 32 { // smaller ones may share memory with something else
		p.bodies = append(p.bodies, weak.Make(&b[0]))
	}
	return b
}

// forgotten checks that nothing is left of the exchanges that have ended.
func (p *probe) forgotten() {
	if !collected(p.exchanges) {
		p.report.addf(ruleKeeps, "the guard keeps an Exchange, or something that leads to it, after the end")
		return // and with it whatever it has
	}
	if !collected(p.bodies) {
		p.report.addf(ruleKeeps, "the guard keeps bytes of a body after the end")
	}
}
