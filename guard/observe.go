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
	EventHint      EventKind = "hint"      // the configuration looks wrong: a proxy nobody trusts, a route that is not there; see Decision.Detail
)

// An Event is what an [Observer] hears.
type Event struct {
	Kind     EventKind
	Exchange *Exchange // nil if the event is not about one
	Decision Decision  // Guard and Detail are set for every kind that concerns one guard
}

// ObserverFunc is a function that is an [Observer].
type ObserverFunc func(e Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Log returns the Observer that a pipeline has by default, with slog.Default:
// it logs what somebody should look at. These are refusals and hints as
// warnings, guards that failed as errors, and what monitored or exempted guards
// would have refused as information. It names the route's pattern, never what
// the client wrote. To hear more, call it from an Observer of your own:
//
//	log := guard.Log(logger)
//	guard.Settings{Observer: guard.ObserverFunc(func(e guard.Event) {
//		count(e.Decision.Guard, e.Decision.Reason, e.Decision.Shadow)
//		log.Observe(e)
//	})}
//
// A nil logger means slog.Default at the time of the event.
func Log(logger *slog.Logger) Observer { return logObserver{logger} }

// logObserver logs to its logger, or to the default one of the moment.
type logObserver struct{ logger *slog.Logger }

func (o logObserver) Observe(e Event) {
	d := &e.Decision
	level := slog.LevelWarn
	switch {
	case d.Err != nil:
		level = slog.LevelError
	case d.Shadow && d.Effect == Refuse:
		level = slog.LevelInfo
	case e.Kind == EventHint || e.Kind == EventExpired || d.Refused() && d.Cause != CauseGone:
	default:
		return
	}
	logger := o.logger
	if logger == nil {
		logger = slog.Default()
	}
	if !logger.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	if d.Guard != "" {
		attrs = append(attrs, slog.String("guard", d.Guard))
	}
	ctx := context.Background()
	if x := e.Exchange; x != nil {
		ctx = x.Context()
		attrs = append(
			attrs,
			slog.String("id", x.ID()),
			slog.String("reason", string(d.Reason)),
			slog.Bool("shadow", d.Shadow),
			slog.String("phase", d.Phase.String()),
			slog.String("route", x.Route()),
			slog.String("client", x.Client().String()),
		)
	}
	if d.Detail != "" {
		attrs = append(attrs, slog.String("detail", d.Detail))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.Any("error", d.Err))
	}
	logger.LogAttrs(ctx, level, "palegate "+e.word(), attrs...)
}

// word says what the event came to.
func (e *Event) word() string {
	switch {
	case e.Kind != EventDecision:
		return string(e.Kind)
	case e.Decision.Shadow:
		return "would " + e.Decision.Effect.String()
	}
	return e.Decision.Effect.String()
}

// tell tells the observer, whatever it does with it.
func (pl *plan) tell(e Event) {
	defer func() { _ = recover() }()
	pl.settings.Observer.Observe(e)
}
