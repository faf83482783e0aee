package guardtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
)

// adminsOnly is a guard that lets admins alone in, as a policy of one's own.
type adminsOnly struct{}

func (a adminsOnly) Guard(guard.Guard) (guard.Guard, error) { return a, nil }

func (adminsOnly) Phases() guard.Phase     { return guard.RequestHead }
func (adminsOnly) Reasons() []guard.Reason { return []guard.Reason{"admin.role"} }

func (adminsOnly) Check(x *guard.Exchange, _ guard.Phase) guard.Decision {
	if p := x.Principal(); p == nil || len(p.Roles) == 0 || p.Roles[0] != "admin" {
		return guard.Decision{Effect: guard.Refuse, Cause: guard.CauseForbidden, Reason: "admin.role"}
	}
	return guard.Decision{}
}

// newHandler is what main serves.
func newHandler() http.Handler {
	p, err := guard.New(guard.Settings{Observer: quiet{}}, guard.Use{Name: "admin", Part: adminsOnly{}})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"id":7}`)
	})
	return p.Handler(mux)
}

func ExampleSend() {
	t := &testing.T{} // func TestOrders(t *testing.T) {
	order := func() *http.Request {
		return httptest.NewRequest("POST", "/orders", strings.NewReader(`{"qty":1}`))
	}
	h := newHandler()

	res := guardtest.Send(t, h, order())
	fmt.Println(res.Status, res.Refused.Reason, res.Reached)

	res = guardtest.Send(t, h, order(), guardtest.As(guard.Principal{Subject: "alice", Roles: []string{"admin"}}))
	fmt.Println(res)
	// Output:
	// 403 admin.role false
	// 201, reached the handler
	// 	body: {"id":7}
}

// The file holds lines such as
//
//	@alice POST /orders {"qty":1} => 201 allow
func ExampleTable() {
	t := &testing.T{} // func TestPolicy(t *testing.T) {
	alice := guardtest.As(guard.Principal{Subject: "alice", Roles: []string{"admin"}})
	guardtest.Table(t, newHandler(), "testdata/orders.txt", guardtest.Persona("alice", alice))
	fmt.Println("failed:", t.Failed())
	// Output: failed: false
}

func ExampleConform() {
	// func TestConform(t *testing.T) {
	_ = func(t *testing.T) {
		refused := httptest.NewRequest("POST", "/orders", nil)
		refused.Pattern = "POST /orders"
		admin := guard.WithPrincipal(t.Context(), &guard.Principal{Subject: "alice", Roles: []string{"admin"}})
		guardtest.Conform(t, adminsOnly{}, refused, refused.WithContext(admin))
	}
	// Output:
}

func TestConformExample(t *testing.T) {
	guardtest.Conform(t, adminsOnly{})
}
