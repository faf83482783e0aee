package guard

import (
	"net/netip"
	"strings"
)

// parseNode reads an address as proxies and net/http write it (RFC 7239 §6):
//
//	192.0.2.1   192.0.2.1:4711   2001:db8::1   [2001:db8::1]   [fe80::1%eth0]:4711
func parseNode(s string) (netip.Addr, bool) {
	if len(s) > maxNode {
		return netip.Addr{}, false
	}
	if addr, port, ok := cutIPv4(s); ok && (port == "" || isPort(port)) {
		return addr, true
	}
	if strings.Count(s, ":") < 2 {
		return netip.Addr{}, false
	}
	if bracketed, ok := strings.CutPrefix(s, "["); ok {
		host, port, closed := strings.Cut(bracketed, "]")
		if !closed || port != "" && !isPort(port) {
			return netip.Addr{}, false
		}
		s = host
	}
	host, zone, zoned := strings.Cut(s, "%")
	if zoned && zone == "" || !isAddrText(host) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4() {
		return netip.Addr{}, false
	}
	return plainAddr(addr), true
}

// cutIPv4 cuts an address from the front of s, up to the end or a colon. It
// reads most nodes in half the time that netip.ParseAddrPort takes, and the
// fuzz targets compare them.
func cutIPv4(s string) (addr netip.Addr, rest string, ok bool) {
	var b [4]byte
	i := 0
	for field := range b {
		n, start := 0, i
		for ; i < len(s) && i < start+3 && '0' <= s[i] && s[i] <= '9'; i++ {
			n = 10*n + int(s[i]-'0')
		}
		// A leading zero makes a number octal for some.
		if n > 255 || i == start || s[start] == '0' && i > start+1 {
			return netip.Addr{}, "", false
		}
		b[field] = byte(n)
		if field == 3 {
			break
		}
		if i == len(s) || s[i] != '.' {
			return netip.Addr{}, "", false
		}
		i++
	}
	if i < len(s) && s[i] != ':' {
		return netip.Addr{}, "", false
	}
	return netip.AddrFrom4(b), s[i:], true
}

// isPort reports whether s is ":" and a port, or an obfuscated one ("_x", RFC
// 7239 §6.3).
func isPort(s string) bool {
	if len(s) < 2 || s[0] != ':' {
		return false
	}
	if s[1] == '_' {
		return isFieldName(s[2:])
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) <= len(":65535")
}

// isAddrText keeps "unknown" and the like away from netip.ParseAddr, whose
// errors allocate.
func isAddrText(s string) bool {
	for i := range len(s) {
		if c := s[i]; ('0' > c || c > '9') && ('a' > c|0x20 || c|0x20 > 'f') && c != '.' && c != ':' {
			return false
		}
	}
	return s != ""
}

// plainAddr removes what makes one host look like several, or a trusted proxy
// like a stranger: the zone, IPv4 in IPv6, NAT64.
func plainAddr(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if a.Is4() || !nat64.Contains(a) {
		return a
	}
	b := a.As16()
	v4 := netip.AddrFrom4([4]byte(b[12:]))
	if isLocal(v4) {
		// No translator makes these (RFC 6052 §3.1), and they would pass for
		// the private address of a proxy.
		return a
	}
	return v4
}

// isLocal reports whether a cannot be a host of the public Internet.
func isLocal(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a)
}
