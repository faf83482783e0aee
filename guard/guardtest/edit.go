package guardtest

import (
	"testing"

	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"
)

// Edit returns the JSON document doc with one value changed, so that the many
// wrong requests of a test are made of one right one:
//
//	guardtest.Edit(t, order, "items.0.qty", -1)
//
// The path has the syntax of sjson: names and indexes joined by dots, "-1" to
// append to an array. What is not there yet is added. The test fails at once if
// doc is not valid JSON or the path cannot be followed.
func Edit(t testing.TB, doc, path string, value any) string {
	t.Helper()
	editable(t, doc, path)
	edited, err := sjson.Set(doc, path, value)
	if err != nil {
		t.Fatalf("guardtest: Edit: path %q: %v", path, err)
	}
	return edited
}

// Without returns doc without the value at path, as [Edit] has it. It must be
// there.
func Without(t testing.TB, doc, path string) string {
	t.Helper()
	editable(t, doc, path)
	if !gjson.Get(doc, path).Exists() {
		t.Fatalf("guardtest: Without: path %q leads to nothing", path)
	}
	edited, err := sjson.Delete(doc, path)
	if err != nil {
		t.Fatalf("guardtest: Without: path %q: %v", path, err)
	}
	return edited
}

// editable makes sure that sjson, which does not, can work with doc.
func editable(t testing.TB, doc, path string) {
	t.Helper()
	if !gjson.Valid(doc) {
		t.Fatalf("guardtest: not valid JSON: %s", doc)
	}
	if path == "" {
		t.Fatalf("guardtest: the path is empty")
	}
}
