package guard

// Cause says why a message is refused in the terms of the transports. One
// table gives each its HTTP status, its gRPC code and its problem type.
type Cause uint8

// The causes, with what they mean and what HTTP and gRPC answer.
const (
	CauseNone            Cause = iota
	CauseMalformed             // the message cannot be read: 400, InvalidArgument
	CauseUnauthenticated       // who asks is not known: 401, Unauthenticated
	CauseForbidden             // who asks may not: 403, PermissionDenied
	CauseNotFound              // it is not said whether it exists: 404, NotFound
	CauseTooLarge              // over a size limit: 413, ResourceExhausted
	CauseMediaType             // a type or encoding that nobody reads: 415, InvalidArgument
	CauseInvalid               // readable, but not as agreed: 422, InvalidArgument
	CauseExhausted             // over a rate or quota: 429, ResourceExhausted
	CauseGone                  // the client went away: 499, Canceled
	CauseInternal              // a guard broke, or the response may not leave: 500, Internal
	CauseOverloaded            // the service sheds load: 503, Unavailable
	CauseUnavailable           // a guard's own dependency failed: 503, Unavailable
)

// causes follows RFC 9110 for HTTP and google.rpc.Code for gRPC, whose mapping
// table also names 499 for a cancelled call.
var causes = [...]struct {
	name   string
	status int
	code   uint32
	title  string
}{
	CauseMalformed:       {"Malformed", 400, 3, "Malformed request"},
	CauseUnauthenticated: {"Unauthenticated", 401, 16, "Authentication required"},
	CauseForbidden:       {"Forbidden", 403, 7, "Not allowed"},
	CauseNotFound:        {"NotFound", 404, 5, "Not found"},
	CauseTooLarge:        {"TooLarge", 413, 8, "Too large"},
	CauseMediaType:       {"MediaType", 415, 3, "Unsupported media type"},
	CauseInvalid:         {"Invalid", 422, 3, "Invalid request"},
	CauseExhausted:       {"Exhausted", 429, 8, "Too many requests"},
	CauseGone:            {"Gone", 499, 1, "Client closed request"},
	CauseInternal:        {"Internal", 500, 13, "Internal error"},
	CauseOverloaded:      {"Overloaded", 503, 14, "Overloaded"},
	CauseUnavailable:     {"Unavailable", 503, 14, "Temporarily unavailable"},
}

// known is c, or CauseInternal for what is no cause: a refusal without one
// must not become an answer of 200.
func (c Cause) known() Cause {
	if c == CauseNone || int(c) >= len(causes) {
		return CauseInternal
	}
	return c
}

// String returns the cause's name as in its constant, without the prefix.
func (c Cause) String() string {
	if c == CauseNone {
		return "None"
	}
	return causes[c.known()].name
}

// MarshalText implements [encoding.TextMarshaler].
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// HTTP returns the status code of a refusal for c. It is never 2xx.
func (c Cause) HTTP() int { return causes[c.known()].status }

// GRPC returns the gRPC status code of a refusal for c. It is never OK.
func (c Cause) GRPC() uint32 { return causes[c.known()].code }

// Type returns the problem type of c, a URI for RFC 9457's member "type".
func (c Cause) Type() string { return problemTypes + causes[c.known()].name }

// Title returns the problem type's title, which is the same for each refusal.
func (c Cause) Title() string { return causes[c.known()].title }

// problemTypes makes a problem type that can be looked up: it leads to the
// constant's documentation.
const problemTypes = "https://pkg.go.dev/github.com/palegate/palegate/guard#Cause"
