package contexts

import (
	"time"

	"github.com/mitosis-go/mitosis/core"
)

// request is the body of a call: a CBOR array of three items, or of five for
// a call that belongs to a chain. The argument is the last item, encoded.
//
//	[function, timeout in microseconds (0: none), chain, sequence number, argument]
//
// It is put together by hand because it is on the path of every call: what
// can be left out of a small one is left out.
type request struct {
	fn      uint64
	timeout time.Duration
	chain   uint64 // 0: none
	seq     uint64
	arg     []byte
}

func (q *request) encode() []byte {
	b := make([]byte, 0, 24+len(q.arg))
	micros := uint64(0)
	if q.timeout > 0 {
		micros = max(1, uint64(q.timeout/time.Microsecond))
	}
	if q.chain == 0 {
		b = core.AppendUint(append(b, 0x83), q.fn)
		b = core.AppendUint(b, micros)
	} else {
		b = core.AppendUint(append(b, 0x85), q.fn)
		b = core.AppendUint(b, micros)
		b = core.AppendUint(b, q.chain)
		b = core.AppendUint(b, q.seq)
	}
	return append(b, q.arg...)
}

// decodeRequest reads what encode wrote. The argument aliases b.
func decodeRequest(b []byte) (request, error) {
	if len(b) == 0 || b[0] != 0x83 && b[0] != 0x85 {
		return request{}, core.ErrProtocol
	}
	chained := b[0] == 0x85
	var micros uint64
	var q request
	fields := []*uint64{&q.fn, &micros, &q.chain, &q.seq}
	if !chained {
		fields = fields[:2]
	}
	b = b[1:]
	for _, f := range fields {
		v, n, err := core.ParseUint(b)
		if err != nil {
			return request{}, core.ErrProtocol
		}
		*f, b = v, b[n:]
	}
	if chained && q.chain == 0 || len(b) == 0 {
		return request{}, core.ErrProtocol
	}
	// What is longer than a month is no bound at all, and would overflow.
	if limit := uint64(30 * 24 * time.Hour / time.Microsecond); micros > limit {
		micros = 0
	}
	q.timeout = time.Duration(micros) * time.Microsecond
	q.arg = b
	return q, nil
}
