//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// openFeed returns the reading end of a named pipe into which a goroutine writes the text, and
// the channel of its result. Once both ends are open, it removes the name.
func openFeed() (feed *os.File, written <-chan error, err error) {
	dir, err := os.MkdirTemp("", "object")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	fifo := filepath.Join(dir, "feed")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- os.WriteFile(fifo, []byte(text), 0) }()
	feed, err = os.Open(fifo) // returns when the writer has opened it, too
	return feed, done, err
}
