// Package payload is what guards read of a body: the one reading of it that
// every guard of a pipeline shares.
package payload

// A Body is one body, or one message or unit of a stream. Guards must not
// change its bytes or keep them: the memory is used again after the exchange.
type Body struct {
	bytes []byte
	load  func() ([]byte, error)
}

// New returns a Body of b.
func New(b []byte) Body { return Body{bytes: b} }

// Lazy returns a Body whose bytes are made when a guard first asks for them,
// for transports that hold messages in another form.
func Lazy(load func() ([]byte, error)) Body { return Body{load: load} }

// Load makes the bytes of a lazy Body and returns why that failed. The
// pipeline calls it before a guard gets the Body.
func (b *Body) Load() error {
	if b.load == nil {
		return nil
	}
	bytes, err := b.load()
	if err != nil {
		return err
	}
	*b = New(bytes)
	return nil
}

// Bytes returns the body as it stands: as it came, with the edits that guards
// before this one made.
func (b *Body) Bytes() []byte { return b.bytes }
