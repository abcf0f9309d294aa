//go:build !unix

package main

import (
	"errors"
	"io"
	"os"
)

// openFeed returns the reading end of a pipe into which a goroutine writes the text, and the
// channel of its result. The pipe has no name, since file systems have no named pipes here.
func openFeed() (feed *os.File, written <-chan error, err error) {
	feed, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(w, text)
		done <- errors.Join(err, w.Close())
	}()
	return feed, done, nil
}
