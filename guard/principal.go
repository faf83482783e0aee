package guard

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tidwall/gjson"
)

// Principal is who asks, as an authenticating guard or middleware has verified
// it. It is shared between guards and handlers and must not be changed.
type Principal struct {
	Issuer   string // who vouches for it, such as an OpenID provider's URL
	Subject  string // unique within Issuer
	Tenant   string
	ClientID string // the program that acts for the subject

	Scopes []string
	Roles  []string

	AuthTime time.Time // when the subject proved who it is; zero if unknown
	Expires  time.Time // zero if never; server-sent events and NDJSON that an enforced guard judges do not outlive it

	claims []byte
}

// NewPrincipal returns a copy of p that answers [Principal.Claim] from claims,
// a JSON object such as the payload of a verified JWT. The caller must not
// change claims afterwards.
func NewPrincipal(p Principal, claims []byte) *Principal {
	p.Scopes = slices.Clone(p.Scopes)
	p.Roles = slices.Clone(p.Roles)
	p.claims = claims
	return &p
}

// LogValue implements [slog.LogValuer]. It tells who, and none of the claims.
func (p *Principal) LogValue() slog.Value {
	if p == nil {
		return slog.Value{}
	}
	return slog.GroupValue(slog.String("issuer", p.Issuer), slog.String("subject", p.Subject))
}

// Claim returns the top-level claim of exactly that name as text, and whether
// there is one. Strings are unquoted; numbers and booleans are as they were
// written; objects, arrays and null are JSON.
func (p *Principal) Claim(name string) (string, bool) {
	if p == nil || !gjson.ValidBytes(p.claims) {
		return "", false
	}
	var found gjson.Result
	// A path look-up would give names such as "https://example.com/tenant" and
	// "a|@reverse" a meaning of their own, so the members are compared instead.
	gjson.ParseBytes(p.claims).ForEach(func(key, value gjson.Result) bool {
		if key.Type == gjson.String && key.Str == name {
			found = value
			return false
		}
		return true
	})
	if found.Type == gjson.String {
		return found.Str, true
	}
	return found.Raw, found.Exists()
}
