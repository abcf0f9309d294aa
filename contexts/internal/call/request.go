package call

import (
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// A Request is the body of a call: a CBOR array of three items, or of five for
// a call that belongs to a chain. The argument is the last item, encoded.
//
//	[function, timeout in microseconds (0: none), chain, sequence number, argument]
//
// It is encoded by hand because every call has one.
type Request struct {
	Fn      uint64 // the number of the function
	Timeout time.Duration
	Chain   uint64 // 0: none
	Seq     uint64
	Arg     []byte
}

// Encode returns the request as it travels.
func (q *Request) Encode() []byte {
	b := make([]byte, 0, 24+len(q.Arg))
	micros := uint64(0)
	if q.Timeout > 0 {
		micros = max(1, uint64(q.Timeout/time.Microsecond))
	}
	if q.Chain == 0 {
		b = core.AppendUint(append(b, 0x83), q.Fn)
		b = core.AppendUint(b, micros)
	} else {
		b = core.AppendUint(append(b, 0x85), q.Fn)
		b = core.AppendUint(b, micros)
		b = core.AppendUint(b, q.Chain)
		b = core.AppendUint(b, q.Seq)
	}
	return append(b, q.Arg...)
}

// DecodeRequest reads a request that Encode wrote. The argument aliases b.
func DecodeRequest(b []byte) (Request, error) {
	if len(b) == 0 || b[0] != 0x83 && b[0] != 0x85 {
		return Request{}, core.ErrProtocol
	}
	chained := b[0] == 0x85
	var micros uint64
	var q Request
	fields := []*uint64{&q.Fn, &micros, &q.Chain, &q.Seq}
	if !chained {
		fields = fields[:2]
	}
	b = b[1:]
	for _, f := range fields {
		v, n, err := core.ParseUint(b)
		if err != nil {
			return Request{}, core.ErrProtocol
		}
		*f, b = v, b[n:]
	}
	if chained && q.Chain == 0 || len(b) == 0 {
		return Request{}, core.ErrProtocol
	}
	// What is longer than a month is no bound at all, and would overflow.
	if limit := uint64(30 * 24 * time.Hour / time.Microsecond); micros > limit {
		micros = 0
	}
	q.Timeout = time.Duration(micros) * time.Microsecond
	q.Arg = b
	return q, nil
}
