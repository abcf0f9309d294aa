//go:build linux

package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// Policies that let a shell run and forbid a step that a bootstrap needs end a
// connect at once, name the policy, and leave nothing.
func TestPoliciesOfSudo(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	for name, test := range map[string]struct {
		defaults, shell string
		remove          []string
		says            string
	}{
		"noexec":                    {defaults: "noexec", says: "noexec in sudoers"},
		"noexec, mksh":              {defaults: "noexec", shell: "/bin/mksh", says: "noexec in sudoers"},
		"noexec, bash":              {defaults: "noexec", shell: "/bin/bash", says: "noexec in sudoers"},
		"noexec, static bash":       {defaults: "noexec", shell: "/bin/bash-static", says: "noexec in sudoers"},
		"noexec, no interpreter":    {defaults: "noexec", remove: noInterpreter, says: "noexec in sudoers"},
		"intercept":                 {defaults: "intercept", says: "intercept in sudoers"},
		"intercept, no interpreter": {defaults: "intercept", remove: noInterpreter, says: "execution not allowed, Permission denied"},
		"trace":                     {defaults: "intercept, intercept_type=trace", says: "intercept in sudoers"},
		"trace, no interpreter":     {defaults: "intercept, intercept_type=trace", remove: noInterpreter, says: "execution not allowed, Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := becomeHost("")
			h.Remove = test.remove
			h.Sudoers = "Defaults:deploy " + test.defaults + "\ndeploy ALL=(ALL) NOPASSWD: ALL"
			if test.shell != "" {
				h.Setup = append(h.Setup, "ln -sf "+test.shell+" /bin/sh")
			}
			host := start(t, h)
			user := enter(t, master(t, &contexts.Config{}), host, "deploy")
			before := look(host)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := user.Connect(ctx, become.Sudo{User: "carol"})
			if took := time.Since(began); took > stretched(15*time.Second) {
				t.Errorf("it took %v, want at most %v", took, stretched(15*time.Second))
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, which does not say %q", err, test.says)
			}
			before.restored(t, patience)
		})
	}
}
