//go:build !unix

package main

import (
	"errors"
	"io"
	"os"
)

// openFeed returns the reading end of a pipe that somebody writes the text
// into, and where the writer reports. The pipe has no name where a file system
// has no names for pipes.
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
