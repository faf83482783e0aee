package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
	"github.com/palegate/palegate/mask"
	"github.com/palegate/palegate/ratelimit"
)

func TestPolicy(t *testing.T) {
	p, err := policy()
	if err != nil {
		t.Fatal(err)
	}
	h := p.Handler(newOrders().routes())
	order := `{"item":"tea","card":{"number":"4111111111111111"},"customer":{"email":"ada@example.com"}}`

	for _, order := range []string{
		order,
		guardtest.Edit(t, order, "item", "4 x tea"),
		guardtest.Edit(t, order, "card.number", "4111-1111-1111-1111"),
		guardtest.Without(t, order, "customer"),
	} {
		res := guardtest.Send(t, h, httptest.NewRequest("POST", "/orders", strings.NewReader(order)))
		if res.Status != 201 || !res.Reached || bytes.Contains(res.Body, []byte("4111")) || bytes.Contains(res.Body, []byte("ada@")) {
			t.Fatal(res)
		}
	}
	res := guardtest.Send(t, h, httptest.NewRequest("GET", "/orders?format=csv", nil))
	if !res.Refused.Is(mask.ReasonMediaType) || res.Refused.Cause != guard.CauseInternal {
		t.Fatal(res)
	}
	for range 15 {
		res = guardtest.Send(t, h, httptest.NewRequest("GET", "/orders/1", nil), guardtest.From("203.0.113.7"))
	}
	if !res.Refused.Is(ratelimit.ReasonExceeded) || res.Reached {
		t.Fatal(res)
	}
	if res = guardtest.Send(t, h, httptest.NewRequest("GET", "/orders/1", nil), guardtest.From("203.0.113.8")); res.Status != 200 {
		t.Fatal(res)
	}
}

func TestDemo(t *testing.T) {
	if err := run("", true); err != nil {
		t.Fatal(err)
	}
}
