package ratelimit_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/ratelimit"
)

func serve(t *testing.T, parts ...guard.Part) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(pipeline(t, parts...).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	})))
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServer(t *testing.T) {
	s := serve(t, ratelimit.Config{Limit: ratelimit.Limit{Count: 1, Per: time.Second, Burst: 3}})
	begin := time.Now()
	allowed := 0
	var refused *http.Response
	var body string
	for refused == nil {
		res, b := get(t, s.URL)
		if got, want := res.Header.Get("Ratelimit-Policy"), `"default";q=1;w=1`; got != want {
			t.Errorf("status %d: got RateLimit-Policy %q, want %q", res.StatusCode, got, want)
		}
		switch res.StatusCode {
		case http.StatusOK:
			allowed++
		case http.StatusTooManyRequests:
			refused, body = res, b
		default:
			t.Fatalf("got status %d", res.StatusCode)
		}
	}
	if most := 3 + int(time.Since(begin).Seconds()); allowed < 3 || allowed > most {
		t.Errorf("%d requests allowed, want 3 to %d", allowed, most)
	}
	if got := refused.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got Content-Type %q", got)
	}
	var problem struct {
		Status int
		Code   string
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Status != 429 || problem.Code != "ratelimit.exceeded" {
		t.Errorf("got %s (%v), want the problem ratelimit.exceeded", body, err)
	}
	seconds, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	if err != nil || seconds != 1 {
		t.Fatalf("got Retry-After %q, want 1", refused.Header.Get("Retry-After"))
	}
	time.Sleep(time.Duration(seconds) * time.Second)
	if res, _ := get(t, s.URL); res.StatusCode != http.StatusOK {
		t.Errorf("got status %d after Retry-After", res.StatusCode)
	}
}

func TestPolicyField(t *testing.T) {
	tests := []struct {
		limit ratelimit.Limit
		want  string
	}{
		{ratelimit.Limit{Count: 20, Per: time.Second}, `"default";q=20;w=1`},
		{ratelimit.Limit{Count: 100, Per: time.Hour, Burst: 5}, `"default";q=100;w=3600`},
		{ratelimit.Limit{Count: 20, Per: 1500 * time.Millisecond}, ""},
		{ratelimit.Limit{Count: 20, Per: time.Millisecond}, ""},
	}
	for _, tt := range tests {
		s := serve(t, ratelimit.Config{Limit: tt.limit})
		res, _ := get(t, s.URL)
		if got := res.Header.Get("Ratelimit-Policy"); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.limit, got, tt.want)
		}
	}
}
