package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An Offer is what a far side has for a child.
type Offer struct {
	Facts Facts
	// Rungs are what was found out about each rung, in the order of the ladder:
	// several findings where a rung has several places.
	Rungs []RungOffer
}

// A RungOffer is a place of a rung that would do, or why one does not. All was tried,
// but for the image, unless what it needs is known to be missing.
type RungOffer struct {
	Rung  string
	Where string // the place or the program, "" if it does not do
	Lacks string // what it lacks, "" if it does
}

// Rung is the one by which a child would be started, "" if there is none.
func (o *Offer) Rung() string {
	for _, r := range o.Rungs {
		if r.Lacks == "" {
			return r.Rung
		}
	}
	return ""
}

// Probe runs the first stage, with which c must have been started, finds out how
// each rung stands, and closes c. Nothing is started there but tools, and nothing
// stays; where places are tried, a small file is there for a moment. It takes two
// round trips.
func (l *Launch) Probe(ctx context.Context, c Carrier) (Offer, error) {
	d := l.dial(ctx, c)
	err := d.awaitFacts()
	if err == nil && d.facts == nil {
		err = errors.New("a child was started where facts were asked for")
	}
	var offer Offer
	if err == nil {
		offer, err = d.probe()
	}
	if err != nil {
		return Offer{}, d.finish(err)
	}
	_ = d.finish(errProbed) // which closes the carrier
	return offer, nil
}

var errProbed = errors.New("probed")

// Probe is [Launch.Probe].
func Probe(ctx context.Context, c Carrier, l *Launch) (Offer, error) { return l.Probe(ctx, c) }

// probe has the far side try all rungs that nothing is known against. What is known
// it says again, so that all comes in order.
func (d *dialogue) probe() (Offer, error) {
	if err := d.ensurePrograms(); err != nil {
		return Offer{}, err
	}
	if err := d.ensureProc(); err != nil {
		return Offer{}, err
	}
	p := &plan{marker: d.marker, facts: d.facts, goarch: d.facts.GOARCH()}
	tests := d.probeExec() + d.probeCache()
	for _, rung := range ladder {
		why := obstacle(rung, d.facts, d.opts.NoDisk)
		if len(d.opts.Rungs) > 0 && !slices.Contains(d.opts.Rungs, rung) {
			why = "not among the rungs that are allowed"
		}
		if why == "" {
			tests += p.probe(rung)
		} else {
			tests += closed(rung, why)
		}
	}
	d.send(p.probing(tests), nil) // which finish waits for
	offer := Offer{Facts: d.found()}
	for range maxEvents {
		e, err := d.event()
		if err != nil {
			return Offer{}, err
		}
		r := RungOffer{}
		var rest string
		r.Rung, rest, _ = strings.Cut(e.rest, " ")
		switch e.verb {
		case verbAt:
			r.Where = rest
		case verbNo:
			r.Lacks = strings.TrimPrefix(rest, "-: ")
		case verbFail:
			return offer, nil
		}
		offer.Rungs = append(offer.Rungs, r)
	}
	return Offer{}, ErrNoise
}

// closed is in place of the test of a rung about which there is no doubt.
func closed(rung, why string) string { return "r=" + rung + ";no " + quote(why) + ";" }

// rungProbe stands for the end of a probe in its last line.
const rungProbe = "probe"

// probing is the plan that carries out tests.
func (p *plan) probing(tests string) string {
	script := p.common(rungProbe) + p.places(0) + planPart("tmpfs") +
		`wrong(){ no "` + wrongFormat + `";};` +
		`yes(){ printf "\n%s at %s %s\n" "$m" "$r" "$1";};d=-;` + tests +
		`r=` + rungProbe + `;bad end;`
	return p.marker + " " + strings.ReplaceAll(script, "\n", "")
}

// probe is the test of one rung.
func (p *plan) probe(rung string) string {
	test := "put"
	switch rung {
	case RungPerl:
		return p.probeInterpreter(rung, "perl", "unset "+perlVariables+";command "+perl+quote(perlProgram("trial.pl", "")))
	case RungPython:
		return p.probeInterpreter(rung, "python3", "command "+pythonProgram("trial.py", ""))
	case RungRAM:
		test = "ram&&put"
	case RungTmpfs:
		test = "tmpfs"
	}
	script := ""
	for _, place := range places(rung, p.facts) {
		script += "next " + rung + " " + place + "&&" + test + `&&yes "$d";`
	}
	return script + "d=-;"
}

func (p *plan) probeInterpreter(rung, tool, program string) string {
	return "r=" + rung + ";" + p.trial(program) + `&&yes "$(command -v ` + tool + `)"||{ ` + planPart("trial") + `no "$e";};`
}

// probeExec is the test of the way without an image.
func (d *dialogue) probeExec() string {
	path := executableOf(d.opts.Pid)
	dev, ino, ok := fileID(path)
	if !d.opts.Same || !ok {
		return closed(RungExec, "not on this host, or not by a user who may read this program")
	}
	return fmt.Sprintf(`r=%s;[ "$(stat -Lc %%d.%%i %[2]s 2>/dev/null)" = %d.%d ]&&yes %[2]s||no "this program can't be seen from there";`,
		RungExec, path, dev, ino)
}

// probeCache is the test of the cache, for the image that would be looked for.
func (d *dialogue) probeCache() string {
	hash := d.sought()
	if hash == "" {
		return closed(RungCache, "not asked for")
	}
	return fmt.Sprintf("r=%s;q=;%s"+`[ "$q" ]||if [ -f "$f" ];then no "what is there can't be used";else no "%s";fi;`,
		RungCache, d.inCache(hash, `q=1&&yes "$f"`), cacheHasNot)
}
