package examples_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// run builds an example as a user would and runs it.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	bin := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+os.DevNull) // the packed image does not stay with whoever runs the tests
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func expect(t *testing.T, out string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(out) {
			t.Errorf("%q is not in the output:\n%s", p, out)
		}
	}
}

func TestQuickstart(t *testing.T) {
	expect(t, run(t, "quickstart"),
		`over ssh in .*: ssh:`,
		`an error keeps its meaning: .*no/such/place`,
		`called back: hello ssh:.*, process \d+`,
		`msg=looking context=ssh:\S+ path=/`,
		`(?m)^0 +master `,
		`all contexts have ended`)
}

func TestCallback(t *testing.T) {
	expect(t, run(t, "callback"), `local: 1 of 4`, `local: 4 of 4`, `result: [0-9a-f]{16}`)
}

func TestObject(t *testing.T) {
	expect(t, run(t, "object"),
		`\[local\] counted in process \d+`,
		`as an argument:\ncell 4\na 2\ncellula 2\n`,
		`over a named pipe:\ncell 4\na 2\n`)
}
