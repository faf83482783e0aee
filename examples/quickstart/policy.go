package main

import (
	"time"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/mask"
	"github.com/palegate/palegate/ratelimit"
)

// policy is what stands in front of the orders. policy_test.go tests it.
func policy() (*guard.Pipeline, error) {
	return guard.New(
		ratelimit.PerClient(10, time.Second),
		guard.Use{
			// The CSV export has no secrets and is no JSON, which mask would
			// refuse: what it cannot read does not leave.
			Routes: []string{"POST /orders", "GET /orders", "GET /orders/{id}", "GET /events"},
			Part:   mask.Fields("card.number", "customer.email"),
		},
	)
}
