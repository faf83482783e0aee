package guardtest

import (
	"fmt"
	"net/netip"

	"github.com/palegate/palegate/guard"
)

// An Option says more about the requests of [Send] or [Table].
type Option interface {
	TableOption
	apply(o *options)
}

// options is what the Options of one request come to.
type options struct {
	principal *guard.Principal
	addr      string
	err       error
}

type option func(o *options)

func (f option) apply(o *options)    { f(o) }
func (f option) applyTable(t *table) { t.options = append(t.options, f) }

// As sends as p, as if middleware before the pipeline had verified it. Use
// *[guard.NewPrincipal] for one with claims.
func As(p guard.Principal) Option {
	return option(func(o *options) { o.principal = &p })
}

// defaultAddr is that of httptest.NewRequest.
const defaultAddr = "192.0.2.1:1234"

// From sends from an address, "203.0.113.7" or with a port. Without it a
// request comes from its RemoteAddr, or else from 192.0.2.1.
func From(addr string) Option {
	return option(func(o *options) {
		if ip, err := netip.ParseAddr(addr); err == nil {
			o.addr = netip.AddrPortFrom(ip, 1234).String()
			return
		}
		if _, err := netip.ParseAddrPort(addr); err != nil {
			o.err = fmt.Errorf("From(%q): neither an address nor one with a port", addr)
			return
		}
		o.addr = addr
	})
}
