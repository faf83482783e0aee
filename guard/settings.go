package guard

import (
	"errors"
	"fmt"
)

// Settings is the Part that sets up the pipeline itself. Its zero value is
// what a pipeline has without one.
type Settings struct {
	// Trust says whose forwarding headers are believed. Default: nobody's.
	Trust Trust
	// Limits bounds what is held in memory.
	Limits Limits
	// Observer hears of decisions. Default: [Log] with slog.Default.
	Observer Observer `json:"-"`
}

// Limits bounds what a pipeline holds in memory of one exchange. What is over
// a limit is refused. A field of 0 means its default; a negative one is an
// error.
type Limits struct {
	// Request bounds a request's body in bytes, where a guard reads it.
	// Default 1 MiB.
	Request int64
	// Response bounds a response's body, or one unit of a stream, in bytes,
	// where a guard reads it. Default 8 MiB.
	Response int64
}

const (
	defaultRequest  = 1 << 20
	defaultResponse = 8 << 20
)

// Guard returns no guard: [New] reads the settings themselves.
func (Settings) Guard(Guard) (Guard, error) { return nil, nil }

// complete returns s with its defaults, and what is wrong with it.
func (s Settings) complete() (Settings, error) {
	var errs []error
	limit := func(field string, n *int64, byDefault int64) {
		if *n < 0 {
			errs = append(errs, fmt.Errorf("guard: Settings.Limits.%s: %d is negative", field, *n))
		}
		if *n == 0 {
			*n = byDefault
		}
	}
	limit("Request", &s.Limits.Request, defaultRequest)
	limit("Response", &s.Limits.Response, defaultResponse)
	if s.Observer == nil {
		s.Observer = Log(nil)
	}
	return s, errors.Join(errs...)
}
