package guard

import (
	"log/slog"
	"time"
)

// Effect is what a [Decision] does. The zero value allows.
type Effect uint8

// The effects, in the order of their strength.
const (
	Allow     Effect = iota // no objection
	Flag                    // recorded; changes nothing
	Transform               // an edit is staged
	Refuse                  // the message does not go on
)

var effectNames = [...]string{"allow", "flag", "transform", "refuse"}

// String returns the effect's name in lower case.
func (e Effect) String() string { return nameOf(effectNames[:], int(e)) }

// MarshalText implements [encoding.TextMarshaler].
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Reason says why in a stable dotted code, "guard.cause": "ratelimit.exceeded".
// Clients see it, so it names what was wrong and never how it was found.
type Reason string

// A Decision is one guard's judgement of one exchange at one phase. It is a
// plain value, which can be tested, logged and sent elsewhere. The zero Decision
// allows.
type Decision struct {
	Effect Effect
	Cause  Cause  // with Refuse: what the transport answers
	Reason Reason // with anything but a plain Allow

	Violations []Violation   // what the client should mend
	RetryAfter time.Duration // with CauseExhausted, CauseOverloaded and CauseUnavailable; sent rounded up to seconds

	// Principal is offered by a guard that has verified it. It is attached to
	// the exchange in monitor mode too.
	Principal *Principal

	// For operators. None of these leaves the process.
	Detail   string
	Findings []Finding
	Err      error // the guard itself failed; not an attack

	// Set by the pipeline.
	Guard  string // the name of the Use
	Phase  Phase
	Shadow bool // would have refused or edited, but was monitored or exempted
}

// Refused reports whether d stopped the exchange.
func (d Decision) Refused() bool { return d.Effect >= Refuse && !d.Shadow }

// Is reports whether d refuses, enforced or in shadow, for reason.
func (d Decision) Is(reason Reason) bool { return d.Effect >= Refuse && d.Reason == reason }

// LogValue implements [slog.LogValuer].
func (d Decision) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("guard", d.Guard),
		slog.String("phase", d.Phase.String()),
		slog.String("effect", d.Effect.String()),
		slog.String("reason", string(d.Reason)),
		slog.Bool("shadow", d.Shadow),
	}
	if d.Detail != "" {
		attrs = append(attrs, slog.String("detail", d.Detail))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.Any("error", d.Err))
	}
	return slog.GroupValue(attrs...)
}

// silent reports that d says nothing worth recording.
func (d Decision) silent() bool {
	return d.Effect == Allow && d.Reason == "" && d.Principal == nil && d.Err == nil
}

// A Violation tells a client what to mend, without echoing its values.
type Violation struct {
	At   string `json:"at"`   // where: "/items/0/qty", "query:page"
	Rule string `json:"rule"` // which rule: "minimum"
	Text string `json:"text"` // what is asked: "must be at least 1"
}

// A Finding is evidence for operators. It never holds the value itself.
type Finding struct {
	Rule  string
	At    string // where: "body:/items/3/note"
	Shape string // the value as character classes: "aa99-…"
	Level slog.Level
	Score float32
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}
