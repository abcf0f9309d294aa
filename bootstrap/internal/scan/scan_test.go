package scan

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

const testMarker = "0123456789abcdef"

func scanAll(t testing.TB, r io.Reader) (events []Event, s *Scanner, err error) {
	s = New(testMarker)
	for {
		e, err := s.Read(r, make([]byte, 512))
		if err != nil {
			return events, s, err
		}
		events = append(events, e)
		if e.Verb == Go {
			return events, s, nil
		}
	}
}

func TestScannerFindsEvents(t *testing.T) {
	m := testMarker
	for name, test := range map[string]struct {
		in   string
		want []Event
		rest string
		said string
	}{
		"at once":            {m + " go\nframes", []Event{{"go", ""}}, "frames", ""},
		"after a newline":    {"\n" + m + " go\nframes", []Event{{"go", ""}}, "frames", ""},
		"frames of newlines": {"\n" + m + " go\n\n\n", []Event{{"go", ""}}, "\n\n", ""},
		"a terminal's":       {"hello\r\n" + m + " hi 1 x\r\n\r\n" + m + " go\r\n!", []Event{{"hi", "1 x"}, {"go", ""}}, "!", "hello"},
		"unfinished noise":   {"banner\n$ \n" + m + " go\n!", []Event{{"go", ""}}, "!", "banner\n$ "},
		"half a marker":      {"\n" + m[:9] + "\n" + m[:15] + "\n" + m + "x go\n\n" + m + " go\n!", []Event{{"go", ""}}, "!", m[:9] + "\n" + m[:15] + "\n" + m + "x go"},
		"not at a line's start": {
			"echo " + m + " go\n+ " + m + " go\n\n" + m + " go\n!", []Event{{"go", ""}}, "!", "echo " + m + " go\n+ " + m + " go",
		},
		"unknown verb":     {m + " stop\n" + m + " go\n!", []Event{{"go", ""}}, "!", m + " stop"},
		"control bytes":    {m + " fail \x1b[2J\n" + m + " go\n!", []Event{{"go", ""}}, "!", m + " fail �[2J"},
		"a sequence of C1": {m + " fail \u009b2J \x9b\n" + m + " go\n!", []Event{{"fail", "�2J �"}, {"go", ""}}, "!", ""},
		"one by one":       {m + " hi a\n" + m + " no b\nnoise\n" + m + " fail c d\n" + m + " go\n", []Event{{"hi", "a"}, {"no", "b"}, {"fail", "c d"}, {"go", ""}}, "", "noise"},
		"an endless line":  {m + " hi " + strings.Repeat("x", 5000) + "\n" + m + " go\n!", []Event{{"go", ""}}, "!", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader,
				"half": iotest.HalfReader, "error with data": iotest.DataErrReader,
			} {
				r := wrap(strings.NewReader(test.in))
				events, s, err := scanAll(t, r)
				if err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
				if !slices.Equal(events, test.want) {
					t.Errorf("%s: events are %q, want %q", kind, events, test.want)
				}
				rest := s.Rest()
				more, _ := io.ReadAll(r)
				if got := string(rest) + string(more); got != test.rest {
					t.Errorf("%s: the bytes behind the last event are %q, want %q", kind, got, test.rest)
				}
				if got := s.Said(); test.said != "" && got != test.said {
					t.Errorf("%s: the noise is %q, want %q", kind, got, test.said)
				}
			}
		})
	}
}

func TestScannerKeepsTheLastNoiseOnly(t *testing.T) {
	in := strings.Repeat("noise\n", 400_000) + "the end\n" + testMarker + " go\n"
	_, s, err := scanAll(t, strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if said := s.Said(); len(said) > keepNoise+1 || !strings.HasSuffix(said, "the end") {
		t.Errorf("%d bytes of noise were kept, ending in %q, want at most %d, ending in \"the end\"", len(said), said[max(0, len(said)-20):], keepNoise+1)
	}
}

func TestScannerGivesUpOnEndlessNoise(t *testing.T) {
	for _, in := range []string{"x", "\n", testMarker, testMarker + " ", testMarker + " hi \x00\n", "\n" + testMarker[:8]} {
		_, s, err := scanAll(t, &endless{pattern: []byte(in)})
		if !errors.Is(err, ErrNoise) {
			t.Errorf("endless %q: error %v, want %v", in, err, ErrNoise)
		}
		if cap(s.buf)+cap(s.noise) > 1<<20 {
			t.Errorf("endless %q: the scanner keeps %d bytes, want at most 1 MiB", in, cap(s.buf)+cap(s.noise))
		}
	}
}

type endless struct {
	pattern []byte
	at      int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.pattern[e.at]
		e.at = (e.at + 1) % len(e.pattern)
	}
	return len(b), nil
}

// In whatever pieces the bytes come, the scanner finds the same events and loses no byte. It
// always finds a child's go at the end.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("noise\n"+testMarker+" hi 1\n"), uint8(1))
	f.Add([]byte("\n"+testMarker[:10]), uint8(3))
	f.Add([]byte(testMarker+" hi \n\n"+testMarker+" fail x\n"), uint8(7))
	f.Fuzz(func(t *testing.T, noise []byte, step uint8) {
		in := append(slices.Clone(noise), []byte("\n"+testMarker+" go\nframes")...)
		all := bytes.NewReader(in)
		whole, a, err := scanAll(t, all)
		if err != nil {
			t.Fatalf("reading whole: error %v, want the event go at the end", err)
		}
		s := New(testMarker)
		var pieces []Event
		n, r := 0, bytes.NewReader(in)
		buf := make([]byte, int(step)+1)
		for {
			e, err := s.Read(r, buf)
			if err != nil {
				t.Fatalf("reading in pieces of %d bytes: error %v, want the event go at the end", len(buf), err)
			}
			pieces = append(pieces, e)
			if n++; e.Verb == Go {
				break
			}
		}
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("events read in pieces are %q, want those read whole, %q", pieces, whole)
		}
		restA, _ := io.ReadAll(all)
		restS, _ := io.ReadAll(r)
		if x, y := string(a.Rest())+string(restA), string(s.Rest())+string(restS); x != y {
			t.Errorf("the bytes behind go are %q read whole and %q in pieces, want them equal", x, y)
		}
		if a.Said(); len(a.noise) > keepNoise {
			t.Errorf("%d bytes of noise were kept, want at most %d", len(a.noise), keepNoise)
		}
	})
}
