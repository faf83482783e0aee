package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A fault is what the first lines of a patch say.
type fault struct {
	title string   // what is wrong, in one line
	run   []string // the go test that finds it
}

// parseFault reads the comment lines before the patch itself.
func parseFault(patch string) (fault, error) {
	var f fault
	for line := range strings.Lines(patch) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "diff --git ") || strings.HasPrefix(line, "--- ") {
			break
		}
		if title, ok := strings.CutPrefix(line, "# fault:"); ok {
			f.title = strings.TrimSpace(title)
		}
		if cmd, ok := strings.CutPrefix(line, "# run:"); ok {
			if f.run != nil {
				return f, errors.New("more than one # run: line, want one")
			}
			words, err := splitWords(cmd)
			if err != nil {
				return f, fmt.Errorf("# run: %w", err)
			}
			f.run = words
		}
	}
	switch {
	case f.title == "":
		return f, errors.New("no line # fault: what is wrong")
	case len(f.run) < 3 || f.run[0] != "go" || f.run[1] != "test":
		return f, errors.New("no line # run: go test package flags")
	}
	return f, nil
}

// splitWords splits a command line at blanks, with the quotes of a shell and nothing else of it: what would need one is refused.
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	open := false // a word has begun, be it empty
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ' || c == '\t':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		case strings.ContainsRune("|&;<>`\\()", c):
			return nil, fmt.Errorf("%q outside quotes: the command runs without a shell", c)
		default:
			word.WriteRune(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%c without its end", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}

// flagValue returns the value of a flag of go test in args, and the args without it.
func flagValue(args []string, name string) (value string, rest []string, ok bool) {
	for i, arg := range args {
		arg, isFlag := strings.CutPrefix(arg, "-")
		arg = strings.TrimPrefix(arg, "-")
		switch {
		case !isFlag:
			continue
		case arg == "args": // what follows is the test binary's
			return "", args, false
		case arg == name && i+1 < len(args):
			return args[i+1], slices.Concat(args[:i], args[i+2:]), true
		case strings.HasPrefix(arg, name+"="):
			return strings.TrimPrefix(arg, name+"="), slices.Concat(args[:i], args[i+1:]), true
		}
	}
	return "", args, false
}

// baseline returns the command that must pass without the fault: the same one, but a fuzz target runs its seeds only.
func (f fault) baseline() []string {
	target, args, fuzz := flagValue(f.run, "fuzz")
	if !fuzz {
		return f.run
	}
	for _, name := range []string{"run", "fuzztime", "fuzzminimizetime"} {
		_, args, _ = flagValue(args, name)
	}
	return slices.Insert(slices.Clone(args), 2, "-run", target)
}

// attempt returns the command that must fail with the fault, within seconds, and whether it fuzzes. A new cache directory keeps it
// from finding inputs that an earlier run left behind: go test's own comes earlier on the test binary's command line, so this one
// counts.
func (f fault) attempt(seconds int, cache string) (args []string, fuzz bool) {
	args = slices.Clone(f.run)
	add := func(name, value string) {
		if _, _, ok := flagValue(args, name); !ok {
			args = slices.Insert(args, 2, "-"+name, value)
		}
	}
	add("timeout", fmt.Sprintf("%ds", seconds))
	if _, _, fuzz = flagValue(args, "fuzz"); !fuzz {
		return args, false
	}
	add("fuzztime", fmt.Sprintf("%ds", seconds))
	if !slices.Contains(args, "-args") {
		args = append(args, "-args")
	}
	return append(args, "-test.fuzzcachedir="+cache), true
}
