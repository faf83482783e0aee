package guardchi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

// closed refuses everything.
type closed struct{}

func (c closed) Guard(guard.Guard) (guard.Guard, error) { return c, nil }
func (closed) Phases() guard.Phase                      { return guard.RequestHead }
func (closed) Reasons() []guard.Reason                  { return []guard.Reason{"closed.all"} }
func (closed) Check(*guard.Exchange, guard.Phase) guard.Decision {
	return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "closed.all"}
}

// A route of another router that a mount hides does not lend its name to the
// mount's own path, which a guard of the mount would then not judge.
func TestHiddenRouteLendsNoName(t *testing.T) {
	p, err := guard.New(guard.Use{Routes: []string{"/admin/*"}, Part: closed{}})
	if err != nil {
		t.Fatal(err)
	}
	ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	admin, site, r := chi.NewRouter(), chi.NewRouter(), chi.NewRouter()
	r.Use(guardchi.New(p))
	admin.Get("/*", ok)
	site.Get("/admin", ok) // never served
	r.Mount("/admin", admin)
	r.Mount("/", site)
	for _, path := range []string{"/admin", "/admin/", "/admin/x"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", path, w.Code)
		}
	}
}
