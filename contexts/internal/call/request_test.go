package call

import (
	"reflect"
	"testing"
	"time"
)

// A request arrives as it was sent. A request that is cut short is an error.
func TestRequestsTravel(t *testing.T) {
	for _, q := range []Request{
		{Fn: 0, Arg: []byte{0xa0}},
		{Fn: 300, Timeout: 3 * time.Second, Arg: []byte("argument")},
		{Fn: 1 << 40, Timeout: time.Microsecond, Chain: 9, Seq: 1 << 33, Arg: []byte{1}},
	} {
		b := q.Encode()
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("the request arrived as %+v, %v, want %+v", got, err, q)
		}
		for cut := range len(b) - len(q.Arg) + 1 {
			if got, err := DecodeRequest(b[:cut]); err == nil {
				t.Errorf("the first %d of %d bytes of %+v were decoded as %+v, want an error", cut, len(b), q, got)
			}
		}
	}
	// A timeout of more than a month counts as none. One of less than a microsecond counts as a
	// microsecond.
	for sent, want := range map[time.Duration]time.Duration{365 * 24 * time.Hour: 0, 1: time.Microsecond} {
		q := Request{Timeout: sent, Arg: []byte{0}}
		if got, err := DecodeRequest(q.Encode()); err != nil || got.Timeout != want {
			t.Errorf("a timeout of %v arrived as %v, %v; want %v", sent, got.Timeout, err, want)
		}
	}
}
