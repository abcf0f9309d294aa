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

// The optimistic start: where it is known what the far side was like the last
// time, the plan that did then, and the image, go right behind the command line,
// and the first stage finds them when it comes to read. It prints its facts all
// the same.
//
// The plan begins with a word that it has arrived, and goes on if the system is
// the one that the image is for. What else may have changed (an interpreter that
// is gone, a directory that is full) ends it like any plan: the image is read away,
// a line says why, and the next plan is awaited. That comes from the facts, as if
// nothing had been known.
//
// A profile that reads from its standard input may have taken the plan, and the
// shell then passes over the image line by line. The far side is asked about that
// by one more line, when the word that the plan has arrived does not come. The
// answer settles it: lines are carried out in order. Should the plan have been
// slow, and the child get that line in place of the shell, it passes over it.

// methodEarly stands for the optimistic start as a whole in lines about it.
const methodEarly = "early"

// earlyPatience is how long behind the facts the word that the plan has arrived may
// come. They left the far side together, but for a slow line.
const earlyPatience = 2 * time.Second

// Early says that a plan will be sent before the far side has spoken: the carrier has
// to take it.
func (l *Launch) Early() bool { return len(l.earlyStartMethods()) > 0 }

// earlyMethods are those of the plan. Where the image may be in the cache none is sent,
// as it would be in vain.
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

// sendEarly sends the plan and the image, and returns the plan's start methods; none if
// nothing was sent.
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
		return nil // and is reported when it fails again
	}
	d.method = methods[0]
	d.write(p.early(methods), data, func() {})
	return methods
}

// early is the plan with what is around it.
func (p *plan) early(methods []string) string {
	return p.marker + " " + p.common(methodEarly) +
		`printf "\n%s ack\n" "$m";if [ "$y" = ` + quote(p.facts.Kernel+" "+p.facts.Machine) + " ];then " +
		strings.TrimSuffix(p.script(methods), ";") +
		`;else skip;bad "it is $y now";fi`
}

// awaitEarly waits for what becomes of the plan, behind the facts.
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
		// What comes next is written behind the question. After an error there
		// may be nobody who reads; finish closes the pipe before it waits.
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

// askWhetherItArrived asks when patience is over, unless arrived is called before,
// which it has to be. asked is closed when nothing is written any more.
func (d *conversation) askWhetherItArrived() (arrived func(), asked <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), earlyPatience)
	sent, done := d.sent, make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		if ctx.Err() == context.Canceled {
			return
		}
		<-sent // an image that is cut up would be worse
		_, _ = io.WriteString(d.c, "\n"+d.marker+` printf "\n%s fail `+methodEarly+` 0 `+planLost+`\n" "$m"`+"\n")
	}()
	return cancel, done
}

// afterNudges passes over what was on its way when the child spoke, and meant for
// the shell: newlines, and lines that begin with the marker. No frame begins like
// that.
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

// strip takes away what is not a frame, and notes where one begins.
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
