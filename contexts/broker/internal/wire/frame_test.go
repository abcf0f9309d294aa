package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestFramesComeAsTheyWent(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	large := bytes.Repeat([]byte("x"), MaxBody)
	if err := w.Write(Frame{ClientFrame{Op: "a"}, nil}, Frame{ClientFrame{Op: "b"}, large}, Frame{ClientFrame{Op: "c"}, []byte("d")}); err != nil {
		t.Fatal(err)
	}
	r := NewReader(iotest.OneByteReader(&b))
	for _, want := range []struct {
		op   string
		body []byte
	}{{"a", nil}, {"b", large}, {"c", []byte("d")}} {
		var f ClientFrame
		body, err := r.Next(&f, MaxHeader, MaxBody)
		if err != nil || f.Op != want.op || !bytes.Equal(body, want.body) {
			t.Errorf("%q with %d bytes, %v; want %q with %d", f.Op, len(body), err, want.op, len(want.body))
		}
	}
	if _, err := r.Next(new(ClientFrame), MaxHeader, MaxBody); err != io.EOF {
		t.Errorf("behind the last frame: %v, want io.EOF", err)
	}
}

func TestTooLargeIsNotWritten(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, f := range []Frame{{ClientFrame{}, make([]byte, MaxBody+1)}, {ClientFrame{Op: strings.Repeat("x", MaxHeader)}, nil}} {
		if err := w.Write(Frame{ClientFrame{}, nil}, f); !errors.Is(err, ErrTooLarge) || b.Len() != 0 {
			t.Errorf("%v and %d bytes, want that it is too large and nothing", err, b.Len())
		}
	}
	if err := w.Write(Frame{ClientFrame{}, nil}); err != nil || b.Len() != 10 {
		t.Errorf("afterwards: %v and %d bytes, want a frame of 10", err, b.Len())
	}
}

// A connection may end between two frames, and nowhere else.
func TestEndWithinAFrame(t *testing.T) {
	var b bytes.Buffer
	_ = NewWriter(&b).Write(Frame{ClientFrame{Op: "x"}, []byte("body")})
	for n := range b.Len() {
		_, err := NewReader(bytes.NewReader(b.Bytes()[:n])).Next(new(ClientFrame), MaxHeader, MaxBody)
		if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, ErrProtocol) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	for header, ok := range map[string]bool{
		`{}`: true, " \t\r\n{}": true, `{"op":"x"}`: true, `{"op":"\ud83d\ude00"}`: true, `{"op":"\\ud800"}`: true, `{"op":"\\\\ud800"}`: true,
		`{"op":"ä\u00e4\n\"\\"}`: true, "{\"op\":\"\ufffd\"}": true,
		``: false, `null`: false, `[]`: false, `7`: false, `"op"`: false, `{`: false, `{}{}`: false, `{"op":"\`: false, `{"op":"\u`: false, `{"op":"\ud800`: false,
		`{"op":"\ud800"}`: false, `{"op":"\udc00"}`: false, `{"op":"\udc00\ud800"}`: false, `{"op":"\ud800\ud800\udc00"}`: false, `{"op":"\\\udfff"}`: false,
		`{"op":"\uDBFF\u0041"}`: false, "{\"op\":\"\xff\"}": false, "{\"op\":\"\xed\xa0\x80\"}": false, `{"op":7}`: false,
	} {
		var b []byte
		b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
		b = append(binary.BigEndian.AppendUint32(b, 0), header...)
		_, err := NewReader(bytes.NewReader(b)).Next(new(ClientFrame), MaxHeader, MaxBody)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %v, want that it is a header: %v", header, err, ok)
		}
	}
}

// FuzzReader reads anything: an error, or frames that say what the bytes say.
func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	_ = NewWriter(&b).Write(Frame{Greeting{Mitosis: "client", Version: 1}, nil}, Frame{ClientFrame{Op: "exec", Argv: []string{"a"}}, []byte("body")})
	f.Add(b.Bytes())
	f.Add([]byte("\x00\x10\x00\x00\x00\x10\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b))
		for left := len(b); ; {
			var raw json.RawMessage
			body, err := r.Next(&raw, MaxHeader, MaxBody)
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrProtocol) {
					t.Fatalf("%v is of no kind that is known", err)
				}
				break
			}
			if left -= 8 + len(raw) + len(body); left < 0 {
				t.Fatal("the frames have more bytes than there were")
			}
			if !json.Valid(raw) || raw[bytes.IndexByte(raw, '{')] != '{' {
				t.Fatalf("%q is taken for a header", raw)
			}
		}
	})
}
