package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
)

// An ProbeResult is what a far side has for a child.
type ProbeResult struct {
	Facts Facts
	// StartMethods are what was found out about each start method, in the order of the start methods:
	// several findings where a start method has several places.
	StartMethods []StartMethodReport
}

// A StartMethodReport is a place of a start method that would do, or why one does not. All was tried,
// but for the image, unless what it needs is known to be missing.
type StartMethodReport struct {
	StartMethod string
	Where       string // the place or the program, "" if it does not do
	Lacks       string // what it lacks, "" if it does
}

// StartMethod is the one by which a child would be started, "" if there is none.
func (o *ProbeResult) StartMethod() string {
	for _, r := range o.StartMethods {
		if r.Lacks == "" {
			return r.StartMethod
		}
	}
	return ""
}

// Probe runs the first stage, with which c must have been started, finds out how
// each start method stands, and closes c. Nothing is started there but tools, and nothing
// stays; where places are tried, a small file is there for a moment. It takes two
// round trips.
func (l *Launch) Probe(ctx context.Context, c Carrier) (ProbeResult, error) {
	d := l.converse(ctx, c)
	err := d.awaitFacts()
	if err == nil && d.facts == nil {
		err = errors.New("a child was started where facts were asked for")
	}
	var offer ProbeResult
	if err == nil {
		offer, err = d.probe()
	}
	if err != nil {
		return ProbeResult{}, d.finish(err)
	}
	_ = d.finish(errProbed) // which closes the carrier
	return offer, nil
}

var errProbed = errors.New("probed")

// probe has the far side try all start methods that nothing is known against. What is known
// it says again, so that all comes in order.
func (d *conversation) probe() (ProbeResult, error) {
	if err := d.ensurePrograms(); err != nil {
		return ProbeResult{}, err
	}
	if err := d.ensureProc(); err != nil {
		return ProbeResult{}, err
	}
	p := &plan{marker: d.marker, facts: d.facts, goarch: d.facts.GOARCH()}
	tests := d.probeExec() + d.probeCache()
	for _, method := range startMethods {
		why := obstacle(method, d.facts, d.opts.NoDisk)
		if len(d.opts.StartMethods) > 0 && !slices.Contains(d.opts.StartMethods, method) {
			why = "not among the start methods that are allowed"
		}
		if why == "" {
			tests += p.probe(method)
		} else {
			tests += closed(method, why)
		}
	}
	d.sendPlan(p.probing(tests), nil) // which finish waits for
	offer := ProbeResult{Facts: d.found()}
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return ProbeResult{}, err
		}
		r := StartMethodReport{}
		var rest string
		r.StartMethod, rest, _ = strings.Cut(e.Rest, " ")
		switch e.Verb {
		case scan.At:
			r.Where = rest
		case scan.No:
			r.Lacks = strings.TrimPrefix(rest, "-: ")
		case scan.Fail:
			return offer, nil
		}
		offer.StartMethods = append(offer.StartMethods, r)
	}
	return ProbeResult{}, ErrNoise
}

// closed is in place of the test of a start method about which there is no doubt.
func closed(method, why string) string { return "r=" + method + ";no " + quote(why) + ";" }

// methodProbe stands for the end of a probe in its last line.
const methodProbe = "probe"

// probing is the plan that carries out tests.
func (p *plan) probing(tests string) string {
	script := p.common(methodProbe) + p.places(0) + planPart("tmpfs") +
		`wrong(){ no "` + wrongFormat + `";};` +
		`yes(){ printf "\n%s at %s %s\n" "$m" "$r" "$1";};d=-;` + tests +
		`r=` + methodProbe + `;bad end;`
	return p.marker + " " + strings.ReplaceAll(script, "\n", "")
}

// probe is the test of one start method.
func (p *plan) probe(method string) string {
	test := "put"
	switch method {
	case StartPerl:
		return p.probeInterpreter(method, "perl", "unset "+perlVariables+";command "+perl+quote(perlProgram("trial.pl", "")))
	case StartPython:
		return p.probeInterpreter(method, "python3", "command "+pythonProgram("trial.py", ""))
	case StartRAM:
		test = "ram&&put"
	case StartTmpfs:
		test = "tmpfs"
	}
	script := ""
	for _, place := range places(method, p.facts) {
		script += "next " + method + " " + place + "&&" + test + `&&yes "$d";`
	}
	return script + "d=-;"
}

func (p *plan) probeInterpreter(method, tool, program string) string {
	return "r=" + method + ";" + p.trial(program) + `&&yes "$(command -v ` + tool + `)"||{ ` + planPart("trial") + `no "$e";};`
}

// probeExec is the test of the way without an image.
func (d *conversation) probeExec() string {
	path := executableOf(d.opts.Pid)
	dev, ino, ok := fileID(path)
	if !d.opts.Same || !ok {
		return closed(StartExec, "not on this host, or not by a user who may read this program")
	}
	return fmt.Sprintf(`r=%s;[ "$(stat -Lc %%d.%%i %[2]s 2>/dev/null)" = %d.%d ]&&yes %[2]s||no "this program can't be seen from there";`,
		StartExec, path, dev, ino)
}

// probeCache is the test of the cache, for the image that would be looked for.
func (d *conversation) probeCache() string {
	hash := d.sought()
	if hash == "" {
		return closed(StartCache, "not asked for")
	}
	return fmt.Sprintf("r=%s;q=;%s"+`[ "$q" ]||if [ -f "$f" ];then no "what is there can't be used";else no "%s";fi;`,
		StartCache, d.inCache(hash, `q=1&&yes "$f"`), cacheHasNot)
}
