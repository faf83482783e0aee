package guardchi_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/palegate/palegate/adapters/guardchi"
	"github.com/palegate/palegate/guard"
)

func TestZZLate(t *testing.T) {
	p, _ := guard.New(part{guard.RequestHead, func(x *guard.Exchange) guard.Decision { return guard.Decision{} }})
	r := chi.NewRouter()
	r.Use(guardchi.New(p))
	var x *guard.Exchange
	r.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		if x == nil {
			x = guard.From(r.Context())
			return
		}
		t.Log("during another:", x.Route(), x.PathValue("id"))
	})
	get(r, "GET", "/users/7")
	
	get(r, "GET", "/users/8")
}
