package guard

import "net/netip"

// Client is where an exchange comes from, as far as [Trust] allows to say.
type Client struct {
	// Addr is the client's address without zone, IPv4 as such. The zero Addr
	// means unknown: guards must treat all unknown clients as one, not skip
	// them.
	Addr netip.Addr
	// Cert names a verified client certificate: its first URI, such as a
	// SPIFFE id, or else its subject. Empty if there is none.
	Cert string
}

// String returns the address, or "unknown".
func (c Client) String() string {
	if !c.Addr.IsValid() {
		return "unknown"
	}
	return c.Addr.String()
}
