package guard

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The reference is written from the documentation of Trust alone, slowly: lists
// are joined and split, elements of Forwarded matched by a regular expression
// against ever longer suffixes.

const refToken = "[-!#$%&'*+.^_`|~0-9A-Za-z]+"

var (
	refPort = `:(?:[0-9]{1,5}|_` + refToken + `)`
	refNode = regexp.MustCompile(`^(?:([0-9.]+)` + refPort + `|\[([^\]]*:[^\]]*)\](?:` + refPort + `)?)$`)

	// 10/8, 127/8, 192.168/16, 172.16/12, 169.254/16 and 100.64/10 in hex.
	refLocal = regexp.MustCompile(`^(?:0a|7f|c0a8:|ac1|a9fe:|64[4-7])`)

	refPair    = refToken + `=(?:"(?:[^"\\]|\\.)*"|[^"\\,; \t]*)`
	refElement = regexp.MustCompile(`(?s)^[ \t]*(?:` + refPair + `)?[ \t]*(?:;[ \t]*(?:` + refPair + `)?[ \t]*)*$`)
	refParts   = regexp.MustCompile(`(?s)[^;=\s]+=(?:"(?:[^"\\]|\\.)*"|[^;]*)`)
	refEscape  = regexp.MustCompile(`(?s)\\(.)`)
)

func refParse(s string) (netip.Addr, bool) {
	if len(s) > maxNode {
		return netip.Addr{}, false
	}
	if m := refNode.FindStringSubmatch(s); m != nil {
		s = m[1] + m[2]
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	a = a.WithZone("").Unmap()
	if v4, ok := strings.CutPrefix(a.StringExpanded(), "0064:ff9b:0000:0000:0000:0000:"); ok {
		if !refLocal.MatchString(v4) {
			b := a.As16()
			a = netip.AddrFrom4([4]byte(b[12:]))
		}
	}
	return a, true
}

// refXForwardedFor returns the entries from the right.
func refXForwardedFor(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	all := strings.Split(strings.Join(lines, ","), ",")
	var nodes []string
	read := 0
	for _, entry := range slices.Backward(all) {
		if read += len(entry); read > maxForwarded {
			break
		}
		read++
		nodes = append(nodes, strings.Trim(entry, " \t"))
	}
	return nodes
}

// refForwarded returns the nodes of the elements from the right: each is the
// shortest well-formed suffix that a comma or the line's start is in front of.
func refForwarded(lines []string) []string {
	var nodes []string
	read := 0
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			from := len(line) + 1
			var element string
			for {
				if from == 0 {
					return nodes
				}
				from = strings.LastIndexByte(line[:from-1], ',') + 1
				element = line[from:]
				if read+len(element) > maxForwarded {
					return nodes
				}
				if refElement.MatchString(element) {
					break
				}
			}
			read += len(element) + 1
			node, n := "", 0
			for _, part := range refParts.FindAllString(element, -1) {
				name, value, _ := strings.Cut(part, "=")
				if !strings.EqualFold(name, "for") {
					continue
				}
				n++
				node = strings.Trim(value, " \t")
				if strings.HasPrefix(node, `"`) {
					node = refEscape.ReplaceAllString(node[1:len(node)-1], "$1")
				}
			}
			if n > 1 {
				return nodes
			}
			nodes = append(nodes, node)
			more = from > 0
			line = line[:max(0, from-1)]
		}
	}
	return nodes
}

