package router

import (
	"sync"
	"time"
)

// deadline is a time that can be moved, with a channel that is closed when it has come.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	c     chan struct{}
}

func (d *deadline) init() { d.c = make(chan struct{}) }

// set moves the deadline; the zero time means never.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.c // the timer has fired: wait for its close
	}
	d.timer = nil
	passed := isClosed(d.c)
	if t.IsZero() {
		if passed {
			d.c = make(chan struct{})
		}
		return
	}
	if in := time.Until(t); in > 0 {
		if passed {
			d.c = make(chan struct{})
		}
		c := d.c
		d.timer = time.AfterFunc(in, func() { close(c) })
		return
	}
	if !passed {
		close(d.c)
	}
}

// wait returns the channel. A deadline that has come and is moved gets another channel.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.c
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
