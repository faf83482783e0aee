package guardtest_test

import (
	"fmt"
	"testing"

	"github.com/palegate/palegate/guard/guardtest"
)

func ExampleEdit() {
	t := &testing.T{} // a test has its own
	order := `{"items":[{"sku":"a-1","qty":2}],"note":"hi"}`
	fmt.Println(guardtest.Edit(t, order, "items.0.qty", -1))
	fmt.Println(guardtest.Without(t, order, "note"))
	// Output:
	// {"items":[{"sku":"a-1","qty":-1}],"note":"hi"}
	// {"items":[{"sku":"a-1","qty":2}]}
}

func TestEditFails(t *testing.T) {
	expect(t, run(func(t *fakeT) { guardtest.Edit(t, `{"a":1`, "a", 1) }), "not valid JSON")
	expect(t, run(func(t *fakeT) { guardtest.Edit(t, `{"a":1}`, "", 1) }), "path")
	expect(t, run(func(t *fakeT) { guardtest.Without(t, `{"a":1`, "a") }), "not valid JSON")
	expect(t, run(func(t *fakeT) { guardtest.Without(t, `{"a":1}`, "b") }), "leads to nothing")
}
