package guardtest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/palegate/palegate/guard"
)

// racing says which guard TestRacing checks, in a process of its own: a race
// fails the test in which it is found.
const racing = "GUARDTEST_RACING"

var racers = map[string]guard.Part{
	"counts without a lock": part{phases: guard.RequestHead, check: func() func(*guard.Exchange, guard.Phase) guard.Decision {
		n := 0
		return func(*guard.Exchange, guard.Phase) guard.Decision {
			n++
			return guard.Decision{}
		}
	}},
	"takes over from a guard at work": makes(func(prev guard.Guard) (guard.Guard, error) {
		g := &counter{}
		if prev, ok := prev.(*counter); ok {
			g.last = prev.last
		}
		return g, nil
	}),
}

// counter has a lock that whoever takes over from it forgets.
type counter struct {
	mu   sync.Mutex
	last int
}

func (*counter) Phases() guard.Phase     { return guard.RequestHead }
func (*counter) Reasons() []guard.Reason { return nil }

func (c *counter) Check(*guard.Exchange, guard.Phase) guard.Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return guard.Decision{}
}

func TestRacing(t *testing.T) {
	p, ok := racers[os.Getenv(racing)]
	if !ok {
		t.Skip("run by TestConformFindsRaces")
	}
	Conform(t, p)
}

func TestConformFindsRaces(t *testing.T) {
	if !raceEnabled {
		t.Skip("the test is built without -race")
	}
	failed := regexp.MustCompile(`--- FAIL: TestRacing/(\S+)`)
	for name := range racers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestRacing$", "-test.v")
			cmd.Env = append(os.Environ(), racing+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "WARNING: DATA RACE") {
				t.Fatalf("got %v, want a data race:\n%s", err, out)
			}
			var rules []string
			for _, m := range failed.FindAllStringSubmatch(string(out), -1) {
				rules = append(rules, m[1])
			}
			if len(rules) != 1 || rules[0] != ruleRaces {
				t.Errorf("got violations of %q, want of %q alone:\n%s", rules, ruleRaces, out)
			}
		})
	}
}
