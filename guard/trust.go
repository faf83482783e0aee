package guard

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// Trust says whose word is taken for the client's address. It is the one place
// where forwarding headers are believed; limits, bans and logs all use its
// answer.
//
// The zero value believes no header: the client is the peer of the connection.
// That is right for a service that clients reach directly, and behind a
// listener that speaks the PROXY protocol and reports the client as the peer.
// Behind a proxy, set Proxies (or Hops), and let the proxy append to or replace
// the header, never pass the client's own copy through:
//
//	guard.Trust{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
//
// A list (X-Forwarded-For, Forwarded) is read from the right, where the nearest
// proxy wrote, through all field lines: trusted proxies are skipped, and the
// first other address is the client. An entry that is no address ("unknown",
// "_hidden", empty, malformed) ends the walk at the last trusted hop, for what
// stands left of it was vouched for by nobody; so do 32 entries or 4 KiB. If
// every entry is trusted, the leftmost is the client, and without the header
// the peer is.
//
// Addresses come without port, brackets and zone. IPv4-mapped IPv6 addresses
// and those of the NAT64 prefix 64:ff9b::/96 (RFC 6052) are their IPv4 address.
// When no address can be told (a Unix socket without Hops, a header sent twice)
// it is the zero [netip.Addr]: callers must treat all of these as one client,
// never skip the check.
type Trust struct {
	// Proxies are the networks whose hosts forward for others. Only a peer in
	// one of them has its header believed, so list the proxies and not the
	// whole network that clients share with them: every host in here can choose
	// its own address. A prefix of length 0 is refused. Default: none.
	Proxies []netip.Prefix `json:"proxies,omitempty"`

	// Hops, in place of Proxies, is the number of proxies in front of the
	// service when their addresses are unknown, from 1 to 32. The peer is the
	// first of them, so that with 1 the client is the rightmost entry; a list
	// with fewer entries, or with anything but an address in that place, gives
	// the peer. It is only right if every request passes exactly that many
	// proxies: whoever reaches the service past one of them chooses his
	// address. It is also the way to trust the peers of a Unix socket, which
	// have no address. Default: 0, not used.
	Hops int `json:"hops,omitempty"`

	// Header is the one header that is believed, since a proxy that writes one
	// of them passes the others on as the client sent them. "X-Forwarded-For"
	// (the default) and "Forwarded" (RFC 7239) are lists; any other name, such
	// as "CF-Connecting-IP" or "X-Real-IP", is a header in which the proxy puts
	// the client's address alone. Of the latter a request without the header is
	// the proxy's own, and one with several copies, or with anything but one
	// address, has an unknown client.
	Header string `json:"header,omitempty"`
}

const (
	headerXForwardedFor = "X-Forwarded-For"
	headerForwarded     = "Forwarded"
)

// forwardingHeaders are the names under which proxies commonly report a client.
var forwardingHeaders = [...]string{
	headerXForwardedFor, headerForwarded, "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
}

var (
	// nat64 is the Well-Known Prefix of RFC 6052 §2.1.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// sharedSpace is the carrier-grade NAT's (RFC 6598).
	sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
)

