//go:build linux

package bootstrap

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Where /proc is not mounted, root is given one in a namespace of the child's own,
// and each start method does there what it does elsewhere. The host gets none.
func TestNoProcForRoot(t *testing.T) {
	needRoot(t)
	dir := tools(t, append(append([]string{}, basics...), "perl", "python3", "unshare", "gzip", "sha256sum")...)
	for _, method := range startMethods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			o := opts()
			o.StartMethods = []string{method}
			var logged bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&logged, nil))
			l := NewLaunch(o)
			// The shell that is left says what it sees when the child has gone.
			script := "umount -l /proc; export PATH=" + dir + "; " + strings.TrimPrefix(l.Line(), "exec ") + "; [ -e /proc/self ] && echo it has one >&2"
			c := start(t, exec.Command("unshare", "-m", "/bin/sh", "-c", script))
			s := born(t, l, c, "")
			answers(t, s)
			if s.StartMethod != method || !s.Facts.NoProc {
				t.Errorf("started by %s with facts %+v, want %s without /proc", s.StartMethod, s.Facts, method)
			}
			o.Known, o.Early = &s.Facts, s.StartMethod
			if NewLaunch(o).Early() {
				t.Error("the next image would be sent before there is a /proc")
			}
			if !strings.Contains(logged.String(), "/proc is not mounted") {
				t.Errorf("logged %s", &logged)
			}
			c.Close()
			if got := c.stderr.String(); got != "" {
				t.Errorf("the tool printed %q, want nothing", got)
			}
		})
	}
}

// Where there can't be a /proc, one error names that as the reason of all start methods, why
// the child can't have one alone, and what to do. No image is sent.
func TestNoProcAtAll(t *testing.T) {
	needRoot(t)
	for why, unshare := range map[string]string{
		"unshare not found": "",
		"unshare: unshare failed: Operation not permitted": "#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2\nexit 1\n",
	} {
		dir := tools(t, append(append([]string{}, basics...), "perl", "python3", "gzip")...)
		if unshare != "" {
			if err := os.WriteFile(filepath.Join(dir, "unshare"), []byte(unshare), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		// The test's own directories lie below /tmp, which stays as it is.
		l := NewLaunch(opts())
		c := &counting{Carrier: start(t, l.in(dir, "umount -l /proc"))}
		_, err := l.Run(bound(t), c)
		if !errors.Is(err, ErrNoStartMethod) {
			t.Fatal(err)
		}
		t.Log(err)
		want := "memfd-perl, memfd-python3, ram, tmpfs, disk: /proc is not mounted; proc: none can be mounted for the child alone: " +
			why + "; mount it there, as root: mount -t proc proc /proc"
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
		if c.turns > 3 {
			t.Errorf("%d round trips", c.turns)
		}
	}
}

// A filter for system calls that kills who calls memfd_create doesn't kill the
// start methods, nor the guard of the child that is made without.
func TestMemfdCreateIsFatal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for tool, methods := range map[string][]string{"perl": {StartPerl}, "python3": {StartPython}, "sh": nil} {
		t.Run(tool, func(t *testing.T) {
			dir := tools(t, append(append([]string{}, basics...), "perl", "python3", "gzip", "sha256sum")...)
			o := opts()
			o.StartMethods = methods
			l := NewLaunch(o)
			c := start(t, exec.Command(self, refuseRole, "SIGSYS", "/bin/sh", "-c", "export PATH="+dir+";"+l.Line()))
			s, err := l.Run(bound(t), c)
			if len(methods) > 0 {
				e, ok := errors.AsType[*Error](err)
				if !ok || !errors.Is(err, ErrNoStartMethod) || len(e.StartMethods) != 1 || e.StartMethods[0].Reason != "interpreter does not start: killed by SIGSYS, a seccomp filter forbids memfd_create" {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Welcome(Welcome{Path: "test"}); err != nil {
				t.Fatal(err)
			}
			answers(t, s)
			if s.StartMethod != StartRAM {
				t.Errorf("started by %s, want %s", s.StartMethod, StartRAM)
			}
		})
	}
}
