package mask_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/palegate/palegate/guard"
	"github.com/palegate/palegate/guard/guardtest"
	"github.com/palegate/palegate/mask"
)

func TestConfigErrors(t *testing.T) {
	long := strings.Repeat("n", 257)
	tests := []struct {
		path, want string
	}{
		{"", "empty"},
		{".", "empty name"},
		{"a.", "empty name"},
		{".a", "empty name"},
		{"a..b", "empty name"},
		{"$.card", `"$"`},
		{"/card/number", `'/'`},
		{"body:/card", `'/'`},
		{"users[0]", `'['`},
		{"users.0.ssn", "no numbers"},
		{"us*.ssn", `'*'`},
		{"**", `'*'`},
		{"a.#.b", `'#'`},
		{`a\.b`, `'\\'`},
		{`"a"`, `'"'`},
		{"a|b", `'|'`},
		{"a,b", `','`},
		{" a", "white space"},
		{"a .b", "white space"},
		{"a\tb", `'\t'`},
		{"a\u00a0b", `'\u00a0'`},
		{"a\x00b", `'\x00'`},
		{"a\xffb", `'`},
		{"a\ufffdb", `'`},
		{"a\u200db", `'\u200d'`},
		{long, "257 bytes"},
		{strings.Repeat("a.", 32) + "a", "33 names"},
	}
	for _, tt := range tests {
		_, err := mask.Fields("fine", tt.path).Guard(nil)
		if err == nil {
			t.Errorf("%q: no error", tt.path)
			continue
		}
		if prefix := fmt.Sprintf("mask: Config.Fields[1]: %q: ", tt.path); !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %q, want prefix %q and %q", tt.path, err, prefix, tt.want)
		}
	}
	for _, path := range []string{"card.number", "*", "*.*", "a-b_c", "@id", "$ref.x", "soap:card", "Card Number", "größe", "名前", "x1.y2", "a", strings.Repeat("a.", 31) + "a"} {
		if _, err := mask.Fields(path).Guard(nil); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestConfigErrorsAreJoined(t *testing.T) {
	_, err := guard.New(mask.Fields("a..b", "fine", "/c"))
	if err == nil || !strings.Contains(err.Error(), `mask: Config.Fields[0]: "a..b"`) || !strings.Contains(err.Error(), `mask: Config.Fields[2]: "/c"`) {
		t.Errorf("got %v, want both paths", err)
	}
	if _, err := guard.New(mask.Fields()); err == nil || !strings.Contains(err.Error(), "mask: Config.Fields: empty") {
		t.Errorf("no fields: %v", err)
	}
	many := make([]string, 257)
	for i := range many {
		many[i] = fmt.Sprintf("f%d", i)
	}
	if _, err := guard.New(mask.Fields(many...)); err == nil || !strings.Contains(err.Error(), "257 paths are more than 256") {
		t.Errorf("257 fields: %v", err)
	}
	if _, err := guard.New(mask.Fields(many[:256]...)); err != nil {
		t.Errorf("256 fields: %v", err)
	}
}

// Paths of "*" and names can stand for a number of places that grows as fast
// as combinations do.
func TestConfigTooManyPlaces(t *testing.T) {
	paths := make([]string, 13)
	for i := range paths {
		paths[i] = strings.Repeat("*.", i) + "a" + strings.Repeat(".*", 13-i)
	}
	if _, err := mask.Fields(paths...).Guard(nil); err == nil || !strings.Contains(err.Error(), "4096 places") {
		t.Errorf("got %v, want an error", err)
	}
	if _, err := mask.Fields(paths[:3]...).Guard(nil); err != nil {
		t.Error(err)
	}
}

func TestConfigIsData(t *testing.T) {
	paths := []string{"card.number", "users.*.ssn"}
	c := mask.Fields(paths...)
	paths[0] = "changed"
	var loaded mask.Config
	if err := json.Unmarshal([]byte(`{"Fields":["card.number","users.*.ssn"]}`), &loaded); err != nil || !reflect.DeepEqual(loaded, c) {
		t.Errorf("loaded %v, error %v, want %v", loaded, err, c)
	}
}

// What is reached for in an outage must not become a leak.
func TestPinned(t *testing.T) {
	p := pipeline(t, mask.Fields("a"))
	if err := p.Modes().SetAll(guard.ModeOff); err != nil {
		t.Fatal(err)
	}
	if mode, ok := p.Modes().Of("mask"); !ok || mode != guard.ModeEnforce {
		t.Errorf("after SetAll(off): %v %t, want enforce", mode, ok)
	}
	if err := p.Modes().Set("mask", guard.ModeOff); err != nil {
		t.Fatal(err)
	}
	if mode, _ := p.Modes().Of("mask"); mode != guard.ModeOff {
		t.Errorf("after Set(off): %v", mode)
	}
}

func TestConform(t *testing.T) {
	guardtest.Conform(t, mask.Fields("card.number", "users.*.ssn"))
}
