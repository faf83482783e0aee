package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A small module whose tests find some faults and miss others.
var smallModule = map[string]string{
	"go.mod":     "module example.com/small\n\ngo 1.26\n",
	".gitignore": "*.out\n",
	"abs/abs.go": `package abs

// Abs returns |x|.
func Abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}
`,
	"abs/abs_test.go": `package abs

import "testing"

func TestAbs(t *testing.T) {
	if got := Abs(-2); got != 2 {
		t.Errorf("Abs(-2) = %d, want 2", got)
	}
}

func TestFails(t *testing.T) { t.Error("always") }

func FuzzAbs(f *testing.F) {
	f.Add(0)
	f.Fuzz(func(t *testing.T, x int) {
		if Abs(x) != Abs(-x) {
			t.Error(x)
		}
	})
}
`,
}

func absFault(title, run, old, line string) string {
	return "# fault: " + title + "\n# run: " + run + `
diff --git a/abs/abs.go b/abs/abs.go
--- a/abs/abs.go
+++ b/abs/abs.go
@@ -5,4 +5,4 @@
 	if x < 0 {
-		return ` + old + `
+		return ` + line + `
 	}
 	return x
`
}

func TestCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module several times")
	}
	const test = "go test ./abs -run '^TestAbs$'"
	patches := []struct {
		name, patch string
		want        string // the line that reports it
		why         string
	}{
		{"found", absFault("keeps the sign", test, "-x", "x"), "found ", ""},
		{"missed", absFault("is the same", test, "-x", "0 - x"), "MISSED", "passes"},
		{"stale", absFault("is older than the code", test, "0 * x", "x"), "BROKEN", "does not apply"},
		{"unbuilt", absFault("is no Go", test, "-x", "nothing"), "BROKEN", "does not build"},
		{"failing", absFault("proves nothing", "go test ./abs", "-x", "x"), "BROKEN", "without the fault"},
		{"idle", absFault("runs nothing", "go test ./abs -run TestNone", "-x", "x"), "BROKEN", "runs no test"},
		{"unnamed", "diff --git a/abs/abs.go b/abs/abs.go\n", "BROKEN", "no line # fault"},
	}
	dir := t.TempDir()
	write(t, dir, smallModule)
	for _, p := range patches {
		write(t, dir, map[string]string{"abs/testdata/faults/" + p.name + ".diff": p.patch})
	}
	write(t, dir, map[string]string{"other/testdata/faults/lone.diff": absFault("lies elsewhere", test, "-x", "x")})
	commit(t, dir)

	var out strings.Builder
	status, err := command(t.Context(), dir, []string{"abs"}, &out)
	if err != nil || status != someBroken {
		t.Errorf("status %d, error %v, want %d", status, err, someBroken)
	}
	got := out.String()
	for _, p := range patches {
		line, rest, _ := strings.Cut(got[max(0, strings.Index(got, p.name+".diff")-len("BROKEN   0.0s  abs/testdata/faults/")):], "\n")
		if !strings.HasPrefix(line, p.want) || !strings.Contains(strings.SplitN(rest, "\n", 2)[0], p.why) {
			t.Errorf("%s: got\n%s\nwant %s: %s", p.name, line, p.want, p.why)
		}
	}
	if !strings.HasSuffix(got, "1 found, 1 missed, 5 broken\n") {
		t.Errorf("got\n%s", got)
	}

	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"-only", "/found"}, allFound},
		{[]string{"-only", "abs.*/(found|missed)"}, someMissed},
		{[]string{"./other/..."}, allFound},
		{[]string{"-only", "missed", "other"}, someBroken}, // none selected
	} {
		out.Reset()
		if status, err := command(t.Context(), filepath.Join(dir, "abs"), tt.args, &out); status != tt.want {
			t.Errorf("%q: status %d, error %v, want %d\n%s", tt.args, status, err, tt.want, &out)
		}
	}
}

// The tree that is tried is the working copy, with files that are not committed yet and without those that were deleted or are
// ignored, and it stays as it is.
func TestCommandUsesTheWorkingCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a module")
	}
	dir := t.TempDir()
	write(t, dir, smallModule)
	write(t, dir, map[string]string{"abs/deleted.go": "package abs\n\nvar _ = nothing\n"})
	commit(t, dir)
	if err := os.Remove(filepath.Join(dir, "abs/deleted.go")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{
		"abs/testdata/faults/new.diff":     absFault("is new", "go test ./abs -run TestAbs", "-x", "x"),
		"abs/testdata/faults/ignored.out":  "x",
		"abs/testdata/faults/sub/not.diff": "x",
	})
	t.Setenv("GOWORK", "off")
	t.Setenv("GIT_DIR", filepath.Join(t.TempDir(), "elsewhere"))

	var out strings.Builder
	status, err := command(t.Context(), dir, nil, &out)
	if err != nil || status != allFound || !strings.Contains(out.String(), "1 found, 0 missed, 0 broken") {
		t.Errorf("status %d, error %v\n%s", status, err, &out)
	}
	if src, err := os.ReadFile(filepath.Join(dir, "abs/abs.go")); err != nil || string(src) != smallModule["abs/abs.go"] {
		t.Errorf("the working copy was changed: %v\n%s", err, src)
	}
}

func TestCommandFuzzes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an instrumented module and fuzzes")
	}
	dir := t.TempDir()
	write(t, dir, smallModule)
	const run = "go test ./abs -run '^$' -fuzz '^FuzzAbs$' -fuzztime "
	write(t, dir, map[string]string{
		"abs/testdata/faults/found.diff":  absFault("keeps the sign", run+"30s", "-x", "x"),
		"abs/testdata/faults/missed.diff": absFault("is the same", run+"1s", "-x", "0 - x"),
		"abs/testdata/faults/none.diff":   absFault("has no target", "go test ./abs -fuzz FuzzNone", "-x", "x"),
	})
	commit(t, dir)
	var out strings.Builder
	status, err := command(t.Context(), dir, nil, &out)
	if err != nil || status != someBroken || !strings.Contains(out.String(), "1 found, 1 missed, 1 broken") {
		t.Errorf("status %d, error %v\n%s", status, err, &out)
	}
}

func TestSurvived(t *testing.T) {
	failed := errors.New("exit status 1")
	const late = "--- FAIL: FuzzAbs (60.02s)\n    context deadline exceeded\nFAIL\n"
	const input = "--- FAIL: FuzzAbs (1.02s)\n    Failing input written to testdata/fuzz/FuzzAbs/1\nFAIL\n"
	tests := []struct {
		name, out string
		err       error
		fuzz      bool
		want      string
	}{
		{"passes", "ok\n", nil, false, "passes"},
		{"fails", "--- FAIL: TestAbs\n", failed, false, ""},
		{"hangs", "", context.DeadlineExceeded, false, "does not end in time"},
		{"fuzzing finds an input", input, failed, true, ""},
		{"an input whose failure speaks of deadlines", "context deadline exceeded\n" + input, failed, true, ""},
		{"fuzzing ends with the usual accident", late, failed, true, "finds no failing input"},
		{"fuzzing cannot start", "FAIL\n", failed, true, "finds no failing input"},
	}
	for _, tt := range tests {
		if got := survived(tt.out, tt.err, tt.fuzz); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// commit makes dir a repository that tracks what is in it.
func commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = environment(cmd)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}
