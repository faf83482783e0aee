package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/palegate/palegate/guard/guardtest"
	"github.com/palegate/palegate/ratelimit"
)

func TestConform(t *testing.T) {
	guardtest.Conform(
		t, ratelimit.PerClient(1, time.Hour),
		httptest.NewRequest(http.MethodGet, "/", nil),
		httptest.NewRequest(http.MethodGet, "/again", nil),
	)
}
