package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/bootstrap/internal/scan"
)

// A ProbeResult describes the means that a far side has to start a child.
type ProbeResult struct {
	Facts Facts
	// StartMethods has a report on each start method, in their order, or several
	// where it has several places.
	StartMethods []StartMethodReport
	// Hint is what can be done where no start method would do; "" where that is not known.
	Hint string
}

// A StartMethodReport says whether a start method works at one of its places. It comes from a
// trial that does everything but send the image. There is no trial where something is known
// to be missing.
type StartMethodReport struct {
	StartMethod string
	Where       string // the place or the program, "" if it does not work
	Lacks       string // the reason why it does not work, "" if it does
}

// StartMethod returns the start method that a child would be started by, "" if none works.
func (p *ProbeResult) StartMethod() string {
	for _, r := range p.StartMethods {
		if r.Lacks == "" {
			return r.StartMethod
		}
	}
	return ""
}

// closed returns the start methods that would not work, with their reasons.
func (p *ProbeResult) closed() []StartMethodError {
	var list []StartMethodError
	for _, r := range p.StartMethods {
		if r.Lacks != "" {
			list = append(list, StartMethodError{r.StartMethod, r.Lacks})
		}
	}
	return list
}

// Probe finds out which start methods would work at the far end of c, and closes c, which
// must have been started with Line or Argv. Nothing but tools runs there, and nothing stays: a
// trial of a place has a small file there for a moment. It takes two round trips.
func (l *Launch) Probe(ctx context.Context, c Carrier) (ProbeResult, error) {
	d := l.converse(ctx, c)
	err := d.awaitFacts()
	if err == nil && d.facts == nil {
		err = errors.New("the far side has started a child in place of printing facts")
	}
	var result ProbeResult
	if err == nil {
		result, err = d.probe()
	}
	if err != nil {
		return ProbeResult{}, d.finish(err)
	}
	if result.StartMethod() == "" {
		result.Hint = d.hint(&Error{Phase: PhaseImage, Err: ErrNoStartMethod, StartMethods: result.closed()})
	}
	_ = d.finish(errProbed) // which closes the carrier
	return result, nil
}

var errProbed = errors.New("probed")

// probe has the far side try the start methods that may work. It repeats the reasons against
// the others, so that all reports come in order.
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
	d.sendPlan(p.probing(tests), nil) // finish waits for the sender
	result := ProbeResult{Facts: d.found()}
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
			return result, nil
		}
		result.StartMethods = append(result.StartMethods, r)
	}
	return ProbeResult{}, ErrNoise
}

// closed takes the place of the trial of a start method that cannot work.
func closed(method, why string) string { return "r=" + method + ";no " + quote(why) + ";" }

// methodProbe is the name of the probe in its last line.
const methodProbe = "probe"

// probing returns the plan that carries out trials.
func (p *plan) probing(tests string) string {
	script := p.common(methodProbe) + p.places(0) + planPart("tmpfs") +
		`wrong(){ no "` + wrongFormat + `";};` +
		`yes(){ printf "\n%s at %s %s\n" "$m" "$r" "$1";};d=-;` + tests +
		`r=` + methodProbe + `;bad end;`
	return p.marker + " " + strings.ReplaceAll(script, "\n", "")
}

// probe returns the trial of one start method.
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

// probeExec returns the trial of a start without an image.
func (d *conversation) probeExec() string {
	path := executableOf(d.opts.Pid)
	dev, ino, ok := fileID(path)
	if !d.opts.Same || !ok {
		return closed(StartExec, "the far side is not this host, or its user may not read this program")
	}
	return fmt.Sprintf(`r=%s;if [ "$(stat -Lc %%d.%%i %[2]s 2>/dev/null)" = %[3]d.%[4]d ];then `+
		`e=$( (exec %[2]s %[5]s) 2>&1)&&yes %[2]s||no "execution not allowed, ${e##*: }";else no "this program can't be seen from there";fi;`,
		StartExec, path, dev, ino, guard.CheckPrefix)
}

// probeCache returns the trial of the cache, for the image that a launch would look for.
func (d *conversation) probeCache() string {
	hash := d.sought()
	if hash == "" {
		return closed(StartCache, "not asked for")
	}
	return fmt.Sprintf("r=%s;q=;%s"+`[ "$q" ]||if [ -f "$f" ];then no "the file in the cache can't be used";else no "%s";fi;`,
		StartCache, d.inCache(hash, `q=1&&yes "$f"`), cacheHasNot)
}
