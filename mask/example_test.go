package mask_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/mask"
)

func ExampleFields() {
	p, err := guard.New(mask.Fields("card.number", "customers.*.email"))
	if err != nil {
		log.Fatal(err)
	}
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"card": {"number": "4111111111111111", "brand": "visa"}, "customers": [{"email": "ann@example.com"}]}`)
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/orders/7", nil))
	fmt.Println(w.Body)
	// Output: {"card": {"number": "[redacted]", "brand": "visa"}, "customers": [{"email": "[redacted]"}]}
}

// Where some routes answer what mask does not read, it is placed on the others.
func ExampleConfig_routes() {
	p, err := guard.New(guard.Use{
		Routes: []string{"/api/*"},
		Part:   mask.Config{Fields: []string{"card.number"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, use := range p.Uses() {
		fmt.Println(use.Name, use.Routes, use.Mode, use.Pinned)
	}
	// Output: mask [/api/*] enforce true
}
