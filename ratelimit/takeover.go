package ratelimit

import "time"

// takeOver fills t, which is new, with what clients have spent by old's limit.
// What [table] says of clients without a place goes on to hold if t has as many
// sets as old or an integral part of them: each is then made of whole sets.
func (t *table) takeOver(old *table) {
	t.seed = old.seed
	now := time.Now()
	for i := range old.sets {
		from := &old.sets[i]
		from.mu.Lock()
		for j, c := range from.clients {
			if c.family == familyNone {
				break
			}
			share := from.limiters[j].TokensAt(now) / float64(old.limit.Burst)
			if share < 1 {
				t.put(c, share*float64(t.limit.Burst), now)
			}
		}
		from.mu.Unlock()
	}
}

// put gives c a place with so many tokens left, or none if nobody in its set has
// more left.
func (t *table) put(c client, tokens float64, now time.Time) {
	s := t.setOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	place, most := t.leastDebt(s, now)
	if most <= tokens {
		return
	}
	s.clients[place] = c
	// Rounded to a shorter time, so that an update gives no part of a token.
	since := time.Duration(tokens / t.limit.rate() * float64(time.Second))
	t.emptyAt(&s.limiters[place], now.Add(-since))
}