// compile checks t and prepares it for requests. The error joins all that is
// wrong.
func (t Trust) compile() (*clientAddr, error) {
	var errs []error
	fail := func(field string, value any, what string) {
		errs = append(errs, fmt.Errorf("guard: Trust.%s: %v: %s", field, value, what))
	}

	trusted := make([]netip.Prefix, 0, len(t.Proxies))
	for i, p := range t.Proxies {
		unmapped, problem := unmapPrefix(p)
		if problem != "" {
			fail(fmt.Sprintf("Proxies[%d]", i), p, problem)
			continue
		}
		trusted = append(trusted, unmapped)
	}

	c := &clientAddr{trusted: disjoint(trusted), hops: t.Hops}
	if t.Hops < 0 || t.Hops > maxHops {
		fail("Hops", t.Hops, fmt.Sprintf("want 0 to %d", maxHops))
	}
	if t.Hops != 0 && len(t.Proxies) > 0 {
		fail("Hops", t.Hops, "Proxies are set too, set one of the two")
	}

	c.header = headerXForwardedFor
	if t.Header != "" {
		c.header = http.CanonicalHeaderKey(t.Header)
		if !isFieldName(t.Header) {
			fail("Header", fmt.Sprintf("%q", t.Header), "not a header name")
		}
		if t.Hops == 0 && len(t.Proxies) == 0 {
			fail("Header", fmt.Sprintf("%q", t.Header), "believed from nobody, set Proxies or Hops")
		}
	}
	switch c.header {
	case headerXForwardedFor:
		c.syntax = syntaxXForwardedFor
	case headerForwarded:
		c.syntax = syntaxForwarded
	default:
		c.syntax = syntaxSingle
		if t.Hops > 1 {
			fail("Hops", t.Hops, c.header+" holds one address, want 1")
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// unmapPrefix writes p as the addresses are that it will be compared with, or
// says what is wrong with it.
func unmapPrefix(p netip.Prefix) (netip.Prefix, string) {
	if !p.IsValid() {
		return p, "not a network prefix"
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, "reaches beyond IPv4-mapped addresses, write IPv4 and IPv6 prefixes"
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return p, "trusts everyone"
	}
	if p.Bits() >= nat64.Bits() && nat64.Contains(p.Addr()) {
		return p, "NAT64 addresses are compared as IPv4, write the IPv4 prefix"
	}
	return p.Masked(), ""
}

// disjoint sorts prefixes and drops those that lie inside another one, so that
// only the nearest prefix at or below an address can hold it.
func disjoint(prefixes []netip.Prefix) []netip.Prefix {
	slices.SortFunc(prefixes, netip.Prefix.Compare) // wide before narrow
	kept := prefixes[:0]
	for _, p := range prefixes {
		if n := len(kept); n == 0 || !kept[n-1].Contains(p.Addr()) {
			kept = append(kept, p)
		}
	}
	return kept
}

// clientAddr is a compiled Trust. It is immutable and safe for concurrent use.
type clientAddr struct {
	trusted []netip.Prefix // sorted and disjoint
	hops    int
	header  string // canonical
	syntax  syntax
}

// of returns the client's address for the RemoteAddr and the header of a
// request. The header's keys are canonical, as net/http makes them.
//
// A Unix socket's RemoteAddr ("@", "" or a path) has no address, so that the
// client is unknown unless Hops finds it in the header.
func (c *clientAddr) of(remoteAddr string, h http.Header) netip.Addr {
	peer, _ := parseNode(remoteAddr)
	return c.find(peer, h)
}

// ofPeer is of for transports that know the peer as an address.
func (c *clientAddr) ofPeer(peer netip.Addr, h http.Header) netip.Addr {
	return c.find(plainAddr(peer), h)
}

// suspicious reports whether a forwarding header came from a peer that is near
// (private, loopback, link-local, carrier-grade NAT, a Unix socket) and not
// trusted: most likely a proxy missing from Trust, behind which all clients
// look like one.
func (c *clientAddr) suspicious(peer netip.Addr, h http.Header) bool {
	peer = plainAddr(peer)
	if c.believes(peer) || peer.IsValid() && !isLocal(peer) {
		return false
	}
	sent := func(name string) bool { return len(h[name]) > 0 }
	return sent(c.header) || slices.ContainsFunc(forwardingHeaders[:], sent)
}

func (c *clientAddr) find(peer netip.Addr, h http.Header) netip.Addr {
	if !c.believes(peer) {
		return peer
	}
	lines := h[c.header]
	if c.syntax == syntaxSingle {
		return single(peer, lines)
	}
	list := entries{lines: lines, syntax: c.syntax, left: maxForwarded}
	if c.hops > 0 {
		return nth(peer, &list, c.hops)
	}
	return c.walk(peer, &list)
}

// walk skips trusted entries. It returns an address only after a trusted host
// has vouched for it: the peer first, then each hop for the entry to its left.
func (c *clientAddr) walk(peer netip.Addr, list *entries) netip.Addr {
	last := peer
	for range maxHops {
		node, ok := list.prev()
		if !ok {
			break
		}
		addr, ok := parseNode(node)
		if !ok {
			break
		}
		if !c.trusts(addr) {
			return addr
		}
		last = addr
	}
	return last
}

// nth returns entry n from the right. The entries right of it need not be
// addresses: proxies may hide each other (RFC 7239 §6.3).
func nth(peer netip.Addr, list *entries, n int) netip.Addr {
	node := ""
	for range n {
		var ok bool
		if node, ok = list.prev(); !ok {
			return peer
		}
	}
	if addr, ok := parseNode(node); ok {
		return addr
	}
	return peer
}

// single reads a header that the proxy sets to one address. More than that
// means that the client's own copy came through, and nobody can tell which one
// it is. Then the client is unknown rather than the proxy, whose address may
// enjoy exemptions.
func single(peer netip.Addr, lines []string) netip.Addr {
	switch len(lines) {
	case 0:
		return peer
	case 1:
		addr, _ := parseNode(trimOWS(lines[0]))
		return addr
	default:
		return netip.Addr{}
	}
}

func (c *clientAddr) believes(peer netip.Addr) bool {
	return c.hops > 0 || c.trusts(peer)
}

func (c *clientAddr) trusts(a netip.Addr) bool {
	i, first := slices.BinarySearchFunc(c.trusted, a, func(p netip.Prefix, a netip.Addr) int {
		return p.Addr().Compare(a)
	})
	return first || i > 0 && c.trusted[i-1].Contains(a)
}
