package ratelimit

import (
	"encoding/binary"
	"net/netip"
)

// A client is what a limit is for: a network of addresses that one party
// controls.
type client struct {
	network uint64
	family  family
}

type family uint8

const (
	familyNone    family = iota // no client: the place is free
	familyUnknown               // all whose address is not known, together
	family4                     // an IPv4 address
	family6                     // an IPv6 network of 64 bits, the least that a site is given (RFC 6177)
)

func clientOf(addr netip.Addr) client {
	switch addr = addr.Unmap(); {
	case addr.Is4():
		b := addr.As4()
		return client{uint64(binary.BigEndian.Uint32(b[:])), family4}
	case addr.Is6():
		b := addr.As16()
		return client{binary.BigEndian.Uint64(b[:8]), family6}
	}
	return client{0, familyUnknown}
}
