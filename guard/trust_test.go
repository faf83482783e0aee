package guard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// trustOf parses prefixes, separated by spaces.
func trustOf(proxies string) Trust {
	var t Trust
	for p := range strings.FieldsSeq(proxies) {
		t.Proxies = append(t.Proxies, netip.MustParsePrefix(p))
	}
	return t
}

func mustTrust(tb testing.TB, t Trust) *clientAddr {
	tb.Helper()
	c, err := t.compile()
	if err != nil {
		tb.Fatalf("compile(%+v): %v", t, err)
	}
	return c
}

// addrOf parses an address; "" is the unknown one.
func addrOf(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func headerOf(name string, lines ...string) http.Header {
	if lines == nil {
		return http.Header{}
	}
	return http.Header{http.CanonicalHeaderKey(name): lines}
}

const trustNet = "10.0.0.0/8 fd00::/8"

func TestTrustZeroValueKnowsOnlyThePeer(t *testing.T) {
	spoof := http.Header{}
	for _, name := range forwardingHeaders {
		spoof[name] = []string{"6.6.6.6"}
	}
	c := mustTrust(t, Trust{})
	for _, tt := range []struct{ remote, want string }{
		{"192.0.2.1:1234", "192.0.2.1"},
		{"[2001:db8::1]:1234", "2001:db8::1"},
		{"127.0.0.1:1234", "127.0.0.1"},
		{"10.0.0.1:1", "10.0.0.1"},
		{"[fe80::1%eth0]:1234", "fe80::1"},
		{"[::ffff:192.0.2.1]:1234", "192.0.2.1"},
		{"[64:ff9b::192.0.2.1]:1234", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.1"}, // some routers rewrite RemoteAddr so
		{"2001:db8::1", "2001:db8::1"},
		{"", ""},
		{"@", ""},
		{"/run/app.sock", ""},
		{"localhost:80", ""},
		{"192.0.2.1:http", ""},
	} {
		if got := c.of(tt.remote, spoof); got != addrOf(tt.want) {
			t.Errorf("of(%q) = %v, want %q", tt.remote, got, tt.want)
		}
	}
}

func TestTrustXForwardedFor(t *testing.T) {
	const peer = "10.0.0.1:80"
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	for _, tt := range []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"untrusted peer is not believed", "192.0.2.9:80", []string{"6.6.6.6"}, "192.0.2.9"},
		{"no header", peer, nil, "10.0.0.1"},
		{"one entry", peer, []string{"192.0.2.1"}, "192.0.2.1"},
		{"forged left entries", peer, []string{"6.6.6.6, 7.7.7.7, 192.0.2.1"}, "192.0.2.1"},
		{"forged trusted left entries", peer, []string{"10.9.9.9, 192.0.2.1"}, "192.0.2.1"},
		{"trusted hops are skipped", peer, []string{"6.6.6.6, 192.0.2.1, 10.0.0.3, 10.0.0.2"}, "192.0.2.1"},
		{"trusted hops of both families", peer, []string{"2001:db8::7, fd00::2, 10.0.0.2"}, "2001:db8::7"},
		{"field lines are one list", peer, []string{"6.6.6.6", "192.0.2.1", "10.0.0.3,10.0.0.2"}, "192.0.2.1"},
		{"all trusted gives the leftmost", peer, []string{"10.0.0.4, 10.0.0.3", "10.0.0.2"}, "10.0.0.4"},
		{"white space", peer, []string{"6.6.6.6 ,\t 192.0.2.1 \t, \t10.0.0.2\t"}, "192.0.2.1"},
		{"no white space", peer, []string{"6.6.6.6,192.0.2.1,10.0.0.2"}, "192.0.2.1"},

		{"unknown stops", peer, []string{"6.6.6.6, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"unknown stops at the peer", peer, []string{"6.6.6.6, unknown"}, "10.0.0.1"},
		{"obfuscated stops", peer, []string{"6.6.6.6, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"empty entry stops", peer, []string{"6.6.6.6, , 10.0.0.2"}, "10.0.0.2"},
		{"empty last entry stops", peer, []string{"6.6.6.6,"}, "10.0.0.1"},
		{"empty line stops", peer, []string{"6.6.6.6", "", "10.0.0.2"}, "10.0.0.2"},
		{"only an empty line", peer, []string{""}, "10.0.0.1"},
		{"garbage stops", peer, []string{"6.6.6.6, 1.2.3, 10.0.0.2"}, "10.0.0.2"},
		{"host name stops", peer, []string{"6.6.6.6, cafe, 10.0.0.2"}, "10.0.0.2"},
		{"leading zero stops", peer, []string{"6.6.6.6, 010.0.0.2"}, "10.0.0.1"},
		{"two addresses without comma stop", peer, []string{"6.6.6.6 192.0.2.1"}, "10.0.0.1"},
		{"quotes mean nothing here", peer, []string{`6.6.6.6, "7.7.7.7, 192.0.2.1`}, "192.0.2.1"},

		{"port", peer, []string{"6.6.6.6, 192.0.2.1:4711, 10.0.0.2:80"}, "192.0.2.1"},
		{"IPv6", peer, []string{"2001:db8::1:80"}, "2001:db8::1:80"},
		{"IPv6 in brackets", peer, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with port", peer, []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{"IPv6 in capitals", peer, []string{"2001:DB8::A"}, "2001:db8::a"},
		{"zone", peer, []string{"[fe80::1%eth0]:80"}, "fe80::1"},
		{"zone of a trusted hop", peer, []string{"192.0.2.1, fd00::2%eth0"}, "192.0.2.1"},
		{"bad port", peer, []string{"192.0.2.1:http"}, "10.0.0.1"},
		{"no port after colon", peer, []string{"192.0.2.1:"}, "10.0.0.1"},
		{"six digits of port", peer, []string{"192.0.2.1:123456"}, "10.0.0.1"},
		{"bracket left open", peer, []string{"[2001:db8::1"}, "10.0.0.1"},
		{"text after bracket", peer, []string{"[2001:db8::1]80"}, "10.0.0.1"},
		{"IPv4 in brackets", peer, []string{"[192.0.2.1]"}, "10.0.0.1"},
		{"zone of IPv4", peer, []string{"192.0.2.1%eth0"}, "10.0.0.1"},
		{"zone of IPv4 with colons", peer, []string{"192.0.2.1%::"}, "10.0.0.1"},
		{"number over 255", peer, []string{"192.0.2.256"}, "10.0.0.1"},
		{"empty zone", peer, []string{"fe80::1%"}, "10.0.0.1"},
		{"endless zone", peer, []string{"fe80::1%" + many(200, "a")}, "10.0.0.1"},

		{"IPv4-mapped client", peer, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"IPv4-mapped in hex", peer, []string{"::ffff:c000:201"}, "192.0.2.1"},
		{"IPv4-mapped trusted hop", peer, []string{"192.0.2.1, ::ffff:10.0.0.2"}, "192.0.2.1"},
		{"IPv4-mapped peer", "[::ffff:10.0.0.1]:80", []string{"192.0.2.1"}, "192.0.2.1"},
		{"peer with zone", "[fd00::1%eth0]:80", []string{"192.0.2.1"}, "192.0.2.1"},
		{"NAT64 client", peer, []string{"64:ff9b::c000:201"}, "192.0.2.1"},
		{"NAT64 of a private address is nobody's proxy", "[64:ff9b::10.0.0.1]:80", []string{"6.6.6.6"}, "64:ff9b::a00:1"},
		{"Unix socket is not believed", "@", []string{"6.6.6.6"}, ""},

		{"client in front of 31 trusted hops", peer, []string{"6.6.6.6, 192.0.2.1" + many(31, ", 10.0.0.2")}, "192.0.2.1"},
		{"32 trusted hops are the limit", peer, []string{"6.6.6.6, 10.0.0.3" + many(31, ", 10.0.0.2")}, "10.0.0.3"},
		{"33 trusted hops are over it", peer, []string{"6.6.6.6, 10.0.0.4, 10.0.0.3" + many(31, ", 10.0.0.2")}, "10.0.0.3"},
		{"padding up to 4 KiB", peer, []string{"192.0.2.1" + many(4096-9-9, " ") + ",10.0.0.2"}, "192.0.2.1"},
		{"padding over 4 KiB", peer, []string{"192.0.2.1" + many(4096-9-8, " ") + ",10.0.0.2"}, "10.0.0.2"},
		{"padding over 4 KiB, a comma in front", peer, []string{"7.7.7.7,192.0.2.1" + many(4096-9-8, " ") + ",10.0.0.2"}, "10.0.0.2"},
		{"padding in several lines", peer, []string{"192.0.2.1", many(3000, " ") + "10.0.0.3", many(3000, " ") + "10.0.0.2"}, "10.0.0.2"},
		{"what the client put in front costs nothing", peer, []string{many(1<<16, "6.6.6.6,") + "192.0.2.1"}, "192.0.2.1"},
		{"nor does what it put in other lines", peer, append(make([]string, 1<<12), "6.6.6.6", "192.0.2.1"), "192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustTrust(t, trustOf(trustNet))
			h := headerOf("X-Forwarded-For", tt.lines...)
			h["Forwarded"] = []string{"for=6.6.6.6"} // one source only
			h["X-Real-Ip"] = []string{"6.6.6.6"}
			if got := c.of(tt.peer, h); got != addrOf(tt.want) {
				t.Errorf("of(%q, %.200q) = %v, want %q", tt.peer, tt.lines, got, tt.want)
			}
		})
	}
}

func TestTrustForwarded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"no header", nil, "10.0.0.1"},
		{"one element", []string{"for=192.0.2.1"}, "192.0.2.1"},
		{"name in any case", []string{"FoR=192.0.2.1"}, "192.0.2.1"},
		{"several parameters", []string{`proto=http;by=203.0.113.43;for=192.0.2.1;host="a.example"`}, "192.0.2.1"},
		{"unknown parameters", []string{"secret=x;for=192.0.2.1"}, "192.0.2.1"},
		{"empty pairs", []string{";;for=192.0.2.1;;"}, "192.0.2.1"},
		{"space around semicolon", []string{"for=192.0.2.1 ; proto=https"}, "192.0.2.1"},
		{"forged left elements", []string{"for=6.6.6.6, for=192.0.2.1"}, "192.0.2.1"},
		{"trusted hops are skipped", []string{`for=6.6.6.6, for=192.0.2.1, for="[fd00::2]:80"`, "for=10.0.0.2;proto=http"}, "192.0.2.1"},
		{"all trusted gives the leftmost", []string{"for=10.0.0.4,for=10.0.0.3", "for=10.0.0.2"}, "10.0.0.4"},
		{"quoted", []string{`for="192.0.2.1"`}, "192.0.2.1"},
		{"quoted with port", []string{`for="192.0.2.1:4711"`}, "192.0.2.1"},
		{"obfuscated port", []string{`for="192.0.2.1:_gazonk"`}, "192.0.2.1"},
		{"IPv6", []string{`for="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"IPv6 without quotes", []string{"for=[2001:db8::1]:80;proto=http"}, "2001:db8::1"},
		{"IPv6 without brackets", []string{"for=2001:db8::1"}, "2001:db8::1"},
		{"escapes", []string{`for="\1\92.0.2\.1"`}, "192.0.2.1"},
		{"comma in quotes", []string{`for=192.0.2.1;x="a, for=6.6.6.6"`}, "192.0.2.1"},
		{"comma and semicolon in quotes", []string{`x=", for=6.6.6.6;", for=192.0.2.1;x=";, for=6.6.6.6"`}, "192.0.2.1"},
		{"escaped quote in quotes", []string{`for=192.0.2.1;x="a\", for=6.6.6.6;y=\""`}, "192.0.2.1"},
		{"escaped backslash before the end", []string{`for=6.6.6.6, for=192.0.2.1;x="a\\"`}, "192.0.2.1"},
		{"escaped backslash and quote", []string{`for=192.0.2.1;x="\\\", for=6.6.6.6"`}, "192.0.2.1"},
		{"equals sign in quotes", []string{`for=192.0.2.1;x="=";y="a=, for=6.6.6.6"`}, "192.0.2.1"},
		{"empty quotes", []string{`for=192.0.2.1;x=""`}, "192.0.2.1"},

		{"unknown stops", []string{"for=6.6.6.6, for=unknown, for=10.0.0.2"}, "10.0.0.2"},
		{"obfuscated stops", []string{`for=6.6.6.6, for="_hidden", for=10.0.0.2`}, "10.0.0.2"},
		{"element without for stops", []string{"for=6.6.6.6, proto=https, for=10.0.0.2"}, "10.0.0.2"},
		{"empty element stops", []string{"for=6.6.6.6,, for=10.0.0.2"}, "10.0.0.2"},
		{"empty line stops", []string{"for=6.6.6.6", "", "for=10.0.0.2"}, "10.0.0.2"},
		{"empty value stops", []string{"for=6.6.6.6, for=, for=10.0.0.2"}, "10.0.0.2"},
		{"two for stop", []string{"for=6.6.6.6, for=7.7.7.7;for=8.8.8.8, for=10.0.0.2"}, "10.0.0.2"},
		{"same for twice stops", []string{"for=7.7.7.7;For=7.7.7.7"}, "10.0.0.1"},
		{"no equals sign", []string{"for=6.6.6.6, for"}, "10.0.0.1"},
		{"bare address", []string{"for=6.6.6.6, 7.7.7.7"}, "10.0.0.1"},
		{"space around equals sign", []string{"for = 7.7.7.7"}, "10.0.0.1"},
		{"bad name", []string{"f(or=1;for=7.7.7.7"}, "10.0.0.1"},
		{"text after quotes", []string{`for="7.7.7.7"x`}, "10.0.0.1"},
		{"text before quotes", []string{`for=x"7.7.7.7"`}, "10.0.0.1"},
		{"parameter after quotes", []string{`for="7.7.7.7"x=y`}, "10.0.0.1"},
		{"parameter after space", []string{`for=7.7.7.7 x=y`}, "10.0.0.1"},
		{"quotes in a token", []string{`for=7.7.7.7;x=a"b"`}, "10.0.0.1"},
		{"backslash in a token", []string{`for=7.7.7.7;x=a\b`}, "10.0.0.1"},
		{"two words", []string{"for=7.7.7.7 8.8.8.8"}, "10.0.0.1"},
		{"quote left open", []string{`for=6.6.6.6, for="7.7.7.7`}, "10.0.0.1"},
		{"quote never opened", []string{`for=6.6.6.6, for=7.7.7.7"`}, "10.0.0.1"},
		{"escaped closing quote", []string{`for=6.6.6.6, for="7.7.7.7\"`}, "10.0.0.1"},
		{"escaped quotes outside", []string{`for=\"7.7.7.7\"`}, "10.0.0.1"},
		{"quotes in quotes", []string{`for=6.6.6.6, x="a"b", for=10.0.0.2`}, "10.0.0.2"},
		{"the list of the other header", []string{"6.6.6.6, 7.7.7.7"}, "10.0.0.1"},

		{"client opens a quote", []string{`for=", for=192.0.2.1`}, "192.0.2.1"},
		{"client opens a quote, proxy quotes", []string{`for=", for="[2001:db8::1]"`}, "2001:db8::1"},
		{"client opens a quote with its answer", []string{`for=6.6.6.6;x=", for=192.0.2.1;x=""`}, "192.0.2.1"},
		{"client ends in a backslash", []string{`for="\, for="192.0.2.1"`}, "192.0.2.1"},
		{"client opens a quote in another line", []string{`for="`, "for=192.0.2.1"}, "192.0.2.1"},
		{"lines never make one string", []string{`for=6.6.6.6;x="`, `";for=7.7.7.7`, "for=10.0.0.2"}, "10.0.0.2"},
		{"proxy behind a proxy, client opens a quote", []string{`for=6.6.6.6, for=", for=192.0.2.1, for=10.0.0.2`}, "192.0.2.1"},
		{"64 KiB of quotes in front", []string{strings.Repeat(`"\`, 1<<15) + ", for=192.0.2.1"}, "192.0.2.1"},
		{"quoted string over 4 KiB", []string{`for=7.7.7.7;x="` + strings.Repeat(",", 5000) + `", for=10.0.0.2`}, "10.0.0.2"},
		{"backslashes over 4 KiB", []string{`for=7.7.7.7;x="` + strings.Repeat(`\`, 5000) + `", for=10.0.0.2`}, "10.0.0.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust := trustOf(trustNet)
			trust.Header = "forwarded"
			c := mustTrust(t, trust)
			h := headerOf("Forwarded", tt.lines...)
			h["X-Forwarded-For"] = []string{"6.6.6.6"} // one source only
			if got := c.of("10.0.0.1:80", h); got != addrOf(tt.want) {
				t.Errorf("of(%.200q) = %v, want %q", tt.lines, got, tt.want)
			}
			if got := c.of("192.0.2.9:80", h); got != addrOf("192.0.2.9") {
				t.Errorf("of(%.200q) of an untrusted peer = %v, want the peer", tt.lines, got)
			}
		})
	}
}

func TestTrustSingleValuedHeader(t *testing.T) {
	for _, tt := range []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"address", "10.0.0.1:80", []string{"192.0.2.1"}, "192.0.2.1"},
		{"address of a trusted host", "10.0.0.1:80", []string{"10.0.0.7"}, "10.0.0.7"},
		{"IPv6 with port and space", "10.0.0.1:80", []string{" [2001:db8::1]:80\t"}, "2001:db8::1"},
		{"untrusted peer", "192.0.2.9:80", []string{"6.6.6.6"}, "192.0.2.9"},
		{"missing: the proxy's own request", "10.0.0.1:80", nil, "10.0.0.1"},
		{"sent twice", "10.0.0.1:80", []string{"6.6.6.6", "192.0.2.1"}, ""},
		{"sent twice, the same", "10.0.0.1:80", []string{"192.0.2.1", "192.0.2.1"}, ""},
		{"a list", "10.0.0.1:80", []string{"6.6.6.6, 192.0.2.1"}, ""},
		{"empty", "10.0.0.1:80", []string{""}, ""},
		{"not an address", "10.0.0.1:80", []string{"unknown"}, ""},
		{"1 MiB", "10.0.0.1:80", []string{strings.Repeat("1", 1<<20)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust := trustOf(trustNet)
			trust.Header = "CF-Connecting-IP"
			h := headerOf("CF-Connecting-IP", tt.lines...)
			h["X-Forwarded-For"] = []string{"6.6.6.6"} // one source only
			if got := mustTrust(t, trust).of(tt.peer, h); got != addrOf(tt.want) {
				t.Errorf("of(%q, %.200q) = %v, want %q", tt.peer, tt.lines, got, tt.want)
			}
		})
	}
}

func TestTrustHops(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trust  Trust
		remote string
		lines  []string
		want   string
	}{
		{"one proxy", Trust{Hops: 1}, "203.0.113.1:80", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		{"two proxies", Trust{Hops: 2}, "203.0.113.1:80", []string{"6.6.6.6", "192.0.2.1, 203.0.113.2"}, "192.0.2.1"},
		{"other hops may hide", Trust{Hops: 3}, "203.0.113.1:80", []string{"6.6.6.6, 192.0.2.1, unknown,"}, "192.0.2.1"},
		{"32 proxies", Trust{Hops: 32}, "203.0.113.1:80", []string{"6.6.6.6, 192.0.2.1" + strings.Repeat(",1.1.1.1", 31)}, "192.0.2.1"},
		{"no header", Trust{Hops: 1}, "203.0.113.1:80", nil, "203.0.113.1"},
		{"too few entries", Trust{Hops: 3}, "203.0.113.1:80", []string{"6.6.6.6, 192.0.2.1"}, "203.0.113.1"},
		{"hidden client", Trust{Hops: 2}, "203.0.113.1:80", []string{"6.6.6.6, unknown, 192.0.2.1"}, "203.0.113.1"},
		{"over 4 KiB", Trust{Hops: 2}, "203.0.113.1:80", []string{"192.0.2.1" + strings.Repeat(" ", 4096) + ", 192.0.2.2"}, "203.0.113.1"},
		{"Unix socket", Trust{Hops: 1}, "@", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		{"Unix socket without header", Trust{Hops: 1}, "@", nil, ""},
		{"Forwarded", Trust{Hops: 2, Header: "Forwarded"}, "203.0.113.1:80", []string{`for=", for=192.0.2.1, by=_x;proto=https`}, "192.0.2.1"},
		{"Forwarded malformed on the way", Trust{Hops: 2, Header: "Forwarded"}, "203.0.113.1:80", []string{`for=6.6.6.6, for="`}, "203.0.113.1"},
		{"single-valued", Trust{Hops: 1, Header: "Fly-Client-IP"}, "203.0.113.1:80", []string{"192.0.2.1"}, "192.0.2.1"},
		{"single-valued sent twice", Trust{Hops: 1, Header: "Fly-Client-IP"}, "203.0.113.1:80", []string{"6.6.6.6", "192.0.2.1"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustTrust(t, tt.trust)
			if got := c.of(tt.remote, headerOf(c.header, tt.lines...)); got != addrOf(tt.want) {
				t.Errorf("%+v: of(%q, %.200q) = %v, want %q", tt.trust, tt.remote, tt.lines, got, tt.want)
			}
		})
	}
}

func TestTrustProxies(t *testing.T) {
	for _, tt := range []struct {
		proxies   string
		in, notIn []string
	}{
		{"10.0.0.0/8", []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"}, []string{"9.255.255.255", "11.0.0.0", "::a00:1", "64:ff9b::a00:1", ""}},
		{"10.1.2.3/8", []string{"10.0.0.0", "10.255.255.255"}, []string{"11.0.0.0"}},
		{"::ffff:10.0.0.0/104", []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"}, []string{"11.0.0.0"}},
		{"192.0.2.1/32 10.0.0.0/8 10.2.0.0/16 10.2.3.0/24 2001:db8::/32 2001:db8:1::/48 192.0.2.1/32", []string{"10.2.3.4", "10.2.4.4", "10.9.9.9", "192.0.2.1", "2001:db8::1", "2001:db8:1::1", "2001:db8:ffff::1", "64:ff9b::192.0.2.1"}, []string{"192.0.2.0", "192.0.2.2", "11.0.0.0", "2001:db9::"}},
		{"10.0.0.0/8 10.1.0.0/16 10.2.0.0/16", []string{"10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1"}, []string{"11.0.0.0"}},
		{"fe80::/10", []string{"fe80::1", "fe80::1%eth0"}, []string{"fec0::1"}},
		{"0.0.0.0/1 128.0.0.0/1", []string{"0.0.0.0", "255.255.255.255"}, []string{"::1"}},
	} {
		c := mustTrust(t, trustOf(tt.proxies))
		check := func(peer, want netip.Addr) {
			if got := c.ofPeer(peer, headerOf("X-Forwarded-For", "198.51.100.7")); got != want {
				t.Errorf("Proxies %s: ofPeer(%v) = %v, want %v", tt.proxies, peer, got, want)
			}
		}
		for _, s := range tt.in {
			check(addrOf(s), addrOf("198.51.100.7"))
		}
		for _, s := range tt.notIn {
			check(addrOf(s), addrOf(s))
		}
	}
}

func TestTrustErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		trust Trust
		want  []string // each a line of the error
	}{
		{"zero", Trust{}, nil},
		{"all private", trustOf("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.1/32 ::1/128 fc00::/7"), nil},
		{"hops", Trust{Hops: 32, Header: "forwarded"}, nil},
		{"invalid prefix", Trust{Proxies: make([]netip.Prefix, 1)}, []string{"guard: Trust.Proxies[0]: invalid Prefix: not a network prefix"}},
		{"everyone", trustOf("10.0.0.0/8 0.0.0.0/0 ::/0 ::ffff:0:0/96"), []string{
			"guard: Trust.Proxies[1]: 0.0.0.0/0: trusts everyone",
			"guard: Trust.Proxies[2]: ::/0: trusts everyone",
			"guard: Trust.Proxies[3]: ::ffff:0.0.0.0/96: trusts everyone",
		}},
		{"half mapped", trustOf("::ffff:10.0.0.0/90"), []string{"guard: Trust.Proxies[0]: ::ffff:10.0.0.0/90: reaches beyond IPv4-mapped addresses, write IPv4 and IPv6 prefixes"}},
		{"NAT64", trustOf("64:ff9b::192.0.2.0/120"), []string{"guard: Trust.Proxies[0]: 64:ff9b::c000:200/120: NAT64 addresses are compared as IPv4, write the IPv4 prefix"}},
		{"negative hops", Trust{Hops: -1}, []string{"guard: Trust.Hops: -1: want 0 to 32"}},
		{"many hops", Trust{Hops: 33}, []string{"guard: Trust.Hops: 33: want 0 to 32"}},
		{"both", Trust{Hops: 1, Proxies: trustOf(trustNet).Proxies}, []string{"guard: Trust.Hops: 1: Proxies are set too, set one of the two"}},
		{"header alone", Trust{Header: "Forwarded"}, []string{`guard: Trust.Header: "Forwarded": believed from nobody, set Proxies or Hops`}},
		{"no header name", Trust{Hops: 1, Header: "X Real IP"}, []string{`guard: Trust.Header: "X Real IP": not a header name`}},
		{"hops in a single value", Trust{Hops: 2, Header: "x-real-ip"}, []string{"guard: Trust.Hops: 2: X-Real-Ip holds one address, want 1"}},
		{"all at once", Trust{Proxies: trustOf("::/0").Proxies, Hops: 40, Header: "a:b"}, []string{
			"guard: Trust.Proxies[0]: ::/0: trusts everyone",
			"guard: Trust.Hops: 40: want 0 to 32",
			"guard: Trust.Hops: 40: Proxies are set too, set one of the two",
			`guard: Trust.Header: "a:b": not a header name`,
			"guard: Trust.Hops: 40: a:b holds one address, want 1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.trust.compile()
			got := fmt.Sprint(err)
			want := "<nil>"
			if tt.want != nil {
				want = strings.Join(tt.want, "\n")
			}
			if got != want || (c == nil) != (err != nil) {
				t.Errorf("compile(%+v) = %v\n got error %s\nwant error %s", tt.trust, c, got, want)
			}
		})
	}
}

func TestTrustCompileLeavesConfigAlone(t *testing.T) {
	trust := trustOf("192.0.2.0/24 10.0.0.1/8 ::ffff:10.0.0.0/104")
	want := trustOf("192.0.2.0/24 10.0.0.1/8 ::ffff:10.0.0.0/104")
	mustTrust(t, trust)
	if !reflect.DeepEqual(trust, want) {
		t.Errorf("compile changed its Trust: got %v, want %v", trust, want)
	}
}

func TestTrustJSON(t *testing.T) {
	const doc = `{"proxies":["10.0.0.0/8","fd00::/8"],"header":"Forwarded"}`
	var trust Trust
	if err := json.Unmarshal([]byte(doc), &trust); err != nil {
		t.Fatal(err)
	}
	want := trustOf(trustNet)
	want.Header = "Forwarded"
	if !reflect.DeepEqual(trust, want) {
		t.Errorf("Unmarshal(%s) = %+v, want %+v", doc, trust, want)
	}
	if got, err := json.Marshal(trust); string(got) != doc || err != nil {
		t.Errorf("Marshal = %s, %v, want %s", got, err, doc)
	}
}

func TestTrustSuspicious(t *testing.T) {
	proxied := Trust{Proxies: trustOf("10.0.0.0/8").Proxies, Header: "Fly-Client-IP"}
	for _, tt := range []struct {
		name   string
		trust  Trust
		peer   string
		header string
		want   bool
	}{
		{"private", Trust{}, "192.168.1.1", "X-Forwarded-For", true},
		{"loopback", Trust{}, "127.0.0.1", "Forwarded", true},
		{"link-local", Trust{}, "fe80::1%eth0", "X-Real-IP", true},
		{"carrier-grade NAT", Trust{}, "100.64.0.1", "True-Client-IP", true},
		{"unique local", Trust{}, "fd00::1", "CF-Connecting-IP", true},
		{"mapped private", Trust{}, "::ffff:192.168.1.1", "X-Forwarded-For", true},
		{"Unix socket", Trust{}, "", "X-Forwarded-For", true},
		{"configured header", proxied, "192.168.1.1", "Fly-Client-IP", true},
		{"another header", Trust{}, "192.168.1.1", "Fly-Client-IP", false},
		{"no header", Trust{}, "192.168.1.1", "Accept", false},
		{"public peer", Trust{}, "192.0.2.1", "X-Forwarded-For", false},
		{"trusted peer", proxied, "10.0.0.1", "X-Forwarded-For", false},
		{"trusted peer, mapped", proxied, "::ffff:10.0.0.1", "X-Forwarded-For", false},
		{"hops", Trust{Hops: 1}, "192.168.1.1", "X-Forwarded-For", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustTrust(t, tt.trust).suspicious(addrOf(tt.peer), headerOf(tt.header, "192.0.2.1"))
			if got != tt.want {
				t.Errorf("%+v: suspicious(%q, %s) = %v, want %v", tt.trust, tt.peer, tt.header, got, tt.want)
			}
		})
	}
}
