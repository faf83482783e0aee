package guard

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestTrustSpoof counts the keys that 200 requests of one attacker get. Each
// peer library of notes on the field gave 200 for at least one row that must be 1.
func TestTrustSpoof(t *testing.T) {
	const requests = 200
	rotate := func(name string) func(int) http.Header {
		return func(i int) http.Header { return headerOf(name, fmt.Sprintf("6.6.6.%d", i)) }
	}
	none := func(int) http.Header { return http.Header{} }
	remote := func(format string) func(int) string {
		return func(i int) string {
			if !strings.Contains(format, "%") {
				return format
			}
			return fmt.Sprintf(format, i)
		}
	}
	for _, tt := range []struct {
		name      string
		trust     Trust
		remote    func(int) string
		header    func(int) http.Header
		bits      int // of IPv6 in a key
		addresses int
		keys      int
	}{
		{"A rotate X-Forwarded-For, direct", Trust{}, remote("192.0.2.1:80"), rotate("X-Forwarded-For"), 64, 1, 1},
		{"A rotate X-Real-IP, direct", Trust{}, remote("192.0.2.1:80"), rotate("X-Real-IP"), 64, 1, 1},
		{"A rotate True-Client-IP, direct", Trust{}, remote("192.0.2.1:80"), rotate("True-Client-IP"), 64, 1, 1},
		{"A rotate X-Forwarded-For past the proxies", trustOf(trustNet), remote("192.0.2.1:80"), rotate("X-Forwarded-For"), 64, 1, 1},
		{"B forge the left entry", trustOf(trustNet), remote("10.0.0.1:80"), func(i int) http.Header {
			return headerOf("X-Forwarded-For", fmt.Sprintf("6.6.6.%d, 192.0.2.1", i))
		}, 64, 1, 1},
		{"B forge a left line", trustOf(trustNet), remote("10.0.0.1:80"), func(i int) http.Header {
			return headerOf("X-Forwarded-For", fmt.Sprintf("6.6.6.%d", i), "192.0.2.1")
		}, 64, 1, 1},
		{"B forge the left entry, one hop", Trust{Hops: 1}, remote("10.0.0.1:80"), func(i int) http.Header {
			return headerOf("X-Forwarded-For", fmt.Sprintf("6.6.6.%d, 192.0.2.1", i))
		}, 64, 1, 1},
		{"B forge another header", trustOf(trustNet), remote("10.0.0.1:80"), func(i int) http.Header {
			h := rotate("X-Real-IP")(i)
			h["X-Forwarded-For"] = []string{"192.0.2.1"}
			return h
		}, 64, 1, 1},
		{"C no header", trustOf(trustNet), remote("10.0.0.1:80"), none, 64, 1, 1},
		{"C no address at all", Trust{}, remote("@"), none, 64, 1, 1},
		{"D rotate inside one /64", Trust{}, remote("[2001:db8::%x]:80"), none, 64, requests, 1},
		{"E one /64 a request inside one /48", Trust{}, remote("[2001:db8:0:%x::1]:80"), none, 48, requests, 1},
		{"F IPv4-mapped clients are different", Trust{}, remote("[::ffff:192.0.2.%d]:80"), none, 48, requests, requests},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustTrust(t, tt.trust)
			addresses, keys := map[netip.Addr]bool{}, map[netip.Prefix]bool{}
			for i := range requests {
				a := c.of(tt.remote(i), tt.header(i))
				bits := tt.bits
				if a.Is4() {
					bits = 32
				}
				key, _ := a.Prefix(bits) // the zero Prefix for the unknown
				addresses[a], keys[key] = true, true
			}
			if len(addresses) != tt.addresses || len(keys) != tt.keys {
				t.Errorf("%d requests: got %d addresses and %d keys, want %d and %d", requests, len(addresses), len(keys), tt.addresses, tt.keys)
			}
		})
	}
}

// proxyWays are the ways in which a proxy adds its entry to the field lines.
var proxyWays = []func(lines []string, entry string) []string{
	func(lines []string, entry string) []string { return append(lines, entry) },
	func(lines []string, entry string) []string {
		if len(lines) == 0 {
			return []string{entry}
		}
		lines[len(lines)-1] += ", " + entry
		return lines
	},
	func(lines []string, entry string) []string {
		return []string{strings.Join(append(lines, entry), ", ")}
	},
	func(lines []string, entry string) []string {
		return []string{strings.Join(append(lines, entry), ",")}
	},
}

