package bootstrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
	"github.com/mitosis-go/mitosis/core"
)

const (
	// causeTime is how long a carrier whose pipe has ended may take to say why.
	causeTime = 3 * time.Second
	// maxEvents bounds the lines with a marker that are passed over in a row. A
	// start method has at most a handful of places to say something about.
	maxEvents = 64
)

// A conversation is a launch under way.
type conversation struct {
	// Immutable.
	*Launch
	ctx   context.Context
	c     Carrier
	nudge *nudger
	stop  func() bool // undoes the closing of c by ctx

	// Owned by the goroutine of Run.
	scan    *scan.Scanner
	buf     []byte
	facts   *Facts
	closed  []StartMethodError // start methods that did not do
	method  string             // being tried, in the end the one that did
	sent    chan struct{}      // closed when the sender has ended; nil before the first
	ack     func()             // told that a plan which was sent ahead has arrived; nil without one
	asked   <-chan struct{}    // closed when nobody asks whether it has; nil without one
	lost    bool               // such a plan did not arrive
	image   *image.Image       // sent last, in codec; nil before
	codec   image.Codec
	room    int64 // bytes that an image takes; 0 before there is one
	ownProc bool  // see ensureProc
	static  bool  // the image came from Options.Static
	policy  bool  // no program is executed there; see nothingRuns

	course course // the sender moves it on, too
}

func (l *Launch) converse(ctx context.Context, c Carrier) *conversation {
	d := &conversation{
		Launch: l, ctx: ctx, c: c,
		scan: scan.New(l.marker), buf: make([]byte, 32<<10),
		course: course{tell: l.opts.Progress},
	}
	d.course.reach(PhaseFirstStage)
	d.stop = context.AfterFunc(ctx, func() {
		d.course.freeze()
		c.Close()
	})
	// A newline would harm an image that is under way.
	d.nudge = startNudger(c, !l.opts.NoNudge && !l.Early())
	return d
}

// finish ends what Run started and dresses the error.
func (d *conversation) finish(err error) error {
	if err == nil {
		d.nudge.stop()
		d.settle()
		if d.stop() {
			return nil
		}
		err = context.Cause(d.ctx) // at the last moment
	}
	defer d.Abandon()
	at := d.course.last()
	e := &Error{Phase: at.Phase, Sent: at.Sent, Size: at.Size, Err: err, StartMethods: d.closed, Said: d.scan.Said()}
	if e.Phase != PhaseFirstStage {
		e.StartMethod = d.method
	}
	if d.ctx.Err() != nil {
		e.Err = context.Cause(d.ctx)
		if tool, ok := d.c.(teller); ok && e.Phase == PhaseFirstStage {
			e.Tool = tool.Said() // it may wait for an answer
		}
	} else if ioErr, ok := errors.AsType[*carrierError](err); ok {
		ctx, cancel := context.WithTimeout(d.ctx, causeTime)
		e.Err = ended(ctx, d.c, ioErr.err)
		cancel()
	}
	e.Hint = d.hint(e)
	d.stop()
	d.c.Close()
	d.nudge.stop()
	if d.sent != nil {
		<-d.sent
	}
	if d.asked != nil {
		<-d.asked
	}
	return e
}

// carrierError marks an error of the pipe, for which the carrier may have an
// explanation.
type carrierError struct{ err error }

func (e *carrierError) Error() string { return e.err.Error() }

// event waits for the far side's next word.
func (d *conversation) event() (scan.Event, error) {
	e, err := d.scan.Read(d.c, d.buf)
	if err != nil && !errors.Is(err, ErrNoise) {
		err = &carrierError{err}
	}
	return e, err
}

func (d *conversation) start() (*Session, error) {
	early := d.sendEarly(d.ctx)
	if err := d.awaitFacts(); err != nil {
		return nil, err
	}
	if d.facts == nil {
		d.method = StartExec
		return d.greet()
	}
	if len(early) > 0 {
		if alive, err := d.awaitEarly(early); err != nil {
			return nil, err
		} else if alive {
			d.warnOfDisk(nil)
			return d.greet()
		}
	}
	d.course.reach(PhasePrepare)
	img, err := d.likelyImage()
	if err != nil {
		return nil, err
	}
	if alive, err := d.tryCache(img); alive || err != nil {
		if err != nil {
			return nil, err
		}
		return d.greet()
	}
	d.room = img.Size
	if err := d.ensurePrograms(); err != nil {
		return nil, err
	}
	if err := d.ensureProc(); err != nil {
		return nil, err
	}
	alive, err := d.climbAll(img)
	if errors.Is(err, errWrongFormat) {
		alive, err = d.climbSibling(img)
	}
	if errors.Is(err, errNoLoader) {
		alive, err = d.climbStatic(d.image)
	}
	if err != nil {
		return nil, err
	}
	if alive {
		return d.greet()
	}
	d.method = ""
	d.course.reach(PhaseImage)
	d.course.carry(0)
	return nil, ErrNoStartMethod
}

