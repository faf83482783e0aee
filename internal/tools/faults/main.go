// Command faults shows that the tests find what they are there for. It applies each seeded fault of the repository
// (testdata/faults/*.diff, a deliberate defect as a patch) to a copy of the tree and runs the command that the patch names, which
// must fail within a minute, fuzzing from a clean cache.
//
//	GOWORK=off go -C internal/tools run ./faults [-only regexp] [directory...]
//
// Directories are relative to the repository's root and narrow the search, as -only does by the patch's path. A patch begins with
// the lines
//
//	# fault: what is wrong, in one line
//	# run: go test ./guard/payload -run '^TestFold$'
//
// where the command is a go test without a shell around it, run in the repository's root. A fuzz target is named by
// -run '^$' -fuzz '^FuzzScan$'. The same command must pass without the patch (for a fuzz target: its seeds), or its failure would
// prove nothing.
//
// Faults are reported as found, MISSED (exit status 1), or BROKEN (exit status 2): the patch does not apply or does not build, or
// the command fails without it or runs no test.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"regexp"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status, err := command(ctx, ".", os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	os.Exit(status)
}

// Exit statuses.
const (
	allFound = iota
	someMissed
	someBroken // also when faults itself could not work
)

// command runs the faults that args select in the repository that dir lies in, and returns the exit status.
func command(ctx context.Context, dir string, args []string, out io.Writer) (int, error) {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	only := flags.String("only", "", "run the faults whose path matches this `regexp`")
	if err := flags.Parse(args); err != nil {
		return someBroken, err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return someBroken, fmt.Errorf("-only: %w", err)
	}
	tree, err := openTree(ctx, dir)
	if err != nil {
		return someBroken, err
	}
	patches := selected(tree.files, pattern, flags.Args())
	if len(patches) == 0 {
		return someBroken, errors.New("no testdata/faults/*.diff selected")
	}
	r, err := newRunner(tree)
	if err != nil {
		return someBroken, err
	}
	defer r.close()
	return report(ctx, r, patches, out)
}

// report tries each patch and prints what became of it.
func report(ctx context.Context, r *runner, patches []string, out io.Writer) (int, error) {
	status := allFound
	count := map[verdict]int{}
	for _, patch := range patches {
		res := r.try(ctx, patch)
		if err := ctx.Err(); err != nil {
			return someBroken, err
		}
		count[res.verdict]++
		fmt.Fprintf(out, "%-6s %5.1fs  %s: %s\n", res.verdict, res.took.Seconds(), patch, res.fault.title)
		if res.verdict != found {
			fmt.Fprintf(out, "       %s\n%s", res.why, indent(res.output))
		}
		status = max(status, res.verdict.exitStatus())
	}
	fmt.Fprintf(out, "%d found, %d missed, %d broken\n", count[found], count[missed], count[broken])
	return status, nil
}

// selected returns the faults among files that match only and lie in one of dirs, or anywhere if there are none.
func selected(files []string, only *regexp.Regexp, dirs []string) (patches []string) {
	for _, name := range files {
		if ok, _ := path.Match("*.diff", path.Base(name)); !ok || !strings.HasSuffix("/"+path.Dir(name), "/testdata/faults") {
			continue
		}
		if only.MatchString(name) && inside(name, dirs) {
			patches = append(patches, name)
		}
	}
	return patches
}

// inside reports whether name lies below one of dirs, which may be written as Go's package patterns.
func inside(name string, dirs []string) bool {
	for _, dir := range dirs {
		dir = path.Clean(strings.TrimSuffix(dir, "/..."))
		if dir == "." || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return len(dirs) == 0
}

// indent shows the end of a command's output, where failures are.
func indent(output string) string {
	const most = 30
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	lines = lines[max(0, len(lines)-most):]
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return "       | " + strings.Join(lines, "\n       | ") + "\n"
}
