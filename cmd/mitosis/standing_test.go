package main

import (
	"bytes"
	"testing"
)

// A line that is printed while a question stands comes above the question.
func TestLinesComeAboveTheQuestion(t *testing.T) {
	var q standing
	var shown bytes.Buffer
	above := func(lines string) {
		t.Helper()
		if err := q.above([]byte(lines), shown.Write); err != nil {
			t.Fatal(err)
		}
	}
	above("before\n")
	q.show(&shown, "host: two lines\nCode: ", false)
	above("one\ntwo\n")
	q.end()
	above("after\n")
	q.show(&shown, "host: two lines\nPIN: ", true)
	above("one\ntwo\n")
	q.remove(&shown)
	above("after\n")
	const want = "before\nhost: two lines\nCode: \r\x1b[Kone\ntwo\nCode: after\nhost: two lines\r\nPIN: \r\x1b[Kone\r\ntwo\r\nPIN: \r\x1b[Kafter\n"
	if got := shown.String(); got != want {
		t.Errorf("the terminal shows %q, want %q", got, want)
	}
}
