package mask_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/mask"
)

// Each digit of a long list becomes a mask many times as long: what was within
// Limits.Response would be held, and sent, far over it.
func TestMasksDoNotOutgrowTheLimit(t *testing.T) {
	const limit = 8 << 20 // by default
	for _, tt := range []struct {
		digits int
		passes bool
	}{{limit / 50, true}, {limit / 4, false}} {
		doc := `{"a":[` + strings.Repeat("0,", tt.digits) + `0]}`
		w := httptest.NewRecorder()
		pipeline(t, mask.Fields("a.*")).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, doc)
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		body := w.Body.String()
		switch {
		case tt.passes && (w.Code != 200 || strings.Contains(body, "0")):
			t.Errorf("%d bytes: got %d %.99q, want them masked", len(doc), w.Code, body)
		case !tt.passes && (w.Code != 500 || !strings.Contains(body, string(guard.ReasonTooLarge))):
			t.Errorf("%d bytes: got %d and %d bytes, want %s", len(doc), w.Code, len(body), guard.ReasonTooLarge)
		}
	}
}
