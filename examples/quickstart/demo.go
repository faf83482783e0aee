package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
)

// step is a request to try and what becomes of it.
type step struct {
	curl   string
	expect string // for people
	method string
	path   string
	body   string
	times  int // sent so often; the last answer counts

	status int
	guard  string // which acts: "mask", "ratelimit" or none
	shows  string // must be in the answer
	hides  string // must not
}

const number = "4111111111111111"

func steps(base string) []step {
	created := `{"item":"tea","qty":2,"card":{"number":"` + number + `","holder":"Ada"},"customer":{"email":"ada@example.com"}}`
	return []step{
		{
			curl:   "curl -s -d '" + created + "' " + base + "/orders",
			expect: "mask: the order is created, card.number and customer.email do not come back",
			method: http.MethodPost, path: "/orders", body: created,
			status: http.StatusCreated, guard: "mask", shows: `"holder":"Ada"`, hides: number,
		},
		{
			curl:   "curl -s " + base + "/export.csv",
			expect: "allowed: the export lies outside mask's routes",
			method: http.MethodGet, path: "/export.csv",
			status: http.StatusOK, shows: "1,tea,2",
		},
		{
			curl:   "curl -s '" + base + "/orders?format=csv'",
			expect: "mask: refused with 500, since it cannot read CSV and so cannot let it leave",
			method: http.MethodGet, path: "/orders?format=csv",
			status: http.StatusInternalServerError, guard: "mask", hides: number,
		},
		{
			curl:   "curl -sN --max-time 2 " + base + "/events",
			expect: "mask: each event of the stream is masked as it is sent",
			method: http.MethodGet, path: "/events",
			status: http.StatusOK, guard: "mask", shows: "event: order", hides: number,
		},
		{
			curl:   "for i in $(seq 15); do curl -s -o /dev/null -w '%{http_code} ' " + base + "/orders/1; done",
			expect: "ratelimit: more than 10 requests in a second are refused with 429",
			method: http.MethodGet, path: "/orders/1", times: 15,
			status: http.StatusTooManyRequests, guard: "ratelimit", hides: number,
		},
	}
}

// play sends every step and prints what was decided. It is an error if that is
// not what the step says.
func play(w io.Writer, base string) error {
	var errs []error
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "request\tstatus\tguard\tas told")
	for _, s := range steps(base) {
		status, body, err := s.send(base)
		acted := acting(status, body)
		if err == nil {
			err = s.judge(status, acted, body)
		}
		said := "yes"
		if err != nil {
			said = "no: " + err.Error()
			errs = append(errs, fmt.Errorf("%s %s: %w", s.method, s.path, err))
		}
		fmt.Fprintf(t, "%s %s\t%d\t%s\t%s\n", s.method, s.path, status, acted, said)
	}
	return errors.Join(append(errs, t.Flush())...)
}

func (s *step) judge(status int, acted, body string) error {
	switch {
	case status != s.status:
		return fmt.Errorf("status %d, want %d", status, s.status)
	case acted != s.guard:
		return fmt.Errorf("%q acted, want %q", acted, s.guard)
	case !strings.Contains(body, s.shows):
		return fmt.Errorf("the answer lacks %q", s.shows)
	case s.hides != "" && strings.Contains(body, s.hides):
		return errors.New("the card number came back")
	}
	return nil
}

// acting tells which guard acted, from what a client can see.
func acting(status int, body string) string {
	var problem struct {
		Code string `json:"code"`
	}
	if status >= http.StatusBadRequest && json.Unmarshal([]byte(body), &problem) == nil {
		guard, _, _ := strings.Cut(problem.Code, ".")
		return guard
	}
	if strings.Contains(body, "[redacted]") {
		return "mask"
	}
	return ""
}

// send sends s and returns the last answer. Of a stream that is its beginning.
func (s *step) send(base string) (status int, body string, err error) {
	for range max(s.times, 1) {
		status, body, err = s.once(base)
		if err != nil {
			return 0, "", err
		}
	}
	return status, body, nil
}

func (s *step) once(base string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, s.method, base+s.path, strings.NewReader(s.body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var b strings.Builder
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		b.WriteString(lines.Text() + "\n")
		if lines.Text() == "" {
			break // a whole event
		}
	}
	return resp.StatusCode, b.String(), lines.Err()
}