// climbAll tries every start method with an image, and tells whether a child has spoken.
// Otherwise d.closed has the reasons.
func (d *conversation) climbAll(img *image.Image) (alive bool, err error) {
	d.room = img.Size
	try, closed := methodsFor(d.facts, d.opts.StartMethods, d.opts.NoDisk)
	for len(try) > 0 {
		methods := try[:1]
		if byShell(try[0]) {
			methods = try // they come last, and one plan does for all
		}
		try = try[len(methods):]
		if alive, err = d.climb(methods, img); err != nil {
			return false, err
		}
		if alive {
			d.warnOfDisk(closed)
			d.warnOfNamespace()
			return true, nil
		}
	}
	all := append(d.closed, closed...)
	d.closed = nil
	for _, method := range append(slices.Clone(startMethods), methodProc) {
		for _, e := range all {
			if e.StartMethod == method {
				d.closed = append(d.closed, e)
			}
		}
	}
	return false, nil
}

// warnOfDisk tells that the last resort was used, and why the others were not.
func (d *conversation) warnOfDisk(closed []StartMethodError) {
	if d.method == StartDisk {
		d.opts.Log.Warn("the child's executable had to be put on a disk, without a name",
			"methods", reasons(append(closed, d.closed...)))
	}
}

// awaitFacts waits for the first stage, or for a child that needed none: then
// facts stay nil.
//
// Success closes Ready. A failure does not: the carrier has to know, when it is
// asked for the cause, that the far side never spoke.
func (d *conversation) awaitFacts() error {
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return err
		}
		switch e.Verb {
		case scan.Go:
			d.spoken()
			d.nudge.stop()
			return nil
		case scan.Hi:
			f, err := parseFacts(e.Rest)
			if err != nil {
				continue // a line that was made to look like it
			}
			d.spoken()
			d.nudge.stop()
			d.facts = &f
			return nil
		}
	}
	return ErrNoise
}

// tryCache looks for the image in the cache where the first stage has looked for
// another, not knowing yet what the far side was.
func (d *conversation) tryCache(img *image.Image) (alive bool, err error) {
	hash := hex.EncodeToString(img.Hash[:])
	if sought := d.sought(); sought == "" || sought == hash {
		return false, nil
	}
	p := &plan{marker: d.marker}
	d.sendPlan(p.cache(d.lookup(hash)), nil)
	used, err := d.outcome([]string{StartCache}, make(map[string][]string))
	if alive = err == nil && used == 0; alive {
		d.method = StartCache
	}
	<-d.sent
	return alive, err
}

// climb tries the start methods of one plan, at every place that they have, and tells
// whether a child has spoken.
func (d *conversation) climb(methods []string, img *image.Image) (alive bool, err error) {
	d.course.reach(PhasePrepare)
	p, data, err := d.plan(d.facts, img)
	if err != nil {
		return false, err
	}
	total := 0
	for _, method := range methods {
		total += len(places(method, d.facts))
	}
	notes := make(map[string][]string)
	defer func() {
		for _, method := range methods {
			if method != d.method && len(notes[method]) > 0 || err == nil && !alive {
				d.closed = append(d.closed, StartMethodError{method, strings.Join(notes[method], ", ")})
			}
		}
	}()
	d.method = methods[0]
	for {
		d.sendPlan(p.line(methods), data)
		used, err := d.outcome(methods, notes)
		if err != nil || used == 0 {
			return err == nil, err
		}
		<-d.sent
		// Going on only ever makes skip larger: that bounds the loop also
		// with a far side that lies.
		if used <= p.skip || used >= total {
			return false, nil
		}
		p.skip = used
	}
}

