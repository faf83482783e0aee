package guardchi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-chi/chi/v5"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

// own lets users see only themselves.
type own struct{}

func (own) Guard(guard.Guard) (guard.Guard, error) { return own{}, nil }
func (own) Phases() guard.Phase                    { return guard.RequestHead }
func (own) Reasons() []guard.Reason                { return []guard.Reason{"own.other"} }

func (own) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if x.PathValue("id") != x.Request().Header().Get("X-User") {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "own.other"}
	}
	return guard.Decision{}
}

func Example() {
	p, err := guard.New(
		guard.Use{Name: "own", Routes: []string{"/users/{id}"}, Part: own{}},
		guard.Settings{Observer: silent{}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := chi.NewRouter()
	r.Use(guardchi.New(p))
	r.Get("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") })
	r.Route("/users/{id}", func(r chi.Router) {
		r.Get("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "user ", chi.URLParam(r, "id")) })
	})

	for _, target := range []string{"/health", "/users/7", "/users/8"} {
		req := httptest.NewRequest(http.MethodGet, target, nil)
		req.Header.Set("X-User", "7")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		fmt.Println(target, w.Code)
	}
	fmt.Println(guardchi.Routes(r))
	// Output:
	// /health 200
	// /users/7 200
	// /users/8 403
	// [GET /health GET /users/{id}]
}
