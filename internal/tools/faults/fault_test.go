package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseFault(t *testing.T) {
	const diff = "diff --git a/x.go b/x.go\n"
	tests := []struct {
		name, patch string
		title       string
		run         []string
		err         string
	}{
		{
			"both lines", "# fault: folds nothing\n# run: go test ./guard -run '^TestFold$'\n" + diff,
			"folds nothing",
			[]string{"go", "test", "./guard", "-run", "^TestFold$"},
			"",
		},
		{
			"any order, other comments", "# run: go test ./a \"./b c\"\n# why: …\n#fault\n# fault: x\n--- a/x.go\n",
			"x",
			[]string{"go", "test", "./a", "./b c"},
			"",
		},
		{"no title", "# run: go test ./guard\n" + diff, "", nil, "no line # fault"},
		{"no command", "# fault: x\n" + diff, "", nil, "no line # run"},
		{"command after the patch begins", "# fault: x\n" + diff + "# run: go test ./guard\n", "", nil, "no line # run"},
		{"another program", "# fault: x\n# run: go vet ./guard\n" + diff, "", nil, "no line # run"},
		{"two commands", "# fault: x\n# run: go test ./a\n# run: go test ./b\n" + diff, "", nil, "more than one"},
		{"a shell's work", "# fault: x\n# run: go test ./a && true\n" + diff, "", nil, "without a shell"},
		{"open quote", "# fault: x\n# run: go test ./a -run '^$\n" + diff, "", nil, "without its end"},
	}
	for _, tt := range tests {
		got, err := parseFault(tt.patch)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want one with %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil || got.title != tt.title || !slices.Equal(got.run, tt.run) {
			t.Errorf("%s: got %q, error %v, want %q %q", tt.name, got, err, tt.title, tt.run)
		}
	}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		run, baseline, attempt string
		fuzz                   bool
	}{
		{
			"go test ./guard -run TestFold",
			"go test ./guard -run TestFold",
			"go test -timeout 60s ./guard -run TestFold", false,
		},
		{
			"go test ./guard -run TestFold -timeout=5s",
			"go test ./guard -run TestFold -timeout=5s",
			"go test ./guard -run TestFold -timeout=5s", false,
		},
		{
			"go test ./guard -run ^$ -fuzz ^FuzzScan$ -fuzztime 20s",
			"go test -run ^FuzzScan$ ./guard",
			"go test -timeout 60s ./guard -run ^$ -fuzz ^FuzzScan$ -fuzztime 20s -args -test.fuzzcachedir=cache", true,
		},
		{
			"go test ./guard --fuzz=^FuzzScan$ -args -seed 1",
			"go test -run ^FuzzScan$ ./guard -args -seed 1",
			"go test -fuzztime 60s -timeout 60s ./guard --fuzz=^FuzzScan$ -args -seed 1 -test.fuzzcachedir=cache", true,
		},
		{
			"go test ./guard -args -fuzz x",
			"go test ./guard -args -fuzz x",
			"go test -timeout 60s ./guard -args -fuzz x", false,
		},
	}
	for _, tt := range tests {
		f := fault{run: strings.Fields(tt.run)}
		if got := strings.Join(f.baseline(), " "); got != tt.baseline {
			t.Errorf("%s: baseline\n%s, want\n%s", tt.run, got, tt.baseline)
		}
		args, fuzz := f.attempt(60, "cache")
		if got := strings.Join(args, " "); got != tt.attempt || fuzz != tt.fuzz {
			t.Errorf("%s: attempt\n%s (fuzz: %t), want\n%s (fuzz: %t)", tt.run, got, fuzz, tt.attempt, tt.fuzz)
		}
	}
}
