// Package ratelimit limits how many requests a client makes.
//
//	p, err := guard.New(ratelimit.PerClient(20, time.Second))
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.ListenAndServe("localhost:8080", p.Handler(mux))
//
// A client is an address, as far as [guard.Trust] lets it be known: one IPv4
// address, or one IPv6 network of 64 bits, since whoever has one address there
// has them all. Requests whose address is unknown count as one client together.
//
// Each client has a token bucket ([rate.Limiter]): a request takes a token, and
// a refused one takes none. Refusals have the reason [ReasonExceeded] and tell
// in Retry-After when the next token is there. As long as the limit is enforced
// and its time is a whole number of seconds, every answer tells it in the field
// RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers).
//
// # Under attack
//
// Memory is fixed, whatever addresses come: see [Config].MaxClients. Where it
// does not suffice, a new client takes the place of the one that has spent
// least, and goes on with what that one has spent. So nobody gets more than the
// limit by making the guard forget him, and a client that is refused stays
// refused for as long as without the others. The price is paid by newcomers:
// once as many clients as there are places have spent all they have, further
// ones are refused until one of them has a token again.
package ratelimit

import "github.com/palegate/palegate/guard"

// ReasonExceeded is the reason of every refusal: the client has made more
// requests than it may.
const ReasonExceeded guard.Reason = "ratelimit.exceeded"
