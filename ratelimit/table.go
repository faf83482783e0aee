package ratelimit

import (
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A table keeps the limiters of a fixed number of clients. It is a
// set-associative cache: a client's hash, seeded so that nobody can aim,
// chooses a set, and the client has one of the set's places.
//
// A debt is what a limiter lacks of its burst; all debts shrink at one rate. A
// client without a place takes that of least debt in its set, and the debt with
// it, as in the Space-Saving algorithm (Metwally et al., 2005). Hence
//
//   - who has no place owes no more than anybody in his set: so it was when he
//     lost it, and since then all debts shrink alike and places only gain some;
//   - so a client's limiter never owes less than the client itself, and no
//     client ever gets more than from a rate.Limiter of its own, whatever
//     others do;
//   - a limiter without debt is as good as new, so a client gets exactly what
//     it would get from a rate.Limiter of its own unless every place in its
//     set is in debt;
//   - the table as a whole admits no more than its places would.
type table struct {
	limit Limit
	seed  maphash.Seed
	sets  []set
}

// ways is the number of places in a set. Where all who come are blocked at once,
// which is the worst case, 0.02 % of them find no place while they are a quarter
// as many as there are places, and 0.7 % while they are half as many (measured;
// see TestNewcomers). 16 ways would make that 0 and 0.04 %, and take longer:
// more of the cache is touched.
const ways = 8

type set struct {
	mu       sync.Mutex
	clients  [ways]client // those that are free come last
	limiters [ways]rate.Limiter
}

func newTable(l Limit, clients int) *table {
	return &table{limit: l, seed: maphash.MakeSeed(), sets: make([]set, (clients+ways-1)/ways)}
}

// setOf returns the set in which c has its place.
func (t *table) setOf(c client) *set {
	i, _ := bits.Mul64(maphash.Comparable(t.seed, c), uint64(len(t.sets)))
	return &t.sets[i]
}

// take spends one of c's tokens and returns 0. If there is none it changes
// nothing and returns the time until there is one, and whether it is c itself
// that has spent them; else c, which has no place, met a set full of clients
// with none left.
func (t *table) take(c client) (wait time.Duration, known bool) {
	s := t.setOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Under the lock, since a rate.Limiter for which time goes back gives the
	// tokens of the time between a second time.
	now := time.Now()
	i, known := s.find(c)
	if !known {
		i, _ = t.leastDebt(s, now)
	}
	l := &s.limiters[i]
	if l.AllowN(now, 1) {
		s.clients[i] = c
		return 0, known
	}
	return untilToken(l, now), known
}

func (s *set) find(c client) (i int, ok bool) {
	for i := range s.clients {
		if s.clients[i] == c {
			return i, true
		}
	}
	return 0, false
}

// leastDebt returns the place in s that has most tokens left, and how many. One
// that was free gets its limiter.
func (t *table) leastDebt(s *set, now time.Time) (place int, tokens float64) {
	burst := float64(t.limit.Burst)
	tokens = math.Inf(-1)
	for i := range s.clients {
		if s.clients[i].family == familyNone {
			t.emptyAt(&s.limiters[i], time.Time{})
			return i, burst
		}
		n := s.limiters[i].TokensAt(now)
		if n >= burst {
			return i, burst
		}
		if n > tokens {
			place, tokens = i, n
		}
	}
	return place, tokens
}

// emptyAt makes l a limiter that had no token at a time; if that is the zero
// time, it has been full for long. A limiter holds a mutex and cannot be copied
// from a new one.
func (t *table) emptyAt(l *rate.Limiter, at time.Time) {
	l.SetBurstAt(at, 0)
	l.SetLimitAt(at, rate.Limit(t.limit.rate()))
	l.SetBurstAt(at, t.limit.Burst)
}

// untilToken returns the time until l, which has none, will have a token: to
// the nanosecond, but never too short, since a client that comes back too early
// is refused again.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	d := time.Duration(math.Ceil(missing / float64(l.Limit()) * float64(time.Second)))
	// The limiter's own arithmetic has the last word.
	for more := time.Duration(1); l.TokensAt(now.Add(d)) < 1; more *= 2 {
		d += more
	}
	return d
}
