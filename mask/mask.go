// Package mask redacts fields of what a service answers.
//
//	p, err := guard.New(mask.Fields("card.number", "users.*.ssn"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.ListenAndServe("localhost:8080", p.Handler(mux))
//
// JSON, NDJSON and server-sent events are masked; every byte that is not part
// of a masked value stays as the handler wrote it. What cannot be read for
// certain is refused, not sent: JSON that is not valid, and media types that
// may hold fields in another form. Place the guard on the routes that answer
// JSON if others answer, say, CSV:
//
//	guard.Use{Routes: []string{"/api/*"}, Part: mask.Fields("card.number")}
//
// Plain text and HTML pass unless they begin as JSON does, since that is what
// error pages and redirects are made of: net/http itself calls JSON without a
// Content-Type text/plain. Images, archives and octet streams reach no guard unless
// they begin with an object or array. A field is found in JSON alone, not in prose and not
// inside a string that holds JSON in turn. Protobuf is not read: answers of gRPC
// methods on its routes are refused.
package mask

import (
	"errors"
	"fmt"
	"slices"

	"github.com/palegate/palegate/guard"
)

// Reasons for decisions of this package.
const (
	// ReasonField says, with a Transform, that something was masked.
	ReasonField guard.Reason = "mask.field"
	// ReasonInvalidJSON refuses a response that should be JSON, or begins as
	// if it were, and is not, so that its fields cannot be told.
	ReasonInvalidJSON guard.Reason = "mask.invalid_json"
	// ReasonMediaType refuses a response of a media type that this package
	// does not read.
	ReasonMediaType guard.Reason = "mask.media_type"
)

// Config says what to mask. It is a [guard.Part], usually made by [Fields].
type Config struct {
	// Fields are the fields to redact in responses, written as [Fields] has
	// it: at least one, at most 256.
	Fields []string
}

// Fields redacts the fields at these paths in responses. A path is the names
// that lead to a field, joined by dots: "card.number". The name "*" stands for
// every member of an object or every element of an array, one level:
// "users.*.ssn". In doubt more is masked rather than less:
//
//   - On an array a name applies to every element, so that "card.number" masks
//     {"card":[{"number":1},{"number":2}]}, and also a list of cards at the
//     top. So does a "*" that begins a path.
//   - Names are compared unescaped and without regard to case, as
//     [strings.EqualFold] does: encoding/json's clients read "Number",
//     "n\u0075mber" and "number" into the same field.
//   - Every duplicate of a member is masked, since clients differ in which of
//     them they read.
//
// The value, whatever its type, becomes the string "[redacted]": a number in
// the place of a number could be taken for a true one and be reckoned with,
// where a string makes a client of the wrong type fail. Only null stays; it
// says that there is nothing to hide.
//
// Names hold letters, digits, spaces, and any of "_-@$:". A member with
// another name is reached by "*" alone.
func Fields(paths ...string) Config {
	return Config{Fields: slices.Clone(paths)}
}

// maxFields bounds a Config; a longer list is more likely a mistake than a
// policy.
const maxFields = 256

// Guard implements [guard.Part]. It joins every error in c.
func (c Config) Guard(guard.Guard) (guard.Guard, error) {
	var errs []error
	switch n := len(c.Fields); {
	case n == 0:
		errs = append(errs, errors.New("mask: Config.Fields: empty, so nothing would be masked; name at least one field"))
	case n > maxFields:
		errs = append(errs, fmt.Errorf("mask: Config.Fields: %d paths are more than %d", n, maxFields))
	}
	var paths [][]string
	for i, path := range c.Fields {
		names, err := parsePath(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("mask: Config.Fields[%d]: %q: %w", i, path, err))
		}
		paths = append(paths, names)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	top, err := compile(paths)
	if err != nil {
		return nil, fmt.Errorf("mask: Config.Fields: %w", err)
	}
	return &masker{top: top}, nil
}

// Pinned keeps the guard enforced when all guards are switched at once, since
// an outage must not become a leak.
func (c Config) Pinned() bool { return true }
