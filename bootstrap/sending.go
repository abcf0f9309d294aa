package bootstrap

import (
	"io"
	"time"
)

// sendPlan writes a plan and the image behind it. The phase follows.
func (d *conversation) sendPlan(line string, data []byte) {
	d.course.reach(PhaseImage)
	d.write(line, data, func() { d.course.reach(PhaseHello) })
}

// write starts the sender: a goroutine that writes a plan and the image behind it, and
// closes d.sent at its end. Reading goes on meanwhile, so that two full pipes can't block
// each other. The sender reports no error, because the reader meets it as well. finish
// waits for the sender.
func (d *conversation) write(line string, data []byte, written func()) {
	sent := make(chan struct{})
	d.sent = sent
	d.course.try(d.method)
	d.course.carry(len(data))
	go func() {
		defer close(sent)
		if _, err := io.WriteString(d.c, "\n"+line+"\n"); err != nil {
			return
		}
		piece := sentPiece
		if d.opts.Slow && !d.opts.Pace {
			piece = slowPiece
		}
		to := &countedWriter{d.c, piece, d.course.sent}
		var err error
		if d.opts.Pace {
			err = writePaced(to, data)
		} else {
			_, err = to.Write(data)
		}
		if err == nil {
			written()
		}
	}()
}

// An image is written in pieces of so many bytes. The pieces are small enough for the
// progress to change every second on the slowest line.
const (
	sentPiece = 32 << 10 // the largest packet of ssh
	slowPiece = 1 << 10
)

// countedWriter writes in pieces, and reports the length of each.
type countedWriter struct {
	w     io.Writer
	piece int
	wrote func(n int)
}

func (c *countedWriter) Write(b []byte) (total int, err error) {
	for len(b) > 0 {
		n, err := c.w.Write(b[:min(len(b), c.piece)])
		c.wrote(n)
		total, b = total+n, b[n:]
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// The pace of an image through sshd: 190 MB/s, about as fast as a far side unpacks, after a
// pause in which the far side starts its programs. sshd enlarges its buffer packet by packet
// where bytes come faster. Two megabytes in one go take 25 ms more than in this pace, which
// only memory could exceed.
const (
	paceDelay = 5 * time.Millisecond
	pacePiece = 64 << 10
	paceTime  = 350 * time.Microsecond
)

func writePaced(w io.Writer, data []byte) error {
	next := time.Now().Add(paceDelay)
	for len(data) > 0 {
		time.Sleep(time.Until(next))
		next = time.Now().Add(paceTime)
		n := min(len(data), pacePiece)
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
