package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
)

// The optimistic start saves a round trip where the far side is known from before. The plan
// that worked last time, and the image, are sent right behind the command line. The first
// stage finds them when it begins to read. It prints its facts all the same.
//
// The plan first prints that it has arrived (ack). It goes on if the system is the one that
// the image is for. Other changes, such as a missing interpreter or a full directory, end it
// like any plan: the far side reads the image away, prints the reason, and awaits the next
// plan. That one is made from the facts, as if nothing had been known.
//
// A profile that reads from its standard input may have taken the plan. Then the shell passes
// over the image line by line. If no ack comes, one more line asks for the plan. Lines are
// carried out in order, so the answer is final. If the plan was only slow, the child gets that
// line in place of the shell, and passes over it.

// methodEarly stands for the optimistic start as a whole in lines of the far side.
const methodEarly = "early"

// earlyPatience bounds the wait for the ack behind the facts. The two leave the far side
// together, so only a slow line comes between them.
const earlyPatience = 2 * time.Second

// Early reports whether a plan will be sent before the far side has spoken. The carrier
// then has to accept bytes that early.
func (l *Launch) Early() bool { return len(l.earlyStartMethods()) > 0 }

// earlyStartMethods returns the start methods of that plan. There are none where the image
// may be in the cache, as it would be sent in vain.
func (l *Launch) earlyStartMethods() []string {
	if l.opts.Early == "" || l.opts.Known == nil || l.opts.Same || l.opts.Pid > 0 || l.sought() != "" {
		return nil
	}
	try, _ := methodsFor(l.opts.Known, l.opts.StartMethods, l.opts.NoDisk)
	i := slices.Index(try, l.opts.Early)
	switch {
	case i < 0:
		return nil
	case byShell(try[i]):
		return try[i:]
	}
	return try[i : i+1]
}

// sendEarly sends the plan and the image, and returns the start methods of the plan. It
// returns none if it has sent nothing.
func (d *conversation) sendEarly(ctx context.Context) []string {
	methods := d.earlyStartMethods()
	if len(methods) == 0 {
		return nil
	}
	d.course.reach(PhasePrepare)
	defer d.course.reach(PhaseFirstStage)
	known := d.opts.Known
	img, err := d.opts.Images(ctx, known.GOOS(), known.GOARCH())
	var p *plan
	var data []byte
	if err == nil {
		p, data, err = d.plan(known, img)
	}
	if err != nil {
		d.nudge = startNudger(d.c, !d.opts.NoNudge)
		return nil // it will fail again, and be reported then
	}
	d.method = methods[0]
	d.write(p.early(methods), data, func() {})
	return methods
}

// early returns the plan between its ack and the check of the system.
func (p *plan) early(methods []string) string {
	return p.marker + " " + p.common(methodEarly) +
		`printf "\n%s ack\n" "$m";if [ "$y" = ` + quote(p.facts.Kernel+" "+p.facts.Machine) + " ];then " +
		strings.TrimSuffix(p.script(methods), ";") +
		`;else skip;bad "it is $y now";fi`
}

// awaitEarly waits for the outcome of the plan, after the facts.
func (d *conversation) awaitEarly(methods []string) (alive bool, err error) {
	d.course.reach(PhaseImage)
	d.ack, d.asked = d.askWhetherItArrived()
	notes := make(map[string][]string)
	used, err := d.outcome(append(methods[:len(methods):len(methods)], methodEarly), notes)
	d.ack()
	if errors.Is(err, errNoLoader) || errors.Is(err, errWrongFormat) {
		used, err = 1, nil // it was another system the last time
	}
	if err == nil {
		// The next plan is written behind the question. After an error nobody may
		// be reading, so finish closes the pipe before it waits.
		<-d.asked
	}
	if err != nil || used == 0 {
		return err == nil, err
	}
	d.lost = slices.Contains(notes[methodEarly], planLost)
	<-d.sent
	d.opts.Log.Debug("the far side is not as it was", "reasons", fmt.Sprint(notes))
	return false, nil
}

// planLost is the answer to the question whether the plan has arrived.
const planLost = "it did not arrive"

// askWhetherItArrived starts a goroutine that asks for the plan when earlyPatience is over,
// unless arrived is called before. arrived must be called in the end. asked is closed when
// the goroutine has ended.
func (d *conversation) askWhetherItArrived() (arrived func(), asked <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), earlyPatience)
	sent, done := d.sent, make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		if ctx.Err() == context.Canceled {
			return
		}
		<-sent // a line within the image would destroy it
		_, _ = io.WriteString(d.c, "\n"+d.marker+` printf "\n%s fail `+methodEarly+` 0 `+planLost+`\n" "$m"`+"\n")
	}()
	return cancel, done
}

// afterNudges reads the link of a child from its first frame on. It passes over bytes that
// were meant for the shell and still on their way: newlines, and lines that begin with the
// marker. No frame begins like that.
type afterNudges struct {
	r      io.Reader
	marker string
	buf    []byte // read, not handed on
	done   bool   // a frame has begun
}

func (a *afterNudges) Read(b []byte) (int, error) {
	for {
		if a.done && len(a.buf) > 0 {
			n := copy(b, a.buf)
			a.buf = a.buf[n:]
			return n, nil
		}
		n, err := a.r.Read(b)
		if a.done || n == 0 {
			return n, err
		}
		a.buf = append(a.buf, b[:n]...)
		a.strip()
	}
}

// strip drops bytes from the front until a frame begins there.
func (a *afterNudges) strip() {
	word := a.marker + " "
	for {
		a.buf = []byte(strings.TrimLeft(string(a.buf), "\r\n"))
		start := string(a.buf[:min(len(a.buf), len(word))])
		if start != word {
			a.done = !strings.HasPrefix(word, start)
			return
		}
		_, rest, whole := strings.Cut(string(a.buf), "\n")
		if !whole && len(a.buf) <= scan.MaxLine {
			return
		}
		a.buf = []byte(rest)
	}
}
