// Package bufpool lends byte buffers that grow with the bytes put into them.
package bufpool

import (
	"sync"
	"sync/atomic"
)

const (
	minSize = 4 << 10
	// maxSize is the largest buffer kept for reuse: a 100 KiB body costs a
	// ninth to a sixteenth when such buffers are pooled instead of left to the
	// garbage collector.
	maxSize = 1 << 20
)

var pool = sync.Pool{New: func() any { return &Buffer{B: make([]byte, 0, minSize)} }}

// Poison makes Put overwrite what it gets back with 0xDB, so that tests see
// whoever still reads it.
var Poison atomic.Bool

// A Buffer is a byte slice on loan.
type Buffer struct {
	B []byte

	loans atomic.Int32
}

// Get lends an empty buffer.
func Get() *Buffer {
	b := pool.Get().(*Buffer)
	b.loans.Store(1)
	return b
}

// Share lends b, which somebody has on loan, once more. A nil b is allowed.
func (b *Buffer) Share() *Buffer {
	if b != nil {
		b.loans.Add(1)
	}
	return b
}

// Put ends one loan of b. After the last one its bytes must not be used any
// more. A nil b is allowed.
func Put(b *Buffer) {
	if b == nil || b.loans.Add(-1) > 0 {
		return
	}
	if Poison.Load() {
		all := b.B[:cap(b.B)]
		for i := range all {
			all[i] = 0xDB
		}
	}
	if cap(b.B) > maxSize {
		return
	}
	b.B = b.B[:0]
	pool.Put(b)
}
