package ratelimit_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

func ExamplePerClient() {
	p, err := guard.New(
		ratelimit.PerClient(2, time.Minute),
		guard.Settings{Observer: silent{}}, // the default logs refusals
	)
	if err != nil {
		log.Fatal(err)
	}
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello")
	}))
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Printf("%d %s %q\n", w.Code, w.Header().Get("Ratelimit-Policy"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 "default";q=2;w=60 ""
	// 200 "default";q=2;w=60 ""
	// 429 "default";q=2;w=60 "30"
}

// A limit that has a name and a place of its own: for logins alone, after the
// one for everything.
func ExampleConfig() {
	_, err := guard.New(
		ratelimit.PerClient(20, time.Second),
		guard.Use{
			Name:   "logins",
			Routes: []string{"POST /login"},
			Part: ratelimit.Config{
				Limit:      ratelimit.Limit{Count: 10, Per: time.Hour, Burst: 3},
				MaxClients: 1 << 20,
			},
		},
	)
	fmt.Println(err)
	// Output: <nil>
}
