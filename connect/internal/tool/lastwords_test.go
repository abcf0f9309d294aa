package tool

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What a hostile far side writes beside the link goes to the log at a bounded
// rate, with a count of what did not; what it said last is known all the same.
func TestWordsFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		words := &LastWords{Log: slog.New(slog.NewTextHandler(&log, nil)), On: OnStderr}
		lines := func() int {
			defer log.Reset()
			return bytes.Count(log.Bytes(), []byte("the tool said"))
		}
		flood := func(n int) {
			for i := range n {
				fmt.Fprintf(words, "line %d\n", i)
			}
		}
		flood(wordsBurst)
		if n := lines(); n != wordsBurst {
			t.Errorf("%d lines of the first %d were logged", n, wordsBurst)
		}
		flood(wordsBurst)
		if s := log.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "level=WARN") || !strings.Contains(s, "lines=1") {
			t.Errorf("of what was too much the log says:\n%s", s)
		}
		if s := words.String(); !strings.HasSuffix(s, fmt.Sprintf("line %d", wordsBurst-1)) {
			t.Errorf("the last words are %q", s)
		}
		log.Reset()
		time.Sleep(time.Second)
		flood(wordsBurst)
		if s := log.String(); !strings.Contains(s, fmt.Sprintf("lines=%d", wordsBurst)) {
			t.Errorf("how many were dropped is not told: %.300s", s)
		}
		if n := lines(); n != wordsRate {
			t.Errorf("%d lines were logged after a second", n)
		}
		time.Sleep(time.Second)
		for range wordsRate {
			fmt.Fprintf(words, "%s\n", strings.Repeat("x", 10*wordsUnit-1))
		}
		if n := lines(); n != wordsRate/10 {
			t.Errorf("%d long lines were logged after a second", n)
		}
	})
}
