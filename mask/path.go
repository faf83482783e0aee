package mask

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxNames = 32  // in a path
	maxName  = 256 // bytes in a name
)

// parsePath returns the names of a path, folded. It refuses what another path
// language has a meaning for ("$.card", "/card/number", "users[0]", "us*"):
// here it would mask nothing, and nobody would know.
func parsePath(path string) ([]string, error) {
	if path == "" {
		return nil, errors.New(`empty; write a field's path, such as "card.number"`)
	}
	names := strings.Split(path, ".")
	if len(names) > maxNames {
		return nil, fmt.Errorf("%d names are more than %d", len(names), maxNames)
	}
	for i, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
		names[i] = fold(name)
	}
	return names, nil
}

func checkName(name string) error {
	switch {
	case name == star:
		return nil
	case name == "":
		return errors.New("empty name between dots")
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes is longer than %d", len(name), maxName)
	case name == "$":
		return errors.New(`name "$": paths begin with the name of a field`)
	case strings.Trim(name, "0123456789") == "":
		return fmt.Errorf(`name %q: elements have no numbers here; write "*" for every element or member`, name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("name %q: white space at its ends", name)
	}
	for _, r := range name {
		if !nameRune(r) {
			return fmt.Errorf(`name %q: character %q; want letters, digits, spaces, any of "_-@$:", or "*" alone`, name, r)
		}
	}
	return nil
}

func nameRune(r rune) bool {
	return r != utf8.RuneError && (unicode.In(r, unicode.L, unicode.M, unicode.N) || strings.ContainsRune(" _-@$:", r))
}

// fold returns the same for two names if and only if they are equal under
// [strings.EqualFold].
func fold(s string) string { return strings.Map(foldRune, s) }

// foldRune returns the least of the runes that are equal but for case: K for
// k and U+212A, S for s and U+017F.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
