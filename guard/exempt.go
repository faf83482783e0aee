package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// An Exemption lets refusals of one guard pass for the exchanges it matches,
// until a date. Each time, the decision is recorded with Shadow set and the
// [Observer] hears of it. What is set in Routes, Subjects, Clients and Reasons
// must all match, and one of them must be set; with Subjects, Issuer too. A
// guard that panics or edits too late is never exempt, nor is a body that could
// not be read.
type Exemption struct {
	Routes   []string       // as in Use.Routes
	Subjects []string       // of the principal
	Issuer   string         // the principal's, which Subjects are unique within; "" if it has none
	Clients  []netip.Prefix // of the client's address
	Reasons  []Reason       // of the refusal
	Until    time.Time      // required; from then on it exempts nothing
	Why      string         // required
}

func (e *Exemption) check(reasons []Reason) error {
	var errs []error
	if len(e.Routes) == 0 && len(e.Subjects) == 0 && len(e.Clients) == 0 && len(e.Reasons) == 0 {
		errs = append(errs, errors.New("matches everything: set Routes, Subjects, Clients or Reasons"))
	}
	if e.Until.IsZero() {
		errs = append(errs, errors.New("Until: required"))
	}
	if e.Why == "" {
		errs = append(errs, errors.New("Why: required"))
	}
	for _, c := range e.Clients {
		if !c.IsValid() || c.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("Clients: %v is no prefix, or should be written as IPv4", c))
		}
	}
	for _, r := range e.Reasons {
		if !slices.Contains(reasons, r) {
			errs = append(errs, fmt.Errorf("Reasons: the guard never gives %q", r))
		}
	}
	return errors.Join(errs...)
}

// matches reports whether e lets the refusal d of x pass at now.
func (e *Exemption) matches(x *Exchange, d *Decision, now time.Time) bool {
	if !now.Before(e.Until) {
		return false
	}
	if len(e.Reasons) > 0 && !slices.Contains(e.Reasons, d.Reason) {
		return false
	}
	if len(e.Routes) > 0 {
		route := x.Route()
		if route == "" || !routes(e.Routes).match(route, x.method()) {
			return false
		}
	}
	if len(e.Subjects) > 0 {
		p := x.Principal()
		if p == nil || p.Issuer != e.Issuer || !slices.Contains(e.Subjects, p.Subject) {
			return false
		}
	}
	if len(e.Clients) > 0 {
		addr := x.Client().Addr
		if !slices.ContainsFunc(e.Clients, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return false
		}
	}
	return true
}
