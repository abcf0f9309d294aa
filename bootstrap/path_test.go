//go:build linux

package bootstrap

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A profile that spoils PATH does not keep the bootstrap from the programs of the system. The
// child then has their directories behind those of the profile.
func TestPathWithoutPrograms(t *testing.T) {
	for _, path := range []string{"/nowhere", "", "/nowhere:relative", "/etc"} {
		for _, o := range []Options{opts(), remembered(t, StartPerl), {Fingerprint: testFingerprint, Cache: true}} {
			o.StartMethods = nil
			if o.Images == nil {
				o.Images = opts().Images
			}
			t.Run("PATH="+path, func(t *testing.T) {
				l := NewLaunch(o)
				s := born(t, l, start(t, l.in(path, "")), "run /usr/bin/printenv PATH;echo END")
				if got := readLine(t, s); !strings.HasPrefix(strings.TrimPrefix(got, path+":"), "/usr/bin:/bin:") {
					t.Errorf("PATH is %q, want the system's directories behind %q", got, path)
				}
				if s.StartMethod != StartPerl {
					t.Errorf("start method %s, want %s", s.StartMethod, StartPerl)
				}
			})
		}
	}
}

// A probe finds the programs, too.
func TestProbeWithoutPath(t *testing.T) {
	o := opts()
	o.Probe = true
	l := NewLaunch(o)
	offer, err := l.Probe(bound(t), start(t, l.in("/nowhere", "")))
	if err != nil || offer.StartMethod() != StartPerl || offer.Facts.Kernel != "Linux" {
		t.Errorf("the probe found %+v, error %v, want Linux and %s", offer, err, StartPerl)
	}
}

// A program with the name of an interpreter that is content with everything is none: the next
// start method is tried.
func TestInterpretersThatDoNothing(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "#!/bin/sh\n", "echo": "#!/bin/sh\necho \"$@\"\n", "banner": "#!/bin/sh\necho 'it works now'\n", "reads": "#!/bin/sh\ncat >/dev/null\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := tools(t, append(slices.Clone(basics), "gzip")...)
			for _, tool := range []string{"perl", "python3"} {
				if err := os.WriteFile(filepath.Join(path, tool), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, o := range []Options{opts(), remembered(t, StartPerl)} {
				o.StartMethods = nil
				l := NewLaunch(o)
				s := born(t, l, start(t, l.in(path, "")), "")
				if s.StartMethod == StartPerl || s.StartMethod == StartPython {
					t.Errorf("start method %s, want one without an interpreter", s.StartMethod)
				}
				answers(t, s)
			}
			o := opts()
			o.Probe = true
			l := NewLaunch(o)
			offer, err := l.Probe(bound(t), start(t, l.in(path, "")))
			if err != nil || !slices.ContainsFunc(offer.StartMethods, func(r StartMethodReport) bool {
				return r.StartMethod == StartPerl && strings.Contains(r.Lacks, "does nothing")
			}) {
				t.Errorf("the probe found %+v, error %v, want that perl does nothing", offer, err)
			}
		})
	}
}
