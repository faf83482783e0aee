package guardtest

import "testing"

func TestRequestsOf(t *testing.T) {
	for _, tt := range []struct {
		pattern, method, path string
		want                  bool
	}{
		{"/orders", "GET", "/orders", true},
		{"/orders", "GET", "/orders/7", false},
		{"/orders", "GET", "/ordersx", false},
		{"/orders.json", "GET", "/orders-json", false},
		{"GET /orders", "GET", "/orders", true},
		{"GET\t /orders", "GET", "/orders", true},
		{"GET /orders", "HEAD", "/orders", true},
		{"GET /orders", "POST", "/orders", false},
		{"POST /orders", "HEAD", "/orders", false},
		{"GET api.example.com/orders", "GET", "/orders", true},
		{"/orders/", "GET", "/orders/7/items", true},
		{"/orders/", "GET", "/orders", false},
		{"/orders/{$}", "GET", "/orders/", true},
		{"/orders/{$}", "GET", "/orders/7", false},
		{"/orders/{id}", "GET", "/orders/7", true},
		{"/orders/{id}", "GET", "/orders/", false},
		{"/orders/{id}", "GET", "/orders/7/items", false},
		{"/orders/{id}/items", "GET", "/orders/7/items", true},
		{"/files/{path...}", "GET", "/files/a/b", true},
		{"/orders/{id:[0-9]{3}}", "GET", "/orders/777", true},
		{"/orders/{id:[^/]+}/items", "GET", "/orders/7/items", true},
		{"/orders/:id/items", "GET", "/orders/7/items", true},
		{"/orders/:id", "GET", "/orders/7/items", false},
		{"/orders:cancel", "POST", "/orders:cancel", true},
		{"/orders:cancel", "POST", "/orders7", false},
		{"/files/*path", "GET", "/files/a/b", true},
		{"/admin/*", "GET", "/admin/users/7", true},
		{"/adm*", "GET", "/admin", true},
		{"*", "GET", "/", true},
		{"/pkg.Service/*", "POST", "/pkg.Service/Get", true},
		{"/pkg.Service/*", "POST", "/pkg_Service/Get", false},
	} {
		if got := requestsOf(tt.pattern)(tt.method, tt.path); got != tt.want {
			t.Errorf("%q for %s %s: got %t, want %t", tt.pattern, tt.method, tt.path, got, tt.want)
		}
	}
}
