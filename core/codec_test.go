package core

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

var headers = []Header{
	{},
	{Dst: 1, Src: 2, Auth: 3, Handle: 4, Reply: 5, Flags: More},
	{Dst: 23, Src: 24, Auth: 255, Handle: 256, Reply: 65535, Flags: AllFlags},
	{Dst: 65536, Src: 1<<32 - 1, Auth: 1 << 32, Handle: 1<<64 - 1, Reply: 1 << 63, Flags: Dead},
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range headers {
		for _, n := range []int{0, 1, 23, 24, 255, 256, MaxBody} {
			b := AppendHeader(nil, &h, n)
			if len(b) > MaxHeader {
				t.Errorf("%d bytes", len(b))
			}
			got, size, used, err := ParseHeader(append(b, "body"...))
			if err != nil || got != h || size != n || used != len(b) {
				t.Errorf("header %+v of a body of %d bytes was read as %+v, %d, %d bytes long, %v; want the same, %d bytes long", h, n, got, size, used, err, len(b))
			}
			for i := range b {
				if _, _, _, err := ParseHeader(b[:i]); err != ErrShort {
					t.Errorf("%d of %d bytes: %v", i, len(b), err)
				}
			}
		}
	}
}

func TestHeaderIsRefused(t *testing.T) {
	for name, b := range map[string]string{
		"text":                  "Last login: ",
		"array of six":          "\x86\x00\x00\x00\x00\x00\x00",
		"indefinite array":      "\x9f\x00\x00\x00\x00\x00\x00\x40\xff",
		"negative":              "\x87\x20\x00\x00\x00\x00\x00\x40",
		"long form of 0":        "\x87\x18\x00\x00\x00\x00\x00\x00\x40",
		"long form of 255":      "\x87\x19\x00\xff\x00\x00\x00\x00\x00\x40",
		"long form of 65535":    "\x87\x1a\x00\x00\xff\xff\x00\x00\x00\x00\x00\x40",
		"long form of 2^32-1":   "\x87\x1b\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00\x00\x40",
		"reserved":              "\x87\x1c\x00\x00\x00\x00\x00\x00\x40",
		"indefinite bytes":      "\x87\x00\x00\x00\x00\x00\x00\x5f\x41\x00\xff",
		"text body":             "\x87\x00\x00\x00\x00\x00\x00\x60",
		"body of 64 KiB and 1":  "\x87\x00\x00\x00\x00\x00\x00\x5a\x00\x01\x00\x01",
		"body of 2^64-1":        "\x87\x00\x00\x00\x00\x00\x00\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
		"unknown flag":          "\x87\x00\x00\x00\x00\x00\x18\x40\x40",
		"body length long form": "\x87\x00\x00\x00\x00\x00\x00\x58\x01x",
	} {
		if _, _, _, err := ParseHeader([]byte(b)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: the error is %v, want ErrProtocol", name, err)
		}
	}
}

func TestHeaderCodecDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, MaxHeader)
	bad := []byte("garbage")
	if n := testing.AllocsPerRun(100, func() {
		for i := range headers {
			b := AppendHeader(buf, &headers[i], 5)
			_, _, _, _ = ParseHeader(b)
			_, _, _, _ = ParseHeader(b[:3])
			_, _, _, _ = ParseHeader(bad)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// generalFrame is a frame as any CBOR decoder sees it.
type generalFrame struct {
	_                                    struct{} `cbor:",toarray"`
	Dst, Src, Auth, Handle, Reply, Flags uint64
	Body                                 []byte
}

func (g *generalFrame) header() Header {
	return Header{ID(g.Dst), ID(g.Src), ID(g.Auth), Handle(g.Handle), Handle(g.Reply), Flags(g.Flags)}
}

// FuzzHeader holds the header decoder against a general CBOR decoder: both
// accept the same bytes and see the same in them.
func FuzzHeader(f *testing.F) {
	for i, h := range headers {
		f.Add(append(AppendHeader(nil, &h, i), make([]byte, i)...))
	}
	f.Add([]byte("\x87\x18\x00\x00\x00\x00\x00\x00\x40"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var g generalFrame
		h, size, n, err := ParseHeader(b)
		switch {
		case err == ErrShort:
		case err != nil:
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("the error is %v, want ErrShort or ErrProtocol", err)
			}
			if Unmarshal(b, &g) != nil || g.Flags&^uint64(AllFlags) != 0 || len(g.Body) > MaxBody {
				return
			}
			gh := g.header()
			if bytes.Equal(b, append(AppendHeader(nil, &gh, len(g.Body)), g.Body...)) {
				t.Fatalf("%x is refused: %v", b, err)
			}
		default:
			if again := AppendHeader(nil, &h, size); !bytes.Equal(again, b[:n]) {
				t.Fatalf("%x is read as %x", b[:n], again)
			}
			whole := append(append([]byte(nil), b[:n]...), make([]byte, size)...)
			if err := Unmarshal(whole, &g); err != nil {
				t.Fatalf("%x was read as a header, and CBOR refuses it: %v", b[:n], err)
			}
			if h != g.header() || len(g.Body) != size {
				t.Fatalf("%x: %+v, want %+v", b[:n], h, g.header())
			}
		}
	})
}

// stream is some frames of all sizes, and their bytes.
func stream(sizes ...int) []byte {
	var b []byte
	for i, n := range sizes {
		h := Header{Dst: ID(i), Handle: HandleCall, Reply: Handle(n)}
		b = append(AppendHeader(b, &h, n), bytes.Repeat([]byte{byte(i)}, n)...)
	}
	return b
}

func TestReader(t *testing.T) {
	sizes := []int{0, 1, 10, 200, 5000, MaxBody, 3, MaxBody - 1, 70, MaxBody, 0}
	b := stream(sizes...)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(b), "bytes": iotest.OneByteReader(bytes.NewReader(b)),
		"halves": iotest.HalfReader(bytes.NewReader(b)), "data with error": iotest.DataErrReader(bytes.NewReader(b)),
	} {
		d := NewReader(r)
		for i, n := range sizes {
			f, err := d.Next()
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
			want := append(AppendHeader(nil, &Header{Dst: ID(i), Handle: HandleCall, Reply: Handle(n)}, n), bytes.Repeat([]byte{byte(i)}, n)...)
			if !bytes.Equal(f.Encoded(), want) || f.Dst != ID(i) || len(f.Body) != n {
				t.Errorf("%s: frame %d is wrong", name, i)
			}
			f.Src = 1 << 40
			f.Reencode()
			if h, _, _, err := ParseHeader(f.Encoded()); err != nil || h.Src != 1<<40 {
				t.Errorf("%s: frame %d cannot be changed: %v", name, i, err)
			}
			f.Release()
		}
		if _, err := d.Next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

func TestReaderTellsACutFrame(t *testing.T) {
	b := stream(100, 40_000)
	boundary := len(stream(100))
	for i := 1; i < len(b); i += 97 {
		d := NewReader(bytes.NewReader(b[:i]))
		var err error
		for err == nil {
			_, err = d.Next()
		}
		want := io.ErrUnexpectedEOF
		if i == boundary {
			want = io.EOF
		}
		if err != want {
			t.Errorf("after %d bytes: %v, want %v", i, err, want)
		}
	}
}

func TestReaderLeavesWhatItReadAhead(t *testing.T) {
	b := append(stream(5), "the rest"...)
	d := NewReader(bytes.NewReader(b))
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	if got := string(d.Buffered()); got != "the rest" {
		t.Errorf("%q is left behind the frames, want %q", got, "the rest")
	}
}

func TestReaderOfNothing(t *testing.T) {
	if _, err := NewReader(iotest.ErrReader(nil)).Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that returns nothing: %v, want io.ErrNoProgress", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(stream(0, 1, 300), uint8(7))
	f.Add([]byte("garbage"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var again []byte
		d := NewReader(&steps{b, int(step)%200 + 1})
		for {
			fr, err := d.Next()
			if err != nil {
				break
			}
			again = append(again, fr.Encoded()...)
			fr.Release()
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x is read as %x", b, again)
		}
	})
}

// steps reads so many bytes at a time.
type steps struct {
	b []byte
	n int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.n)], s.b)
	s.b = s.b[n:]
	return n, nil
}

// Quotas count the memory of frames and credit counts bodies: the two must not be
// far apart.
func TestFramesAreNotMuchLargerThanTheirBodies(t *testing.T) {
	for n := 4 << 10; n <= MaxBody; n += 511 {
		f := NewFrame(n)
		if f.Size() > 2*n+frameOverhead+MaxHeader {
			t.Errorf("a frame for %d bytes takes %d", n, f.Size())
		}
		f.Release()
	}
}

func TestTakeBody(t *testing.T) {
	for _, n := range []int{0, 1, 100, 200, 3000, 5000, 60_000, MaxBody} {
		f := NewFrame(n)
		for i := range f.Body {
			f.Body[i] = byte(n)
		}
		b := f.TakeBody()
		for range 100 {
			g := NewFrame(n)
			clear(g.Body)
			g.Release()
		}
		if len(b) != n || len(bytes.Trim(b, string([]byte{byte(n)}))) != 0 {
			t.Errorf("%d bytes are not the caller's own", n)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	h := AppendHeader(nil, &Header{Dst: 3, Src: 1500, Auth: 1500, Handle: HandleCall, Reply: 100_000}, 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := ParseHeader(h); err != nil {
			b.Fatal(err)
		}
	}
}
