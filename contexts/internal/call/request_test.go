package call

import (
	"reflect"
	"testing"
	"time"
)

// A request arrives as it was sent, and no cut of it is taken for another one.
func TestRequestsTravel(t *testing.T) {
	for _, q := range []Request{
		{Fn: 0, Arg: []byte{0xa0}},
		{Fn: 300, Timeout: 3 * time.Second, Arg: []byte("argument")},
		{Fn: 1 << 40, Timeout: time.Microsecond, Chain: 9, Seq: 1 << 33, Arg: []byte{1}},
	} {
		b := q.Encode()
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v arrived as %+v, %v", q, got, err)
		}
		for cut := range len(b) - len(q.Arg) + 1 {
			if got, err := DecodeRequest(b[:cut]); err == nil {
				t.Errorf("%d of the %d bytes of %+v were taken for %+v, want an error", cut, len(b), q, got)
			}
		}
	}
	// A time that is longer than a month is none, and one that is shorter than a microsecond is one.
	for sent, want := range map[time.Duration]time.Duration{365 * 24 * time.Hour: 0, 1: time.Microsecond} {
		q := Request{Timeout: sent, Arg: []byte{0}}
		if got, err := DecodeRequest(q.Encode()); err != nil || got.Timeout != want {
			t.Errorf("a timeout of %v arrived as %v, %v; want %v", sent, got.Timeout, err, want)
		}
	}
}
