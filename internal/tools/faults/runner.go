package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// searchSeconds is how long a command may search for the fault.
	searchSeconds = 60
	// linkTime comes on top of it: go test links the test binary again, and fuzzing ends with a shutdown of its workers.
	linkTime = 30 * time.Second
	// buildTime bounds the compilation of everything that the test needs, from an empty build cache.
	buildTime = 10 * time.Minute
)

type verdict string

const (
	found  verdict = "found"
	missed verdict = "MISSED"
	broken verdict = "BROKEN"
)

func (v verdict) exitStatus() int {
	return map[verdict]int{found: allFound, missed: someMissed, broken: someBroken}[v]
}

// A result says what became of a fault, and why if it was not found.
type result struct {
	fault   fault
	verdict verdict
	why     string
	output  string // of the last command
	took    time.Duration
}

// A runner tries faults one after the other in one directory, so that the build cache serves what no fault touches.
type runner struct {
	tree      tree
	temp      string
	baselines map[string]result // by command: what is wrong with it on the tree as it is
}

func newRunner(t tree) (*runner, error) {
	temp, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return nil, err
	}
	return &runner{tree: t, temp: temp, baselines: map[string]result{}}, nil
}

func (r *runner) close() { _ = os.RemoveAll(r.temp) }

// try applies one patch and runs its command. Whatever cannot be judged is broken.
func (r *runner) try(ctx context.Context, patch string) result {
	name := filepath.Join(r.tree.dir, patch)
	text, err := os.ReadFile(name)
	if err != nil {
		return result{verdict: broken, why: err.Error()}
	}
	f, err := parseFault(string(text))
	if err != nil {
		return result{fault: f, verdict: broken, why: err.Error()}
	}
	res := r.baseline(ctx, f)
	if res.verdict != broken {
		res = r.search(ctx, f, name)
	}
	res.fault = f
	return res
}

// baseline checks once per command that it passes on the tree as it is.
func (r *runner) baseline(ctx context.Context, f fault) result {
	args := f.baseline()
	key := strings.Join(args, "\x00")
	if res, ok := r.baselines[key]; ok {
		return res
	}
	res := r.passes(ctx, args)
	r.baselines[key] = res
	return res
}

func (r *runner) passes(ctx context.Context, args []string) result {
	if err := r.tree.copyTo(r.copy()); err != nil {
		return result{verdict: broken, why: err.Error()}
	}
	out, err := r.run(ctx, buildTime, args)
	switch {
	case err != nil:
		return result{verdict: broken, why: "without the fault, " + strings.Join(args, " ") + " fails: " + err.Error(), output: out}
	case !ranTests(out):
		return result{verdict: broken, why: strings.Join(args, " ") + " runs no test", output: out}
	}
	return result{verdict: found}
}

// search runs the fault's command on a patched copy.
func (r *runner) search(ctx context.Context, f fault, patch string) result {
	if err := r.tree.copyTo(r.copy()); err != nil {
		return result{verdict: broken, why: err.Error()}
	}
	if out, err := apply(ctx, r.copy(), patch); err != nil {
		return result{verdict: broken, why: "the patch does not apply: " + err.Error(), output: out}
	}
	cache, err := os.MkdirTemp(r.temp, "fuzz-")
	if err != nil {
		return result{verdict: broken, why: err.Error()}
	}
	args, fuzz := f.attempt(searchSeconds, cache)

	// The test binary is built, vetted and not run, so that a failure to build is told from a failing test, and its time is not
	// the search's.
	if out, err := r.run(ctx, buildTime, slices.Insert(slices.Clone(args), 2, "-exec", "true")); err != nil {
		return result{verdict: broken, why: "the patched tree does not build: " + err.Error(), output: out}
	}
	start := time.Now()
	out, err := r.run(ctx, searchSeconds*time.Second+linkTime, args)
	if fuzz && err != nil && onlyDeadline(out) {
		start = time.Now()
		out, err = r.run(ctx, searchSeconds*time.Second+linkTime, args)
	}
	res := result{verdict: found, output: out, took: time.Since(start)}
	if why := survived(out, err, fuzz); why != "" {
		res.verdict, res.why = missed, "with the fault, "+strings.Join(f.run, " ")+" "+why
	}
	return res
}

// survived says how a command let the fault live, or nothing if it failed as it should. A fuzzing go test also fails for reasons of
// its own, so a test must have failed in it.
func survived(out string, err error, fuzz bool) string {
	switch {
	case err == nil:
		return "passes"
	case errors.Is(err, context.DeadlineExceeded):
		return "does not end in time"
	case fuzz && onlyDeadline(out), fuzz && !strings.Contains(out, "--- FAIL"):
		return "finds no failing input"
	}
	return ""
}

func (r *runner) copy() string { return filepath.Join(r.temp, "tree") }

// run runs a command in the copy and returns what it printed.
func (r *runner) run(ctx context.Context, limit time.Duration, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = r.copy()
	cmd.Env = environment(cmd)
	killGroup(cmd)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(out), err
}

// ranTests reports whether some package of a passing go test had a test to run.
func ranTests(out string) bool {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "ok ") && !strings.Contains(line, "[no tests to run]") {
			return true
		}
	}
	return false
}

// onlyDeadline reports whether fuzzing failed because its time was over and not because of an input: go test reports
// the end of -fuzztime as a failure now and then.
func onlyDeadline(out string) bool {
	return strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input written")
}
