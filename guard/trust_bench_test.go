package guard

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// naiveClient is what services write by hand: the rightmost entry that is not
// in the list of proxies. It has most of the faults that Trust is there for.
func naiveClient(proxies []netip.Prefix, remoteAddr string, h http.Header) netip.Addr {
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if !trusted(peer.Addr()) {
		return peer.Addr()
	}
	list := strings.Split(strings.Join(h["X-Forwarded-For"], ","), ",")
	for _, s := range slices.Backward(list) {
		a, err := netip.ParseAddr(strings.TrimSpace(s))
		if err != nil || !trusted(a) {
			return a
		}
	}
	return peer.Addr()
}

// BenchmarkTrust runs Trust and the naive reader on the same headers. Only the
// ratio within one run says something.
func BenchmarkTrust(b *testing.B) {
	few := trustOf(trustNet)
	many := Trust{}
	for i := range 200 {
		many.Proxies = append(many.Proxies, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16))
	}
	forwarded, single := few, few
	forwarded.Header, single.Header = headerForwarded, "CF-Connecting-IP"
	hostile := strings.Repeat("6.6.6.6, ", 7<<10) + "192.0.2.1"

	for _, bb := range []struct {
		name, remote string
		trust        Trust
		lines        []string
		naive        bool
	}{
		{"direct", "192.0.2.1:4711", Trust{}, nil, true},
		{"untrusted", "192.0.2.1:4711", few, []string{"6.6.6.6"}, true},
		{"XFF/1hop", "10.0.0.1:4711", few, []string{"192.0.2.1"}, true},
		{"XFF/1hopIPv6", "10.0.0.1:4711", few, []string{"2001:db8:85a3::8a2e:370:7334"}, true},
		{"XFF/3hops", "10.0.0.1:4711", few, []string{"192.0.2.1, 10.0.0.3, 10.0.0.2"}, true},
		{"XFF/200prefixes", "10.199.0.1:4711", many, []string{"192.0.2.1, 10.198.0.1"}, true},
		{"XFF/63KiBinFront", "10.0.0.1:4711", few, []string{hostile}, true},
		{"Forwarded/1hop", "10.0.0.1:4711", forwarded, []string{`for=192.0.2.1;proto=https`}, false},
		{"Forwarded/3hops", "10.0.0.1:4711", forwarded, []string{`for="[2001:db8::1]:4711";proto=https, for=10.0.0.3, for=10.0.0.2`}, false},
		{"single", "10.0.0.1:4711", single, []string{"192.0.2.1"}, false},
	} {
		c := mustTrust(b, bb.trust)
		h := headerOf(c.header, bb.lines...)
		want := addrOf("192.0.2.1")
		if got := c.of(bb.remote, h); got != want && got.Is4() {
			b.Fatalf("%s: got %v, want %v or an IPv6 address", bb.name, got, want)
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.of(bb.remote, h)
			}
		})
		if !bb.naive {
			continue
		}
		b.Run(bb.name+"/naive", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				naiveClient(bb.trust.Proxies, bb.remote, h)
			}
		})
	}
}

// BenchmarkTrustPeer is the part that is left when the transport knows the peer
// as an address, without parsing RemoteAddr.
func BenchmarkTrustPeer(b *testing.B) {
	c := mustTrust(b, trustOf(trustNet))
	h := headerOf("X-Forwarded-For", "192.0.2.1")
	peer := addrOf("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		c.ofPeer(peer, h)
	}
}

func BenchmarkTrustSuspicious(b *testing.B) {
	c := mustTrust(b, Trust{})
	h := headerOf("Accept", "*/*")
	peer := addrOf("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		c.suspicious(peer, h)
	}
}