// hostileLines makes the field lines of a client that knows the syntax.
func hostileLines(r *rand.Rand) []string {
	words := []string{
		`"`, `"`, `\`, ",", ", ", ";", "=", " ", "\t", "[", "]", ":", "%", "for=", `for="`, `for=6.6.6.6`, "6.6.6.6", `"6.6.6.6"`,
		"[2001:db8:6::6]:6", "10.0.0.66", "for=10.0.0.66", "unknown", "_x", "x", "\x80", "\xff",
	}
	lines := make([]string, r.IntN(4))
	for i := range lines {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(words[r.IntN(len(words))])
		}
		lines[i] = b.String()
		if r.IntN(16) == 0 {
			lines[i] = strings.Repeat(lines[i], 1+8192/(1+len(lines[i])))
		}
	}
	return lines
}

// trustNode writes an address in one of the forms that proxies use; forwarded
// makes it an element of Forwarded.
func trustNode(r *rand.Rand, a netip.Addr, forwarded bool) string {
	forms := []string{a.String()}
	if a.Is4() {
		forms = append(forms, a.String()+":4711", "::ffff:"+a.String())
	} else {
		forms = append(forms, "["+a.String()+"]", "["+a.String()+"]:4711", a.String()+"%eth0")
	}
	node := forms[r.IntN(len(forms))]
	if !forwarded {
		return node
	}
	host := make([]byte, 0, 8)
	for range r.IntN(5) { // the client's too, quoted by the proxy
		host = append(host, `\,;="6`[r.IntN(6)])
	}
	elements := []string{
		`for="` + node + `"`,
		`For=` + node + `;proto=http`,
		`proto=http;for="` + node + `";host="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(host)) + `"`,
	}
	return elements[r.IntN(len(elements))]
}

// TestTrustClientCannotChoose sends what hostile clients send through chains of
// trusted proxies: the answer is the address that the first of them saw.
func TestTrustClientCannotChoose(t *testing.T) {
	clients := []netip.Addr{addrOf("192.0.2.1"), addrOf("2001:db8::1"), addrOf("203.0.113.255")}
	proxies := []netip.Addr{addrOf("10.0.0.1"), addrOf("10.255.0.1"), addrOf("fd00::1")}
	for _, header := range []string{headerXForwardedFor, headerForwarded} {
		t.Run(header, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			trust := trustOf(trustNet)
			trust.Header = header
			byNet := mustTrust(t, trust)
			for range 50_000 {
				client := clients[r.IntN(len(clients))]
				sent := hostileLines(r)
				lines := append([]string(nil), sent...)
				way := proxyWays[r.IntN(len(proxyWays))]
				// The first proxy sees the client, each further one the proxy before it.
				lines = way(lines, trustNode(r, client, header == headerForwarded))
				hops := 1
				for ; r.IntN(3) > 0 && hops < maxHops; hops++ {
					lines = way(lines, trustNode(r, proxies[r.IntN(len(proxies))], header == headerForwarded))
				}
				peer := proxies[r.IntN(len(proxies))]
				byCount := mustTrust(t, Trust{Hops: hops, Header: header})

				h := headerOf(header, lines...)
				if got := byNet.ofPeer(peer, h); got != client {
					t.Fatalf("Proxies: client %v sent %.300q, the proxies made it %.300q: got %v", client, sent, lines, got)
				}
				if got := byCount.ofPeer(peer, h); got != client {
					t.Fatalf("Hops %d: client %v sent %.300q, the proxies made it %.300q: got %v", hops, client, sent, lines, got)
				}
			}
		})
	}
}

// TestTrustHiddenClient is the same with a first proxy that hides the client:
// the answer is that proxy, never what the client wrote.
func TestTrustHiddenClient(t *testing.T) {
	hidden := map[string][]string{
		headerXForwardedFor: {"unknown", "_hidden", "", "1.2.3", "[::1"},
		headerForwarded:     {"for=unknown", `for="_hidden"`, "proto=http", "for=1.2.3", `by="a, for=6.6.6.6"`},
	}
	for header, entries := range hidden {
		t.Run(header, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			trust := trustOf(trustNet)
			trust.Header = header
			c := mustTrust(t, trust)
			for range 20_000 {
				sent := hostileLines(r)
				lines := append([]string(nil), sent...)
				way := proxyWays[r.IntN(len(proxyWays))]
				lines = way(lines, entries[r.IntN(len(entries))])
				lines = way(lines, trustNode(r, addrOf("10.0.0.1"), header == headerForwarded))
				if got := c.of("10.0.0.2:80", headerOf(header, lines...)); got != addrOf("10.0.0.1") {
					t.Fatalf("client sent %.300q, the proxies made it %.300q: got %v, want the first proxy", sent, lines, got)
				}
			}
		})
	}
}