// plan makes the plan for an image, and what follows it.
func (d *conversation) plan(facts *Facts, img *image.Image) (*plan, []byte, error) {
	codec := image.Raw
	if !d.opts.Near {
		codec = img.CodecFor(facts.has, d.opts.Slow)
	}
	if d.opts.Slow {
		if err := img.Improve(d.ctx, codec, d.opts.Packed); err != nil {
			d.opts.Log.Debug("the packed image can't be kept", "err", err)
		}
	}
	data, err := img.Encoded(d.ctx, codec, d.opts.Packed)
	if err != nil {
		return nil, nil, err
	}
	if whole := img.Whole(); whole != nil {
		d.opts.Log.Debug("the image is larger than it could be", "reason", whole)
	}
	d.image, d.codec = img, codec
	hash := hex.EncodeToString(img.Hash[:])
	return &plan{
		marker: d.marker, loop: d.loop(), facts: facts, args: d.childArgs(hash), goarch: img.GOARCH, loader: img.Loader,
		hash: hash, codec: codec, size: len(data),
	}, data, nil
}

// outcome waits for the end of a plan, and notes for each start method what did not do.
// It returns how many places have been used up, 0 for a child that runs.
func (d *conversation) outcome(methods []string, notes map[string][]string) (used int, err error) {
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return 0, err
		}
		method, rest, _ := strings.Cut(e.Rest, " ")
		switch {
		case e.Verb == scan.Go:
			return 0, nil
		case e.Verb == scan.Ack && d.ack != nil:
			d.ack()
		}
		if !slices.Contains(methods, method) {
			continue
		}
		switch e.Verb {
		case scan.No:
			notes[method] = append(notes[method], rest)
		case scan.At:
			d.method = method
			d.course.try(method)
		case scan.Fail:
			place, reason, _ := strings.Cut(rest, " ")
			used, err := strconv.Atoi(place)
			if err != nil || used < 0 {
				used = len(methods) + maxEvents // none is left
			}
			if strings.HasPrefix(reason, nothingRuns) {
				return 0, d.nothingRuns(reason)
			}
			switch reason {
			case "hash":
				d.course.reach(PhaseImage)
				return 0, fmt.Errorf("%w: %s", ErrImageHash, method)
			case wrongFormat:
				return 0, errWrongFormat
			case noLoader:
				return 0, errNoLoader
			case noPlaceLeft, cacheHasNot:
			case "":
				notes[method] = append(notes[method], "no reason given")
			default:
				notes[method] = append(notes[method], reason)
			}
			return max(used, 1), nil
		}
	}
	return 0, ErrNoise
}

// send writes a plan and the image behind it, and moves the phase on.
func (d *conversation) sendPlan(line string, data []byte) {
	d.course.reach(PhaseImage)
	d.write(line, data, func() { d.course.reach(PhaseHello) })
}

// write writes a plan and the image behind it. Reading goes on meanwhile, so that
// neither side waits for the other with a full pipe. An error needs no report: the
// same end of the pipe shows to the reader.
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

// An image is written in pieces of so many bytes, the next when the pipe has taken
// the one before. What is under way for a minute on the slowest way moves every second.
const (
	sentPiece = 32 << 10 // the largest packet of ssh
	slowPiece = 1 << 10
)

// countedWriter writes in pieces and tells of each.
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

// The pace of an image through sshd: about as fast as a far side unpacks, 190 MB/s, and no
// sooner than it has started the programs for that. sshd keeps what is ahead of
// them in a buffer which it enlarges packet by packet: two megabytes in one go
// cost it 25 ms more than the same in this pace. No wire that is slower than
// memory notices.
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

// greet reads the hello of a child that has spoken.
func (d *conversation) greet() (*Session, error) {
	d.course.reach(PhaseHello)
	d.course.carry(0) // it has arrived
	l := &earlyReader{Carrier: d.c, left: d.scan.Rest()}
	s := &Session{StartMethod: d.method, Said: d.scan.Said(), Sought: d.sought() != "", Lost: d.lost, Image: d.image, Codec: d.codec, Static: d.static}
	if d.facts != nil {
		s.Facts = d.found()
	}
	rest, err := readHello(l, &s.Hello)
	if err != nil {
		if !errors.Is(err, core.ErrProtocol) {
			err = &carrierError{err}
		}
		return nil, err
	}
	if err := s.Hello.Check(d.opts.Fingerprint); err != nil {
		return nil, err
	}
	l.left = append(rest, l.left...)
	if d.facts == nil && s.Hello.ImageHash != [32]byte{} {
		s.StartMethod = StartCache
	}
	s.Link = l
	return s, nil
}

// reasons are the start methods and why each did not do, those in a row together that have the
// same reason.
func reasons(list []StartMethodError) string {
	var words []string
	for i := 0; i < len(list); {
		same := list[i].StartMethod
		for i++; i < len(list) && list[i].Reason == list[i-1].Reason; i++ {
			same += ", " + list[i].StartMethod
		}
		words = append(words, StartMethodError{same, list[i-1].Reason}.Error())
	}
	return strings.Join(words, "; ")
}