func refWalk(t Trust, peer netip.Addr, nodes []string) netip.Addr {
	trusted := func(a netip.Addr) bool {
		for _, p := range t.Proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	if t.Hops > 0 {
		if len(nodes) >= t.Hops {
			if a, ok := refParse(nodes[t.Hops-1]); ok {
				return a
			}
		}
		return peer
	}
	if !trusted(peer) {
		return peer
	}
	last := peer
	for i, node := range nodes {
		a, ok := refParse(node)
		if !ok || i == maxHops {
			return last
		}
		last = a
		if !trusted(a) {
			return a
		}
	}
	return last
}

// headerLines makes of arbitrary bytes what net/http lets through: lines
// without control characters, trimmed.
func headerLines(s string) []string {
	if s == "" {
		return nil
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.Trim(lines[i], " \t")
	}
	return lines
}

// fuzzTrust compares with the reference, then lets a proxy append an entry for
// a client to what was sent, which must make that client the answer.
func fuzzTrust(f *testing.F, header string, ref func([]string) []string, entry func(string) string) {
	f.Helper()
	peer := addrOf("10.0.0.1")
	f.Fuzz(func(t *testing.T, sent, node string, hops uint8) {
		sent = strings.Repeat(sent, 1+int(hops>>4)) // reaches the limits sooner
		lines := headerLines(sent)
		trusts := []Trust{trustOf(trustNet), {Hops: 1 + int(hops%8)}}
		for _, trust := range trusts {
			trust.Header = header
			c := mustTrust(t, trust)
			got := c.ofPeer(peer, headerOf(header, lines...))
			if want := refWalk(trust, peer, ref(lines)); got != want {
				t.Fatalf("%+v: %q: got %v, want %v", trust, lines, got, want)
			}
			if !got.IsValid() || got != plainAddr(got) {
				t.Fatalf("%+v: %q: got %v, want a plain address", trust, lines, got)
			}
			if stranger := addrOf("192.0.2.9"); trust.Hops == 0 && c.ofPeer(stranger, headerOf(header, lines...)) != stranger {
				t.Fatalf("%+v: %q: untrusted peer was believed", trust, lines)
			}
		}

		client, ok := refParse(node)
		if got, isAddr := parseNode(node); got != client || isAddr != ok {
			t.Fatalf("parseNode(%q) = %v, %v, want %v, %v", node, got, isAddr, client, ok)
		}
		if !ok || strings.ContainsAny(node, "\",\\ \t\r\n;") {
			return // not what a proxy writes
		}
		for _, trust := range []Trust{trustOf(trustNet), {Hops: 1}} {
			trust.Header = header
			c := mustTrust(t, trust)
			if trust.Hops == 0 && c.trusts(client) {
				continue
			}
			for i, way := range proxyWays {
				with := way(append([]string(nil), lines...), entry(node))
				if got := c.ofPeer(peer, headerOf(header, with...)); got != client {
					t.Fatalf("%+v: client sent %q, the proxy made it %q (way %d): got %v, want %v", trust, lines, with, i, got, client)
				}
			}
		}
	})
}

func FuzzTrustXFF(f *testing.F) {
	for _, sent := range []string{
		"", "6.6.6.6", "6.6.6.6, 10.0.0.9", "6.6.6.6, unknown, 10.0.0.9", "10.0.0.7\n10.0.0.8, 10.0.0.9", "6.6.6.6,\n,10.0.0.9", "::ffff:10.0.0.9",
		"[fd00::1%eth0]:80, 64:ff9b::10.0.0.1", "2001:db8::1:80", "6.6.6.6, 10.0.0.9,", "6.6.6.6, 10.0.0.3" + strings.Repeat(", 10.0.0.2", 32),
		"6.6.6.6," + strings.Repeat(" ", 4000) + "10.0.0.9",
	} {
		f.Add(sent, "192.0.2.1:80", uint8(0))
		f.Add(sent, "[2001:db8::1%eth0]:_x", uint8(0x21))
	}
	f.Add("", "64:ff9b::192.0.2.1", uint8(3))
	fuzzTrust(f, headerXForwardedFor, refXForwardedFor, func(node string) string { return node })
}

func FuzzTrustForwarded(f *testing.F) {
	for _, sent := range []string{
		"", "for=6.6.6.6", "for=6.6.6.6, For=10.0.0.9;proto=http", `for="[fd00::1]:80", for=10.0.0.9`, `for=10.0.0.9;x="a, for=6.6.6.6"`,
		`for="`, `for=6.6.6.6;x="`, `for="\`, `for=10.0.0.9;x="a\", for=6.6.6.6;y=\""`, `for=6.6.6.6, for=10.0.0.9;x="a\\"`, `x="\\\", for=6.6.6.6",for=10.0.0.9`,
		"for=6.6.6.6;x=\"\n\";for=10.0.0.9", `for="\1\0.0.0.9"`, ` ; for=10.0.0.9 ; ;`, `for=10.0.0.9;for=6.6.6.6`, `x="a="b",for=10.0.0.9`,
		`for=10.0.0.9,by=x,`,
	} {
		f.Add(sent, "192.0.2.1:80", uint8(0))
		f.Add(sent, "[2001:db8::1%eth0]:_x", uint8(0x21))
	}
	fuzzTrust(f, headerForwarded, refForwarded, func(node string) string { return `proto=http;for="` + node + `";host="a\",\\"` })
}
