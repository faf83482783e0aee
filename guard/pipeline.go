package guard

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

// A Pipeline runs guards around a handler. It is made by [New] and is safe for
// concurrent use; one pipeline can serve many handlers.
type Pipeline struct {
	plan  atomic.Pointer[plan]
	mu    sync.Mutex // held while plan is replaced
	hints hints
}

// hints says which hints an observer has been given: each once a pipeline.
type hints struct{ untrusted, unrouted atomic.Bool }

// maxGuards is how many guards a pipeline holds: their routes are matched into
// one word.
const maxGuards = 64

// plan is what a pipeline does as long as nobody changes guards or modes. It
// is immutable; an exchange keeps the plan it began with.
type plan struct {
	settings Settings
	hints    *hints
	client   *clientAddr
	slots    []slot
	phases   Phase // at which some guard runs, on some route
	enforce  Phase // at which some enforced guard runs, on some route
	routed   bool  // some guard runs on some routes only
	believes bool  // Client depends on the request's header
}

// slot is a guard in its place.
type slot struct {
	name       string
	guard      Guard
	phases     Phase // 0 if off
	mode       Mode
	configured Mode // as the Use had it
	routes     routes
	exempt     []Exemption
	pinned     bool
}

// New builds a pipeline. The guards run in the order of parts. Every error is
// joined, each naming package, field and value; with an error the Pipeline is
// nil.
func New(parts ...Part) (*Pipeline, error) {
	p := &Pipeline{}
	if err := p.Update(parts...); err != nil {
		return nil, err
	}
	return p, nil
}

// Update replaces all guards or, on error, none. A new guard takes over the
// state of the one of its name, and a mode set while serving stays unless the
// Use asks for another one than before. Exchanges that have begun end with the
// guards they began with.
func (p *Pipeline) Update(parts ...Part) error {
	old, pl, err := p.replace(parts)
	if err != nil {
		return err
	}
	// The observer hears of it without the lock: it may switch modes itself.
	for i := range pl.slots {
		for _, e := range pl.slots[i].exempt {
			if !time.Now().Before(e.Until) {
				pl.tell(Event{Kind: EventExpired, Decision: Decision{
					Guard:  pl.slots[i].name,
					Detail: "an exemption is over since " + e.Until.Format(time.DateOnly) + " (why: " + e.Why + ")",
				}})
			}
		}
	}
	if old != nil {
		pl.tell(Event{Kind: EventReload})
	}
	return nil
}

func (p *Pipeline) replace(parts []Part) (old, pl *plan, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old = p.plan.Load()
	if pl, err = build(old, parts); err != nil {
		return nil, nil, err
	}
	pl.hints = &p.hints
	p.plan.Store(pl)
	return old, pl, nil
}

// Modes returns the switches of p's guards.
func (p *Pipeline) Modes() *Modes { return &Modes{p} }

// Uses returns what p is made of, in order, with the modes in force. The Parts
// are nil.
func (p *Pipeline) Uses() []Use {
	var uses []Use
	for _, s := range p.plan.Load().slots {
		uses = append(uses, Use{
			Name:   s.name,
			Routes: slices.Clone([]string(s.routes)),
			Mode:   s.mode,
			Exempt: slices.Clone(s.exempt),
			Pinned: s.pinned,
		})
	}
	return uses
}

// Reasons returns the reasons that the guard of that name can give.
func (p *Pipeline) Reasons(guard string) []Reason {
	for _, s := range p.plan.Load().slots {
		if s.name == guard {
			return slices.Clone(s.guard.Reasons())
		}
	}
	return nil
}

func build(old *plan, parts []Part) (*plan, error) {
	pl := &plan{}
	var (
		settings *Settings
		errs     []error
	)
	for i, part := range parts {
		switch p := part.(type) { // by their methods, pointers to them are Parts too
		case *Use:
			if p != nil {
				part = *p
			}
		case *Settings:
			if p != nil {
				part = *p
			}
		}
		if s, ok := part.(Settings); ok {
			if settings != nil {
				errs = append(errs, errors.New("guard: Settings: given twice"))
			}
			settings = &s
			continue
		}
		use, ok := part.(Use)
		if !ok {
			use = Use{Part: part}
		}
		s, err := use.slot(i, old)
		if err != nil {
			errs = append(errs, err)
		}
		if slices.ContainsFunc(pl.slots, func(other slot) bool { return other.name == s.name }) {
			errs = append(errs, fmt.Errorf("guard: Use %q: the name is taken; give each Use a Name of its own", s.name))
		}
		pl.slots = append(pl.slots, s)
	}
	if len(pl.slots) > maxGuards {
		errs = append(errs, fmt.Errorf("guard: %d guards are more than %d", len(pl.slots), maxGuards))
	}
	if settings == nil {
		settings = &Settings{}
	}
	var err error
	if pl.settings, err = settings.complete(); err != nil {
		errs = append(errs, err)
	}
	if pl.client, err = settings.Trust.compile(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	pl.sum()
	return pl, nil
}

var reasonForm = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)

