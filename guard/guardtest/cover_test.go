package guardtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
)

// runs is how often TestCover has run in this process.
var runs atomic.Int64

func TestCover(t *testing.T) {
	cover := func(p *guard.Pipeline, opts ...guardtest.CoverOption) []string {
		return run(func(t *fakeT) { guardtest.Cover(t, p, opts...) })
	}
	// What is reached is kept by name, and never forgotten: -count runs this
	// several times.
	name := fmt.Sprintf("covered%d", runs.Add(1))
	p := pipeline(t, guard.Use{Name: name, Routes: []string{"GET /" + name + "/{id}", "/admin/" + name + "/*"}, Part: gate})
	var (
		missing = `no test reached reason "gate.missing" of guard "` + name
		role    = `no test reached reason "gate.role" of guard "` + name
		orders  = `no test reached route "GET /` + name
		admin   = `no test reached route "/admin/` + name
	)
	expect(t, cover(p), missing, role, orders, admin)
	expect(t, cover(p, guardtest.Except("gate.role")), missing, orders, admin)
	expect(t, cover(p, guardtest.Except("gate.*", "gate.rule")), orders, admin, `Except("gate.rule"): no guard gives such a reason`)

	mux := http.NewServeMux()
	mux.Handle("GET /"+name+"/{id}", ok)
	mux.Handle("/admin/"+name+"/{id}", ok)
	h := p.Handler(mux)
	guardtest.Send(t, h, httptest.NewRequest("GET", "/"+name+"/7", nil))
	expect(t, cover(p), role, admin)
	guardtest.Table(t, h, write(t, "@bob DELETE /admin/"+name+"/7 => 403 gate.role"), personas...)
	expect(t, cover(p))

	// Another pipeline with a guard of that name, which is monitored.
	again := pipeline(t, guard.Use{Name: name, Mode: guard.ModeMonitor, Routes: []string{"POST /" + name + "/{id}"}, Part: gate})
	expect(t, cover(again), `no test reached route "POST /`)

	shadow := pipeline(t, guard.Use{Name: "shadow", Mode: guard.ModeMonitor, Part: gate}, guard.Use{Name: "off", Mode: guard.ModeOff, Part: gate})
	guardtest.Send(t, shadow.Handler(ok), httptest.NewRequest("GET", "/", nil))
	expect(t, cover(shadow), `no test reached reason "gate.role" of guard "shadow"`)
}
