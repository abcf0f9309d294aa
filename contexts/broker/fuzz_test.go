//go:build linux

package broker_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/broker/internal/wire"
)

// fuzzed is a broker to which anything is sent. The one path that is allowed asks for an answer that is
// not guessed: so nothing that is made up is carried out.
type fuzzed struct{ *served }

func (s *fuzzed) start(t testing.TB) {
	s.served = serve(t, &broker.Config{Allow: []string{"ask:fuzz"}})
}

// try sends bytes on a connection. That ends, the broker lives, and it takes no more memory than frames
// may.
func (s *fuzzed) try(t *testing.T, b []byte) {
	select {
	case <-s.done: // it was told to stop, or is one of the last call
		s.start(t)
	default:
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		return // it comes to its end
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() {
		_, _ = c.Write(b)
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the session has not ended")
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20+64*uint64(len(b))+64*uint64(n) {
		t.Fatalf("%d bytes cost %d bytes of memory", len(b), took)
	}
	select {
	case <-s.done:
		if s.err != nil {
			t.Fatalf("the broker has ended: %v", s.err)
		}
	default:
	}
}

var fuzzRequests = []header{
	{"op": "status"}, {"op": "join"}, {"op": "stop", "when": "idle"}, {"op": "close", "lease": 1}, {"op": "events"}, {"op": "reset", "path": "ask:fuzz"},
	{"op": "exec", "path": "ask:fuzz", "argv": []string{"true"}, "stdin": true, "prompts": true, "window": 7, "pty": header{"rows": 1, "cols": 2}, "timeout": 0.01},
	{"op": "put", "path": "ask:fuzz", "target": "/x", "mode": "0644", "times": 1.5, "in_place": true},
	{"op": "call", "path": "ask:fuzz", "function": "f", "encoding": "json"},
	{"op": "forward", "path": "ask:fuzz", "listen": header{"network": "tcp"}, "to": header{"network": "unix", "address": "/x"}},
	{"op": "dial", "path": "ask:fuzz", "network": "tcp", "address": "x:1"},
}

var fuzzFrames = []header{
	{"stream": "stdin", "end": true}, {"stream": "data"}, {"credit": 1 << 60, "stream": "stderr"}, {"signal": "INT", "group": true},
	{"resize": header{"rows": 1}}, {"answer": 1}, {"answer": 2, "refused": true}, {"cancel": true},
}

// FuzzSession sends bytes of any kind.
func FuzzSession(f *testing.F) {
	for i, h := range fuzzRequests {
		var b bytes.Buffer
		_ = wire.NewWriter(&b).Write(wireGreeting, frameOf(h, "{}"), frameOf(fuzzFrames[i%len(fuzzFrames)], "x"))
		f.Add(b.Bytes())
	}
	s := new(fuzzed)
	s.start(f)
	f.Fuzz(func(t *testing.T, b []byte) { s.try(t, b) })
}

// FuzzFrames sends frames of the right form, with headers and bodies of any kind.
func FuzzFrames(f *testing.F) {
	for i, h := range fuzzRequests {
		request, _ := json.Marshal(h)
		frame, _ := json.Marshal(fuzzFrames[i%len(fuzzFrames)])
		f.Add(request, []byte("{}"), frame, []byte("x"))
	}
	s := new(fuzzed)
	s.start(f)
	f.Fuzz(func(t *testing.T, request, requestBody, frame, body []byte) {
		var b bytes.Buffer
		_ = wire.NewWriter(&b).Write(wireGreeting)
		for _, one := range [][2][]byte{{request, requestBody}, {frame, body}} {
			var sizes []byte
			sizes = binary.BigEndian.AppendUint32(sizes, uint32(len(one[0])))
			sizes = binary.BigEndian.AppendUint32(sizes, uint32(len(one[1])))
			b.Write(slices.Concat(sizes, one[0], one[1]))
		}
		s.try(t, b.Bytes())
	})
}
