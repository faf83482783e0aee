package layers_test

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files are what the rules look at, as paths with slashes below the repository's root.
type files struct {
	modules []string // directories that hold a go.mod
	sources []string // Go files
}

// tree walks the repository as the go command does: no testdata, no names that begin with a dot or an underscore. It reads the
// disk and not git's index, so that the rules hold for a new file at once and in a copy without history.
func tree(t *testing.T) (found files) {
	t.Helper()
	top := repository(t)
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != top && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor") {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(top, name)
		switch {
		case err != nil:
			return err
		case base == "go.mod":
			found.modules = append(found.modules, filepath.ToSlash(filepath.Dir(rel)))
		case strings.HasSuffix(base, ".go"):
			found.sources = append(found.sources, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(found.modules, ".") {
		t.Fatalf("no go.mod in %s", top)
	}
	return found
}

// repository returns the root's directory: tests run in their package's.
func repository(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// run returns what the command prints. Each module stands for itself, and the network is not asked.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=-mod=readonly")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s in %s: %v\n%s", strings.Join(cmd.Args, " "), dir, err, &stderr)
	}
	return out
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
