package bootstrap

import (
	"io"
	"time"
)

const (
	// nudgeEvery and nudges: a profile that reads a line from standard input
	// would wait forever; newlines get it going. The first stage passes over
	// those that nobody took.
	nudgeEvery = 700 * time.Millisecond
	nudges     = 16
)

// A nudger writes a newline now and then until it is ended.
type nudger struct {
	quit chan struct{} // closed by end
	done chan struct{} // closed by the goroutine
	over bool          // owned by the caller of end
}

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

// end returns when no newline will be written any more. It may be called again.
func (n *nudger) stop() {
	if !n.over {
		n.over = true
		close(n.quit)
	}
	<-n.done
}
