// Package layers_test keeps the architecture as CONTRIBUTING.md draws it: who may import whom, which modules there are and what
// they require, how long a file may be.
package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/palegate/palegate"

// A layer is a set of packages that obey the same rule.
type layer string

const (
	core        layer = "core"        // guard and its sub-packages
	guardrail   layer = "guardrail"   // authz, ratelimit, …: each knows the core alone
	support     layer = "internal"    // what no user imports
	adaptertest layer = "adaptertest" // the conformance suite for adapters
	adapter     layer = "adapter"     // one framework each
	leaf        layer = "leaf"        // examples, measurements and tools: nothing depends on them
	standard    layer = "standard"    // the standard library
	foreign     layer = "foreign"     // third parties, which go.mod rules
	unknown     layer = "unknown"     // a directory of ours that no rule names
)

// mayImport lists the layers that a layer may import besides its own tree: guard/… for guard, mask/… for mask.
var mayImport = map[layer][]layer{
	core:        {standard, foreign, support},
	guardrail:   {standard, foreign, support, core},
	support:     {standard, foreign, support, core},
	adaptertest: {standard, core},
	adapter:     {standard, foreign, core},
	leaf:        {standard, foreign, support, core, guardrail, adaptertest, adapter},
}

// trees maps the first directories of a package to its layer; the longest match counts.
var trees = map[string]layer{
	"guard":                core,
	"authz":                guardrail,
	"ratelimit":            guardrail,
	"schema":               guardrail,
	"inspect":              guardrail,
	"mask":                 guardrail,
	"internal":             support,
	"internal/tools":       leaf,
	"adapters/adaptertest": adaptertest,
	"examples":             leaf,
	"bench":                leaf,
	"conformance":          leaf,
}

// place returns the layer of the package with import path pkg, and the tree of directories that it shares with its own kind.
func place(pkg string) (layer, string) {
	pkg, ours := strings.CutPrefix(pkg+"/", root+"/")
	if !ours {
		// Only the standard library has import paths whose first element is no domain.
		if first, _, _ := strings.Cut(pkg, "/"); !strings.Contains(first, ".") {
			return standard, ""
		}
		return foreign, ""
	}
	best := ""
	for tree := range trees {
		if strings.HasPrefix(pkg, tree+"/") && len(tree) > len(best) {
			best = tree
		}
	}
	if best != "" {
		return trees[best], best
	}
	if name, ok := strings.CutPrefix(pkg, "adapters/"); ok && name != "" {
		name, _, _ = strings.Cut(name, "/")
		return adapter, "adapters/" + name
	}
	return unknown, ""
}

// violation says which rule the import breaks; the empty string stands for none. Rules on direct imports suffice: every package of
// the repository is checked, so a forbidden package cannot be reached through an allowed one.
func violation(importer, imported string) string {
	from, fromTree := place(importer)
	to, toTree := place(imported)
	switch {
	case from == unknown:
		return importer + " belongs to no layer: give its directory one in internal/layers"
	case to == unknown:
		return fmt.Sprintf("%s imports %s, which belongs to no layer", importer, imported)
	case imported == "C" && from != leaf:
		return importer + " uses cgo: palegate builds without it"
	case toTree != "" && fromTree == toTree, slices.Contains(mayImport[from], to):
		return ""
	}
	return fmt.Sprintf("%s (%s) imports %s (%s): %s may import only its own tree and %v",
		importer, from, imported, to, from, mayImport[from])
}

