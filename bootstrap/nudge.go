package bootstrap

import (
	"io"
	"time"
)

const (
	// A profile that reads a line from standard input would wait for ever. It gets a
	// newline every nudgeEvery, at most nudges of them. The first stage passes over
	// those that no profile has read.
	nudgeEvery = 700 * time.Millisecond
	nudges     = 16
)

// A nudger writes a newline now and then until it is stopped.
type nudger struct {
	quit chan struct{} // closed by stop
	done chan struct{} // closed by the goroutine
	over bool          // owned by the caller of stop
}

// startNudger starts the goroutine of a nudger, if on. The caller stops it.
func startNudger(w io.Writer, on bool) *nudger {
	n := &nudger{quit: make(chan struct{}), done: make(chan struct{})}
	if !on {
		close(n.done)
		return n
	}
	go func() {
		defer close(n.done)
		tick := time.NewTicker(nudgeEvery)
		defer tick.Stop()
		for range nudges {
			select {
			case <-n.quit:
				return
			case <-tick.C:
			}
			select {
			case <-n.quit:
				return
			default:
			}
			if _, err := w.Write([]byte{'\n'}); err != nil {
				return
			}
		}
	}()
	return n
}

// stop returns when no newline will be written any more. It may be called again.
func (n *nudger) stop() {
	if !n.over {
		n.over = true
		close(n.quit)
	}
	<-n.done
}
