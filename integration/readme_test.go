//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// The first program of README.md works as the text says. It connects to a host over ssh, goes
// through sudo, and reads a file of root's there. It finds user, key and host key where ssh does.
func TestTheProgramInTheReadmeRuns(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	source, _, _ := strings.Cut(rest, "```")
	dir := t.TempDir()
	file, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "lines")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	goCommand(t, "build", "-trimpath", "-o", bin, file)

	key := lab.NewClientKey(t)
	web := start(t, lab.Host{
		Name:    "web1",
		Users:   []lab.User{{Name: "me", Keys: []string{key.Authorized}}},
		Sudoers: "me ALL=(ALL) NOPASSWD: ALL",
		SSHD:    &lab.SSHD{},
	})
	const home = "/home/me/"
	desk := start(t, lab.Host{
		Name:  "desk",
		Users: []lab.User{{Name: "me"}},
		Env:   map[string]string{"XDG_CACHE_HOME": nothingKept},
		Binds: []string{bin + ":/opt/lines:ro"},
		Files: map[string]string{home + ".ssh/id_ed25519": key.Private, home + ".ssh/known_hosts": web.KnownHosts()},
	})
	before, atDesk := look(web), look(desk)
	cmd := desk.CommandAs(t.Context(), "me", "/opt/lines", web.IP())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the program ended with %v, want no error: %s", err, out)
	}
	want := `^ssh:` + regexp.QuoteMeta(web.IP()) + `/sudo:root has [1-9][0-9]* accounts\n$`
	if !regexp.MustCompile(want).Match(out) {
		t.Errorf("the program printed %q, want a text that matches %s", out, want)
	}
	before.restored(t, deathBudget)
	atDesk.restored(t, deathBudget)
}
