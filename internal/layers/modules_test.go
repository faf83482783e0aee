package layers_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestModules(t *testing.T) {
	found := tree(t)
	for _, dir := range found.modules {
		mod := module(t, dir)
		if want := path.Join(root, dir); mod.Module.Path != want {
			t.Errorf("%s/go.mod: module %s, want %s", dir, mod.Module.Path, want)
		}
		for _, req := range mod.Require {
			for _, wrong := range requirement(mod, req.version) {
				t.Errorf("%s/go.mod: %s", dir, wrong)
			}
		}
	}
}

func TestRequirement(t *testing.T) {
	replaced := []replacement{
		{version{Path: root}, version{Path: "../.."}},
		{version{Path: root + "/bench"}, version{Path: "../../bench"}},
	}
	tests := []struct {
		name    string
		module  string
		replace []replacement
		require version
		ok      bool
	}{
		{"third party", "/adapters/guardchi", nil, version{"github.com/go-chi/chi/v5", "v5.2.0"}, true},
		{"root beside it", "/adapters/guardchi", replaced, version{root, "v0.0.0"}, true},
		{"root by version", "/adapters/guardchi", replaced, version{root, "v0.1.0"}, false},
		{"root not replaced", "/adapters/guardchi", nil, version{root, "v0.0.0"}, false},
		{"root at another place", "/examples", replaced, version{root, "v0.0.0"}, false},
		{"leaf", "/adapters/guardchi", replaced, version{root + "/bench", "v0.0.0"}, false},
	}
	for _, tt := range tests {
		mod := modFile{Module: version{Path: root + tt.module}, Replace: tt.replace}
		if got := requirement(mod, tt.require); (len(got) == 0) != tt.ok {
			t.Errorf("%s: got %q, want allowed: %t", tt.name, got, tt.ok)
		}
	}
}

// requirement lists what is wrong when mod requires req. Modules of the repository are required as v0.0.0 and taken from the
// directory beside, so that one commit is one version of everything.
func requirement(mod modFile, req version) (wrong []string) {
	dir, ours := strings.CutPrefix(req.Path+"/", root+"/")
	if !ours {
		return nil
	}
	if violation(mod.Module.Path, req.Path) != "" && req.Path != root {
		wrong = append(wrong, "must not require "+req.Path)
	}
	if req.Version != "v0.0.0" {
		wrong = append(wrong, "requires "+req.Path+" "+req.Version+", want v0.0.0")
	}
	from, _ := strings.CutPrefix(mod.Module.Path, root+"/")
	rel, err := filepath.Rel(filepath.FromSlash(from), filepath.FromSlash(dir))
	want := replacement{version{Path: req.Path}, version{Path: filepath.ToSlash(rel)}}
	if err != nil || !slices.Contains(mod.Replace, want) {
		wrong = append(wrong, "lacks replace "+req.Path+" => "+want.New.Path)
	}
	return wrong
}

// go.work names every module but those that fetch hundreds of others.
func TestWorkspace(t *testing.T) {
	var want []string
	for _, dir := range tree(t).modules {
		if kind, _ := place(path.Join(root, dir)); kind != leaf || dir == "examples" {
			want = append(want, dir)
		}
	}
	var work struct{ Use []struct{ DiskPath string } }
	decode(t, run(t, repository(t), "go", "work", "edit", "-json", "go.work"), &work)
	var got []string
	for _, use := range work.Use {
		got = append(got, path.Clean(use.DiskPath))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("go.work uses %q, want %q", got, want)
	}
}

// Every direct requirement of the root module is argued for in CONTRIBUTING.md.
func TestDependenciesAreArgued(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository(t), "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	argued := arguments(string(page))
	if len(argued) == 0 {
		t.Fatal(`CONTRIBUTING.md: no lines "- ` + "`module`: reason" + `" under "### The root module"`)
	}
	for _, req := range module(t, ".").Require {
		if !req.Indirect && !slices.Contains(argued, req.Path) {
			t.Errorf("go.mod requires %s, for which CONTRIBUTING.md gives no reason under \"### The root module\"", req.Path)
		}
	}
}

func TestArguments(t *testing.T) {
	page := "- `a.example/before`: no\n### The root module\n\n- `a.example/b`: fast\ntext\n- `a.example/c/v2` (x): small\n- `a.example/d`\n" +
		"### Nested\n- `a.example/e`: no\n"
	if got, want := arguments(page), []string{"a.example/b", "a.example/c/v2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

var argument = regexp.MustCompile("(?m)^- `([^`]+)`.*: .+$")

// arguments returns the modules that the page gives a reason for in its section on the root module.
func arguments(page string) (modules []string) {
	_, section, _ := strings.Cut(page, "### The root module\n")
	section, _, _ = strings.Cut(section, "\n#")
	for _, m := range argument.FindAllStringSubmatch(section, -1) {
		modules = append(modules, m[1])
	}
	return modules
}

type version struct{ Path, Version string }

type replacement struct{ Old, New version }

// A modFile is what `go mod edit -json` prints of a go.mod.
type modFile struct {
	Module  version
	Require []struct {
		version
		Indirect bool
	}
	Replace []replacement
}

func module(t *testing.T, dir string) (mod modFile) {
	t.Helper()
	decode(t, run(t, filepath.Join(repository(t), dir), "go", "mod", "edit", "-json"), &mod)
	return mod
}
