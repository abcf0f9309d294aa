//go:build linux

package integration

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A policy may let a shell run and forbid a step that the bootstrap needs. Then the connect fails
// at once with an error that names the policy, and leaves nothing.
func TestPoliciesOfSudo(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for name, test := range map[string]struct {
		defaults, shell string
		tag             string // of the command
		remove          []string
		user            string // "" is root, who could see the parent's executable
		says            string
		unnamed         bool // the policy lets programs run, and a probe names it
	}{
		"noexec":                            {user: "carol", defaults: "noexec", says: "noexec in sudoers"},
		"noexec, mksh":                      {user: "carol", defaults: "noexec", shell: "/bin/mksh", says: "noexec in sudoers"},
		"noexec, bash":                      {user: "carol", defaults: "noexec", shell: "/bin/bash", says: "noexec in sudoers"},
		"noexec, static bash":               {user: "carol", defaults: "noexec", shell: "/bin/bash-static", says: "noexec in sudoers"},
		"noexec, no interpreter":            {user: "carol", defaults: "noexec", remove: noInterpreter, says: "noexec in sudoers"},
		"intercept":                         {user: "carol", defaults: "intercept", says: "intercept in sudoers", unnamed: true},
		"intercept, no interpreter":         {user: "carol", defaults: "intercept", remove: noInterpreter, says: "intercept in sudoers", unnamed: true},
		"trace":                             {user: "carol", defaults: "intercept, intercept_type=trace", says: "intercept in sudoers", unnamed: true},
		"trace, no interpreter":             {user: "carol", defaults: "intercept, intercept_type=trace", remove: noInterpreter, says: "intercept in sudoers", unnamed: true},
		"root, noexec":                      {defaults: "noexec", says: "noexec in sudoers"},
		"root, intercept":                   {defaults: "intercept", says: "intercept in sudoers", unnamed: true},
		"root, trace":                       {defaults: "intercept, intercept_type=trace", says: "intercept in sudoers", unnamed: true},
		"root, tag":                         {tag: "INTERCEPT: ", says: "intercept in sudoers", unnamed: true},
		"root, subcommands":                 {defaults: "log_subcmds", says: "log_subcmds in sudoers", unnamed: true},
		"subcommands":                       {user: "carol", defaults: "log_subcmds", says: "log_subcmds in sudoers", unnamed: true},
		"subcommands, no interpreter":       {user: "carol", defaults: "log_subcmds", remove: noInterpreter, says: "log_subcmds in sudoers", unnamed: true},
		"root, subcommands, no interpreter": {defaults: "log_subcmds", remove: noInterpreter, says: "log_subcmds in sudoers", unnamed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := becomeHost("")
			h.Remove = test.remove
			h.Sudoers = "deploy ALL=(ALL) NOPASSWD: " + test.tag + "ALL"
			if test.defaults != "" {
				h.Sudoers = "Defaults:deploy " + test.defaults + "\n" + h.Sudoers
			}
			if test.shell != "" {
				h.Setup = append(h.Setup, "ln -sf "+test.shell+" /bin/sh")
			}
			host := start(t, h)
			user := enter(t, master(t, &contexts.Config{}), host, "deploy")
			hop := become.Sudo{User: test.user}
			before := look(host)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := user.Connect(ctx, hop)
			if took := time.Since(began); took > stretched(15*time.Second) {
				t.Errorf("the connect took %v, want at most %v", took, stretched(15*time.Second))
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the connect ended with %v, want an error that says %q", err, test.says)
			}
			if test.unnamed {
				if offer, err := user.Probe(ctx, hop); err != nil || offer.StartMethod() != "" || !strings.Contains(offer.Hint, test.says) {
					t.Errorf("the probe found %+v, error %v, want no start method and a hint that says %q", offer, err, test.says)
				}
			}
			if test.unnamed {
				managed := user.Manage(hop, nil)
				if _, err := managed.Connect(ctx); !errors.Is(err, bootstrap.ErrNoStartMethod) || errors.Is(err, contexts.ErrUnavailable) {
					t.Errorf("a managed host: error %v, want %v and not %v, since another attempt makes no sense", err, bootstrap.ErrNoStartMethod, contexts.ErrUnavailable)
				}
				if err := managed.Close(); err != nil {
					t.Error(err)
				}
			}
			before.restored(t, patience)
		})
	}
}

// A sudo that intercepts by a library lets a file without a name be executed, if its path does not
// lead sudo to a descriptor of its own. Each start method works then, as its trial says.
func TestInterceptByLibrary(t *testing.T) {
	lab.Require(t)
	if loader := image.OwnLoader(); loader != "" {
		t.Skipf("the program needs %s, so that sudo's library is loaded into the context: see docs/bootstrap.md", loader)
	}
	t.Parallel()
	for name, test := range map[string]struct {
		options string
		user    string
		remove  []string
		noexec  []string
		want    string
	}{
		"perl":                  {user: "carol", want: bootstrap.StartPerl},
		"python":                {user: "carol", remove: []string{"perl"}, want: bootstrap.StartPython},
		"memory":                {user: "carol", remove: noInterpreter, want: bootstrap.StartRAM},
		"disk":                  {user: "carol", remove: noInterpreter, noexec: inMemory, want: bootstrap.StartDisk},
		"root, tmpfs":           {remove: noInterpreter, noexec: inMemory, want: bootstrap.StartTmpfs},
		"subcommands, perl":     {options: "log_subcmds", user: "carol", want: bootstrap.StartPerl},
		"subcommands, memory":   {options: "log_subcmds", user: "carol", remove: noInterpreter, want: bootstrap.StartRAM},
		"no hash, image hashes": {user: "carol", remove: append([]string{"openssl", "sha256sum", "shasum"}, noInterpreter...), want: bootstrap.StartRAM},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := becomeHost("")
			h.Remove, h.Noexec = test.remove, test.noexec
			h.Sudoers = "Defaults:deploy " + cmp.Or(test.options, "intercept") + ", intercept_type=dso\ndeploy ALL=(ALL) NOPASSWD: ALL"
			host := start(t, h)
			self := master(t, &contexts.Config{})
			user := enter(t, self, host, "deploy")
			hop := become.Sudo{User: test.user}
			before := look(host)
			offer, err := user.Probe(t.Context(), hop)
			if err != nil || test.user != "" && offer.StartMethod() != test.want {
				t.Errorf("the probe says %+v, error %v, want %s", offer, err, test.want)
			}
			n := child(t, user, hop)
			if got := methodOf(t, self, n); test.user != "" && got != test.want {
				t.Errorf("the child was started by %s, want %s", got, test.want)
			}
			linkIsClean(t, n)
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			before.restored(t, patience)
		})
	}
}
