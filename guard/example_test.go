package guard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/palegate/palegate/guard"
)

// tenants is a guard of one's own: it refuses requests that do not say which
// tenant they are for. It is its own Part, since it has no state to take over.
type tenants struct{}

// ReasonTenant is what clients read in a refusal, as "code".
const ReasonTenant guard.Reason = "tenants.missing"

func (t tenants) Guard(guard.Guard) (guard.Guard, error) { return t, nil }
func (tenants) Phases() guard.Phase                      { return guard.RequestHead }
func (tenants) Reasons() []guard.Reason                  { return []guard.Reason{ReasonTenant} }

func (tenants) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if x.Request().Header().Get("X-Tenant") == "" {
		return guard.Decision{
			Effect:     guard.Refuse,
			Cause:      guard.CauseMalformed,
			Reason:     ReasonTenant,
			Violations: []guard.Violation{{At: "header:X-Tenant", Rule: "required", Text: "name the tenant"}},
		}
	}
	x.Response().Stage(guard.Edit{In: guard.InHeader, Name: "Vary", Values: []string{"X-Tenant"}})
	return guard.Decision{}
}

// A guard of one's own in a pipeline.
func Example() {
	p, err := guard.New(
		guard.Use{Name: "tenants", Part: tenants{}},
		guard.Settings{Observer: guard.ObserverFunc(func(e guard.Event) {
			fmt.Println(e.Decision.Guard, e.Decision.Effect, e.Decision.Reason)
		})},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "orders") })
	h := p.Handler(mux)

	for _, tenant := range []string{"", "acme"} {
		r := httptest.NewRequest("GET", "/orders", nil)
		if tenant != "" {
			r.Header.Set("X-Tenant", tenant)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// tenants refuse tenants.missing
	// 400
	// 200
}

// Modes are switched while serving.
func ExampleModes() {
	p, err := guard.New(guard.Use{Name: "tenants", Part: tenants{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Modes().Set("tenants", guard.ModeMonitor); err != nil {
		fmt.Println(err)
	}
	for name, mode := range p.Modes().All() {
		fmt.Println(name, mode)
	}
	// Output: tenants monitor
}
