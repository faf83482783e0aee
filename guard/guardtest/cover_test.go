package guardtest_test

import (
	"net/http/httptest"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
)

func TestCover(t *testing.T) {
	cover := func(p *guard.Pipeline, opts ...guardtest.CoverOption) []string {
		return run(func(t testing.TB) { guardtest.Cover(t, p, opts...) })
	}
	// What is reached is kept by name: one that no other test has.
	p := pipeline(t, guard.Use{Name: "covered", Routes: []string{"GET /orders/{id}", "/admin/*"}, Part: gate})
	const (
		missing = `no test reached reason "gate.missing" of guard "covered"`
		role    = `no test reached reason "gate.role" of guard "covered"`
		orders  = `no test reached route "GET /orders/{id}" of guard "covered"`
		admin   = `no test reached route "/admin/*" of guard "covered"`
	)
	expect(t, cover(p), missing, role, orders, admin)
	expect(t, cover(p, guardtest.Except("gate.role")), missing, orders, admin)
	expect(t, cover(p, guardtest.Except("gate.*", "gate.rule")), orders, admin, `Except("gate.rule"): no guard gives such a reason`)

	h := p.Handler(ok)
	guardtest.Send(t, h, httptest.NewRequest("GET", "/orders/7", nil))
	expect(t, cover(p), role, admin)
	guardtest.Table(t, h, write(t, "@bob DELETE /admin/users/7 => 403 gate.role"), personas...)
	expect(t, cover(p))

	// Another pipeline with a guard of that name, which is monitored.
	again := pipeline(t, guard.Use{Name: "covered", Mode: guard.ModeMonitor, Routes: []string{"POST /orders"}, Part: gate})
	expect(t, cover(again), `no test reached route "POST /orders"`)

	shadow := pipeline(t, guard.Use{Name: "shadow", Mode: guard.ModeMonitor, Part: gate}, guard.Use{Name: "off", Mode: guard.ModeOff, Part: gate})
	guardtest.Send(t, shadow.Handler(ok), httptest.NewRequest("GET", "/", nil))
	expect(t, cover(shadow), `no test reached reason "gate.role" of guard "shadow"`)
}
