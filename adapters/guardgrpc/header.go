package guardgrpc

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
)

// contentType is the one header field that gRPC alone sets.
const contentType = "Content-Type"

// toHeader returns md as net/http has it, without pseudo-header fields. Values
// of "-bin" keys are the decoded bytes.
func toHeader(md metadata.MD) http.Header {
	h := make(http.Header, len(md))
	for key, values := range md {
		if strings.HasPrefix(key, ":") {
			continue
		}
		name := http.CanonicalHeaderKey(key)
		if h[name] != nil { // "a" and "A", which only a program can write
			values = slices.Concat(h[name], values)
		}
		h[name] = values
	}
	return h
}

func toMetadata(h http.Header) metadata.MD {
	md := make(metadata.MD, len(h)+1)
	for name, values := range h {
		md[strings.ToLower(name)] = values
	}
	return md
}

// incoming returns ctx with metadata as guards have left the request's header.
func (c *call) incoming(ctx context.Context) context.Context {
	now := c.s.Exchange().Request().Header()
	if maps.EqualFunc(now, c.header, slices.Equal) {
		return ctx
	}
	c.header = maps.Clone(now)
	md := toMetadata(now)
	if host := metadata.ValueFromIncomingContext(ctx, ":authority"); len(host) > 0 {
		md[":authority"] = host
	}
	return metadata.NewIncomingContext(ctx, md)
}

// addrPort returns the zero AddrPort for what has none, such as a Unix socket.
func addrPort(addr net.Addr) netip.AddrPort {
	switch a := addr.(type) {
	case nil:
		return netip.AddrPort{}
	case *net.TCPAddr:
		return a.AddrPort()
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return ap
}
