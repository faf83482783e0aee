package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/time/rate"
)

// numbered returns the i-th client.
func numbered(i int) client { return client{uint64(i), family4} }

func newTestTable(count int, per time.Duration, burst, clients int) *table {
	return newTable(Limit{Count: count, Per: per, Burst: burst}, clients)
}

func (t *table) allows(c client) bool {
	wait, _ := t.take(c)
	return wait == 0
}

// Config.MaxClients says what a client costs.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(set{}) / ways; got != 97 {
		t.Errorf("a client takes %d bytes, want 97", got)
	}
	for _, tt := range []struct{ clients, sets int }{{1, 1}, {8, 1}, {9, 2}, {1 << 16, 1 << 13}} {
		if got := len(newTestTable(1, 1, 1, tt.clients).sets); got != tt.sets {
			t.Errorf("%d clients: %d sets, want %d", tt.clients, got, tt.sets)
		}
	}
}

// Whoever sprays addresses to make the table forget those that it blocks.
func TestSpray(t *testing.T) {
	const blocked, places, sprayed = 100, 1024, 20 * 1024
	tests := []struct {
		burst, requests int           // of each sprayed address
		gap             time.Duration // between two
	}{
		{5, 1, 0},
		{5, 1, time.Millisecond},
		{5, 5, 0},
		{1, 1, 0}, // here all debts are alike
		{1, 1, time.Millisecond},
		{100, 2, 0},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := newTestTable(1, time.Hour, tt.burst, places)
				for i := range blocked {
					for table.allows(numbered(i)) {
					}
				}
				passed := 0
				for i := range sprayed {
					for range tt.requests {
						if table.allows(numbered(1000 + i)) {
							passed++
						}
					}
					time.Sleep(tt.gap)
				}
				freed := 0
				for i := range blocked {
					if table.allows(numbered(i)) {
						freed++
					}
				}
				if freed > 0 {
					t.Errorf("%d of %d blocked clients are free again", freed, blocked)
				}
				if most := places * tt.burst; passed > most {
					t.Errorf("%d sprayed requests passed, want at most %d: %d from each place", passed, most, tt.burst)
				}
				t.Logf("%d of %d blocked clients still are; %d of %d sprayed requests passed", blocked-freed, blocked, passed, sprayed*tt.requests)
			})
		})
	}
}

// Many clients for few places, at times and rates that floating point has
// exactly: no client gets more than from a limiter of its own.
func TestNeverMoreThanALimiterOfItsOwn(t *testing.T) {
	const steps = 20_000
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			burst, clients := 1+r.IntN(5), 1+r.IntN(60)
			table := newTestTable(1, time.Second, burst, 8*(1+r.IntN(2)))
			own := make([]*rate.Limiter, clients)
			for i := range own {
				own[i] = rate.NewLimiter(1, burst)
			}
			less := 0
			for step := range steps {
				i := int(float64(clients) * r.Float64() * r.Float64()) // some more often than others
				got := table.allows(numbered(i))
				switch {
				case got && !own[i].Allow():
					t.Fatalf("seed %d, step %d: client %d was allowed, but not by a limiter of its own", seed, step, i)
				case !got && own[i].Tokens() >= 1:
					less++
				}
				if clients <= ways && less > 0 {
					t.Fatalf("seed %d, step %d: client %d was refused, but has a place and a token", seed, step, i)
				}
				time.Sleep(time.Duration(r.IntN(4)) * 125 * time.Millisecond / time.Duration(1+clients/16))
			}
			t.Logf("burst %d, %d clients, %d places: %d of %d refused for lack of places", burst, clients, ways*len(table.sets), less, steps)
		})
	}
}

// What newcomers pay when the table fills with clients that all are blocked,
// which is the worst case.
func TestNewcomers(t *testing.T) {
	const places = 1 << 14
	tests := []struct {
		load float64 // clients in debt, of places
		most float64 // newcomers refused, of all
	}{
		{0.25, 0.003},
		{0.5, 0.015},
		{1, 0.16},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			table := newTestTable(1, time.Hour, 1, places)
			n := int(tt.load * places)
			refused := 0
			for i := range n {
				if !table.allows(numbered(i)) {
					refused++
				}
			}
			got := float64(refused) / float64(n)
			if got > tt.most {
				t.Errorf("load %v: %.4f of newcomers refused, want at most %v", tt.load, got, tt.most)
			}
			t.Logf("load %v: %.5f of newcomers refused", tt.load, got)
		})
	}
}

func TestClientOf(t *testing.T) {
	tests := []struct {
		addr string
		want client
	}{
		{"192.0.2.1", client{0xc0000201, family4}},
		{"::ffff:192.0.2.1", client{0xc0000201, family4}},
		{"2001:db8:1:2:3:4:5:6", client{0x20010db800010002, family6}},
		{"::1", client{0, family6}},
		{"0.0.0.0", client{0, family4}},
	}
	for _, tt := range tests {
		if got := clientOf(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s: got %x, want %x", tt.addr, got, tt.want)
		}
	}
	if got, want := clientOf(netip.Addr{}), (client{0, familyUnknown}); got != want {
		t.Errorf("no address: got %x, want %x", got, want)
	}
}
