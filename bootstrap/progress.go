package bootstrap

import (
	"fmt"
	"sync"
)

// Progress describes how far a launch has come.
type Progress struct {
	Phase       Phase
	StartMethod string // the one that is being tried; "" before there is one
	// The pipe has taken Sent of the Size bytes of the image. They may still be on
	// their way. Size is 0 where no image is under way.
	Sent, Size int64
}

// String returns, for example, "sending the image by memfd-perl (1.2 of 2.1 MB)".
func (p Progress) String() string {
	s := string(p.Phase)
	if p.StartMethod != "" && p.Phase != PhaseFirstStage {
		s += " by " + p.StartMethod
	}
	switch of := ""; {
	case p.Size <= 0:
	case p.Phase != PhaseImage:
		of = " of the image"
		fallthrough
	default:
		s += fmt.Sprintf(" (%s of %s MB%s)", megabytes(p.Sent), megabytes(p.Size), of)
	}
	return s
}

func megabytes(n int64) string { return fmt.Sprintf("%d.%d", n/1e6, n%1e6/1e5) }

// course keeps the progress of a launch. Any goroutine may call its methods.
type course struct {
	// Immutable.
	tell func(Progress) // may be nil; is called with mu held

	mu  sync.Mutex
	now Progress
	// final is the progress at the end of ctx. A far side that waited for the end of
	// its input may still say something when the carrier closes, and would change now.
	final *Progress
}

func (c *course) change(f func(p *Progress)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.now
	f(&c.now)
	if c.tell != nil && c.now != before && c.final == nil {
		c.tell(c.now)
	}
}

func (c *course) reach(phase Phase) { c.change(func(p *Progress) { p.Phase = phase }) }
func (c *course) try(method string) { c.change(func(p *Progress) { p.StartMethod = method }) }

// carry notes that an image of size bytes is sent from now on; 0: none is.
func (c *course) carry(size int) {
	c.change(func(p *Progress) { p.Sent, p.Size = 0, int64(size) })
}

func (c *course) sent(n int) { c.change(func(p *Progress) { p.Sent += int64(n) }) }

// freeze keeps the progress as it is, for the error.
func (c *course) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final == nil {
		now := c.now
		c.final = &now
	}
}

// last returns the progress for the error.
func (c *course) last() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.final != nil {
		return *c.final
	}
	return c.now
}
