package main

import (
	"testing"

	"github.com/mitosis-go/mitosis/connect"
)

// That an answer was wrong is said once for a round, however many questions that has.
func TestARoundIsSaidToBeWrongOnce(t *testing.T) {
	var r rounds
	for i, c := range []struct {
		path    string
		attempt int
		want    bool
	}{
		{"a", 1, false}, {"a", 1, false}, {"a", 2, true}, {"b", 1, false}, {"b", 2, true}, {"a", 2, false}, {"a", 3, true}, {"a", 1, false}, {"a", 2, true},
	} {
		if got := r.isNew(connect.Prompt{Path: c.path, Attempt: c.attempt}); got != c.want {
			t.Errorf("question %d (hop %s, attempt %d): new round %v, want %v", i, c.path, c.attempt, got, c.want)
		}
	}
}