// TestTrustWork shows that what is read of a header has a bound, whatever its
// length and form.
func TestTrustWork(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) []string { return []string{strings.Repeat(s, size/len(s))} }
	for name, lines := range map[string][]string{
		"commas":      fill(","),
		"addresses":   fill("10.0.0.1,"),
		"elements":    fill("for=10.0.0.1,"),
		"quotes":      fill(`"`),
		"strings":     fill(`x="",`),
		"backslashes": {strings.Repeat(`\`, size) + `"`},
		"spaces":      fill(" "),
		"lines":       make([]string, size),
	} {
		for _, syntax := range []syntax{syntaxXForwardedFor, syntaxForwarded} {
			e := entries{lines: lines, syntax: syntax, left: maxForwarded}
			calls := 0
			for ok := true; ok; calls++ {
				_, ok = e.prev()
			}
			if read := maxForwarded - e.left; calls > maxForwarded+2 || read > maxForwarded+1 {
				t.Errorf("%s, syntax %d: %d entries, %d bytes read, want at most %d bytes", name, syntax, calls, read, maxForwarded)
			}
		}
	}
}

func TestTrustAllocatesNothing(t *testing.T) {
	forwarded := trustOf(trustNet)
	forwarded.Header = "Forwarded"
	single := trustOf(trustNet)
	single.Header = "X-Real-IP"
	for _, tt := range []struct {
		name   string
		trust  Trust
		remote string
		lines  []string
	}{
		{"direct", Trust{}, "192.0.2.1:80", nil},
		{"direct IPv6 with zone", Trust{}, "[fe80::1%eth0]:80", nil},
		{"Unix socket", Trust{}, "@", nil},
		{"X-Forwarded-For", trustOf(trustNet), "10.0.0.1:80", []string{"6.6.6.6", "192.0.2.1:80, [fd00::1%eth0]:80, ::ffff:10.0.0.1"}},
		{"stopped", trustOf(trustNet), "10.0.0.1:80", []string{"6.6.6.6, unknown"}},
		{"hostile", trustOf(trustNet), "10.0.0.1:80", []string{strings.Repeat(`",`, 1<<15) + "192.0.2.1"}},
		{"hops", Trust{Hops: 2}, "10.0.0.1:80", []string{"192.0.2.1, 192.0.2.2"}},
		{"Forwarded", forwarded, "10.0.0.1:80", []string{`for="`, `for="[2001:db8::1]:80";proto=http, for=10.0.0.1;host="a\"b"`}},
		{"single", single, "10.0.0.1:80", []string{"192.0.2.1"}},
		{"single twice", single, "10.0.0.1:80", []string{"192.0.2.1", "192.0.2.2"}},
	} {
		c := mustTrust(t, tt.trust)
		h := headerOf(c.header, tt.lines...)
		peer, _ := parseNode(tt.remote)
		if n := testing.AllocsPerRun(100, func() {
			c.of(tt.remote, h)
			c.ofPeer(peer, h)
			c.suspicious(peer, h)
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

// TestTrustServer checks the premise about net/http: canonical keys, and the
// field lines in the order in which they came.
func TestTrustServer(t *testing.T) {
	c := mustTrust(t, trustOf("127.0.0.0/8"))
	got := make(chan netip.Addr, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- c.of(r.RemoteAddr, r.Header) })}
	go srv.Serve(ln)
	defer srv.Close()

	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: 6.6.6.6\r\nX-FORWARDED-FOR:\t192.0.2.1 , 127.0.0.2 \r\nx-Forwarded-For: 127.0.0.3\r\n\r\n")
	if a := <-got; a != addrOf("192.0.2.1") {
		t.Errorf("behind net/http: got %v, want 192.0.2.1", a)
	}
}