func TestViolation(t *testing.T) {
	tests := []struct {
		importer, imported string
		allowed            bool
	}{
		{"/guard", "net/http", true},
		{"/guard", "github.com/tidwall/gjson", true},
		{"/guard", "/guard/payload", true},
		{"/guard/guardtest", "/guard", true},
		{"/guard", "/internal/bufpool", true},
		{"/guard", "/authz", false},
		{"/guard/payload", "/mask/detect", false},
		{"/guard/guardtest", "/adapters/adaptertest", false},
		{"/guard", "/adapters/guardchi", false},

		{"/authz", "/guard", true},
		{"/authz", "/guard/payload", true},
		{"/authz", "/internal/bufpool", true},
		{"/authz", "/authz/jwks", true},
		{"/mask/detect", "/mask", true},
		{"/authz", "/ratelimit", false},
		{"/ratelimit", "/authz/jwks", false},
		{"/inspect/sql", "/mask/detect", false},
		{"/schema", "/adapters/adaptertest", false},
		{"/schema", "/adapters/guardgrpc", false},

		{"/internal/bufpool", "/internal/ascii", true},
		{"/internal/places", "/guard", true},
		{"/internal/places", "/mask", false},
		{"/internal/places", "/internal/tools/faults", false},

		{"/adapters/guardchi", "/guard", true},
		{"/adapters/guardchi", "/guard/payload", true},
		{"/adapters/guardchi", "/adapters/guardchi/internal/writer", true},
		{"/adapters/guardchi", "github.com/go-chi/chi/v5", true},
		{"/adapters/guardchi", "/mask", false},
		{"/adapters/guardchi", "/internal/bufpool", false},
		{"/adapters/guardchi", "/adapters/guardgrpc", false},
		{"/adapters/guardecho4", "/adapters/guardecho", false},
		{"/adapters/adaptertest", "/guard/guardtest", true},
		{"/adapters/adaptertest", "testing", true},
		{"/adapters/adaptertest", "github.com/go-chi/chi/v5", false},
		{"/adapters/adaptertest", "/ratelimit", false},

		{"/examples/quickstart", "/mask", true},
		{"/examples/chi", "/adapters/guardchi", true},
		{"/bench", "/authz", true},
		{"/bench", "/bench/peers", true},
		{"/bench", "/examples/quickstart", false},
		{"/conformance", "/bench", false},
		{"/guard", "/examples/quickstart", false},
		{"/mask", "/conformance", false},
		{"/adapters/guardchi", "/bench", false},

		{"/guard", "C", false},
		{"/adapters/guardchi", "C", false},
		{"/guards", "fmt", false},
		{"/guard", "/guards", false},
		{"/adapters", "fmt", false},
		{"", "fmt", false},
		{"/guard", "github.com/palegate/palegate-extras", true},
	}
	full := func(path string) string {
		if path == "" || path[0] == '/' {
			return root + path
		}
		return path
	}
	for _, tt := range tests {
		got := violation(full(tt.importer), full(tt.imported))
		if (got == "") != tt.allowed {
			t.Errorf("violation(%q, %q) = %q, want allowed: %t", tt.importer, tt.imported, got, tt.allowed)
		}
	}
}

func TestImports(t *testing.T) {
	for _, dir := range tree(t).modules {
		for _, pkg := range packages(t, dir) {
			if len(pkg.Imports) == 0 {
				pkg.Imports = []string{"unsafe"} // a package without imports still needs a layer
			}
			for _, imported := range pkg.Imports {
				if wrong := violation(pkg.ImportPath, imported); wrong != "" {
					t.Error(wrong)
				}
			}
		}
	}
}

// What is reached, seen from the other side: the build list of guard itself.
func TestGuardReachesNoGuardrail(t *testing.T) {
	out := run(t, repository(t), "go", "list", "-e", "-deps", "./guard/...")
	for pkg := range strings.FieldsSeq(string(out)) {
		if kind, _ := place(pkg); !slices.Contains([]layer{core, support, standard, foreign}, kind) {
			t.Errorf("guard depends on %s", pkg)
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages lists the packages of the module in dir and what each imports, test files aside. Modules that are not fetched are not
// needed for that, so nothing is: bench and conformance would bring in hundreds.
func packages(t *testing.T, dir string) (pkgs []goPackage) {
	t.Helper()
	out := run(t, filepath.Join(repository(t), dir), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var pkg goPackage
		err := dec.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		if err != nil {
			t.Fatalf("go list in %s: %v", dir, err)
		}
		pkgs = append(pkgs, pkg)
	}
}
