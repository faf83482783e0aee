package guard

import "strings"

// Phase is a point in an exchange at which guards run, and a set of such
// points.
type Phase uint8

// The phases, in the order in which an exchange goes through them.
const (
	RequestHead  Phase = 1 << iota // before a byte of the body was read
	RequestBody                    // the body is there, or one message of a stream
	ResponseHead                   // status and header are known, nothing is sent
	ResponseBody                   // the body is there, or one unit of a stream
	Done                           // all is sent: count, learn, log
)

const allPhases = RequestHead | RequestBody | ResponseHead | ResponseBody | Done

var phaseNames = [...]string{"request-head", "request-body", "response-head", "response-body", "done"}

// String returns the names of the phases in p, joined by "+".
func (p Phase) String() string {
	var names []string
	for i, name := range phaseNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// MarshalText implements [encoding.TextMarshaler].
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