// slot builds the guard of u, the i-th part.
func (u Use) slot(i int, old *plan) (slot, error) {
	if isNil(u.Part) {
		return slot{name: u.Name}, fmt.Errorf("guard: part %d (%q): Part is nil", i, u.Name)
	}
	switch u.Part.(type) {
	case Settings, *Settings:
		return slot{name: u.Name}, fmt.Errorf("guard: part %d (%q): Settings makes no guard; give it to New itself", i, u.Name)
	case Use, *Use:
		return slot{name: u.Name}, fmt.Errorf("guard: part %d (%q): a Use in a Use", i, u.Name)
	}
	s := slot{name: u.Name, mode: u.Mode, configured: u.Mode, routes: slices.Clone(u.Routes), exempt: slices.Clone(u.Exempt), pinned: u.Pinned}
	if s.name == "" {
		s.name = packageName(u.Part)
	}
	if p, ok := u.Part.(interface{ Pinned() bool }); ok && p.Pinned() {
		s.pinned = true
	}
	var prev Guard
	if before := old.find(s.name); before != nil {
		prev = before.guard
		if before.configured == u.Mode {
			s.mode = before.mode
		}
	}
	g, err := u.Part.Guard(prev)
	if err != nil {
		return s, fmt.Errorf("guard: Use %q: %w", s.name, err)
	}
	if isNil(g) {
		return s, fmt.Errorf("guard: Use %q: its Part made no guard", s.name)
	}
	s.guard, s.phases = g, g.Phases()
	return s, s.check(u)
}

func (s *slot) check(u Use) error {
	var errs []error
	wrong := func(field string, err error) {
		errs = append(errs, fmt.Errorf("guard: Use %q: %s: %w", s.name, field, err))
	}
	if u.Mode > ModeOff {
		wrong("Mode", fmt.Errorf("%d is not a mode", u.Mode))
	}
	if s.phases == 0 || s.phases&^allPhases != 0 {
		wrong("Phases", fmt.Errorf("%#b is not a set of phases", s.phases))
	}
	reasons := s.guard.Reasons()
	for _, r := range reasons {
		if !reasonForm.MatchString(string(r)) {
			wrong("Reasons", fmt.Errorf("%q is not of the form \"guard.cause\"", r))
		}
	}
	if s.name == bodyGuard {
		wrong("Name", errors.New("the pipeline's own decisions about bodies have this name"))
	}
	if strings.ContainsFunc(s.name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		wrong("Name", fmt.Errorf("%q has characters that cannot be printed", s.name))
	}
	for _, r := range u.Routes {
		if err := checkPattern(r); err != nil {
			wrong("Routes", err)
		}
	}
	for i := range s.exempt {
		if err := s.exempt[i].check(reasons); err != nil {
			wrong(fmt.Sprintf("Exempt[%d]", i), err)
		}
		for _, r := range s.exempt[i].Routes {
			if err := checkPattern(r); err != nil {
				wrong(fmt.Sprintf("Exempt[%d].Routes", i), err)
			}
		}
	}
	return errors.Join(errs...)
}

// packageName is the name of part's package, such as "ratelimit".
func packageName(part Part) string {
	t := reflect.TypeOf(part)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, _, _ := strings.Cut(t.String(), ".")
	return name
}

func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Interface, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

func (pl *plan) find(name string) *slot {
	if pl == nil {
		return nil
	}
	for i := range pl.slots {
		if pl.slots[i].name == name {
			return &pl.slots[i]
		}
	}
	return nil
}

// sum works out what holds for all slots together.
func (pl *plan) sum() {
	pl.phases, pl.enforce, pl.routed = 0, 0, false
	pl.believes = len(pl.settings.Trust.Proxies) > 0 || pl.settings.Trust.Hops > 0
	for i := range pl.slots {
		s := &pl.slots[i]
		s.phases = s.guard.Phases()
		if s.mode == ModeOff {
			s.phases = 0
			continue
		}
		pl.phases |= s.phases
		if s.mode == ModeEnforce {
			pl.enforce |= s.phases
		}
		pl.routed = pl.routed || len(s.routes) > 0
	}
}

func (p *Pipeline) setModes(which func(*slot) bool, to Mode, name string) error {
	pl, changed, err := p.switchModes(which, to, name)
	for _, name := range changed {
		pl.tell(Event{Kind: EventMode, Decision: Decision{Guard: name, Detail: "mode is now " + to.String()}})
	}
	return err
}

func (p *Pipeline) switchModes(which func(*slot) bool, to Mode, name string) (_ *plan, changed []string, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.plan.Load()
	if name != "" && old.find(name) == nil {
		return nil, nil, fmt.Errorf("guard: Modes.Set: no guard is named %q", name)
	}
	pl := *old
	pl.slots = slices.Clone(old.slots)
	for i := range pl.slots {
		if s := &pl.slots[i]; which(s) && s.mode != to {
			changed = append(changed, s.name)
			s.mode = to
		}
	}
	pl.sum()
	p.plan.Store(&pl)
	return &pl, changed, nil
}

// Handler returns next behind p. If next is a [http.ServeMux], guards know the
// route before it is served; inside a mux they know it from the request. Where
// other middleware stands between p and the mux, use [Pipeline.Routed]. What
// changes a request's method or path (a method override, a rewrite) or reads its
// body (ParseForm) belongs outside the first, and inside the second: guards judge
// the request as it reaches the pipeline.
//
// Where a guard watches the response, handlers get a writer that has no Unwrap,
// no http.CloseNotifier and no http.Pusher, and with which [http.MaxBytesReader]
// cannot tell the server to close the connection. Where an enforced guard reads
// the response's body, they see Accept-Encoding: identity, and should declare a
// Content-Type: a body without one is held back as text would be.
//
// With every guard off, the handler costs one load of a pointer.
func (p *Pipeline) Handler(next http.Handler) http.Handler {
	if mux, ok := next.(*http.ServeMux); ok {
		return p.Routed(MuxRouter(mux), next)
	}
	return p.Routed(nil, next)
}

// Routed returns next behind p, with routes found by router. A nil router
// leaves it to [http.Request.Pattern].
func (p *Pipeline) Routed(router Router, next http.Handler) http.Handler {
	return &handler{pipeline: p, router: router, next: next}
}
