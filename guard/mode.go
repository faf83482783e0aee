package guard

import (
	"fmt"
	"iter"
	"slices"
)

// Mode says whether a guard's refusals and edits take effect.
type Mode uint8

// The modes. The zero value enforces.
const (
	ModeEnforce Mode = iota // refusals and edits take effect
	ModeMonitor             // decided and recorded with Shadow set; nothing changes
	ModeOff                 // not called
)

var modeNames = [...]string{"enforce", "monitor", "off"}

// String returns the mode's name in lower case.
func (m Mode) String() string { return nameOf(modeNames[:], int(m)) }

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] for the three names.
func (m *Mode) UnmarshalText(text []byte) error {
	i := slices.Index(modeNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("guard: Mode: %q is none of %q", text, modeNames)
	}
	*m = Mode(i) //nolint:gosec // one of three
	return nil
}

// Modes switches the guards of a pipeline while it serves, as slog.LevelVar
// does for levels. An exchange that has begun keeps the modes it began with.
// Safe for concurrent use.
type Modes struct{ p *Pipeline }

// Set switches the guard of that name. It is an error if there is none, or if
// to is no mode.
//
// A mode that was set outlives [Pipeline.Update] until the guard's own Use
// asks for another mode than before.
func (m *Modes) Set(guard string, to Mode) error {
	if to > ModeOff {
		return fmt.Errorf("guard: Modes.Set: %d is not a mode", to)
	}
	return m.p.setModes(func(s *slot) bool { return s.name == guard }, to, guard)
}

// SetAll switches every guard but the pinned ones: what is reached for in an
// outage must not become a leak. It is an error if to is no mode.
func (m *Modes) SetAll(to Mode) error {
	if to > ModeOff {
		return fmt.Errorf("guard: Modes.SetAll: %d is not a mode", to)
	}
	return m.p.setModes(func(s *slot) bool { return !s.pinned }, to, "")
}

// Of returns the mode of the guard of that name, and whether there is one.
func (m *Modes) Of(guard string) (Mode, bool) {
	for name, mode := range m.All() {
		if name == guard {
			return mode, true
		}
	}
	return ModeOff, false
}

// All yields the guards' names and modes in the pipeline's order.
func (m *Modes) All() iter.Seq2[string, Mode] {
	return func(yield func(string, Mode) bool) {
		for _, s := range m.p.plan.Load().slots {
			if !yield(s.name, s.mode) {
				return
			}
		}
	}
}
