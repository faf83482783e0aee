package guard

import (
	"context"
	"log/slog"
)

// An Observer hears of what a pipeline decides. Observe is called from many
// goroutines at once and while an exchange waits: it must not block, and it
// must not keep the Exchange. A panic in it is dropped.
type Observer interface {
	Observe(e Event)
}

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	EventDecision  EventKind = "decision"  // a guard decided something other than a plain Allow
	EventExemption EventKind = "exemption" // an exemption let a refusal pass
	EventExpired   EventKind = "expired"   // at start-up: an exemption is over
	EventMode      EventKind = "mode"      // a guard was switched
	EventReload    EventKind = "reload"    // Pipeline.Update swapped the guards
	EventHint      EventKind = "hint"      // the configuration looks wrong; see Decision.Detail
)

// An Event is what an [Observer] hears.
type Event struct {
	Kind     EventKind
	Exchange *Exchange // nil if the event is not about one
	Decision Decision  // Guard and Detail are set for every kind that concerns one guard
}

// slogObserver logs what somebody should look at: refusals, guards that
// failed, expired exemptions and hints. It names the route's pattern, never
// what the client wrote.
type slogObserver struct{}

func (slogObserver) Observe(e Event) {
	d := &e.Decision
	switch {
	case e.Kind == EventHint || e.Kind == EventExpired:
		slog.Warn("palegate: "+d.Detail, "guard", d.Guard)
		return
	case e.Kind != EventDecision || e.Exchange == nil:
		return
	case d.Cause == CauseGone:
		return
	case !d.Refused() && d.Err == nil:
		return
	}
	level := slog.LevelWarn
	if d.Err != nil {
		level = slog.LevelError
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(
		attrs,
		slog.String("id", e.Exchange.ID()),
		slog.String("guard", d.Guard),
		slog.String("reason", string(d.Reason)),
		slog.String("effect", d.Effect.String()),
		slog.Bool("shadow", d.Shadow),
		slog.String("phase", d.Phase.String()),
		slog.String("route", e.Exchange.Route()),
		slog.String("client", e.Exchange.Client().String()),
	)
	if d.Detail != "" {
		attrs = append(attrs, slog.String("detail", d.Detail))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.Any("error", d.Err))
	}
	slog.LogAttrs(context.Background(), level, "palegate: "+d.Effect.String(), attrs...)
}

// tell tells the observer, whatever it does with it.
func (pl *plan) tell(e Event) {
	defer func() { _ = recover() }()
	pl.settings.Observer.Observe(e)
}
