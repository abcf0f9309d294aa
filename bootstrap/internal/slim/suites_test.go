package slim

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// inShort are the tests that run in the short form of a package with many tests: those that
// need data which Strip could have destroyed. Such data are types, names of functions, the stacks
// of all kinds of goroutines, panics, and children of children.
var inShort = map[string]string{
	"contexts":  "Call|Panic|Errors|Object|Function|Stack|Tree|Connect|Command",
	"bootstrap": "Guard|StartMethod|Own",
}

// The tests of other packages pass in an executable whose tables were cleared. The same
// executable is the image of all their children, even of local ones.
func TestSuitesOfSlimPrograms(t *testing.T) {
	for pkg, args := range map[string][]string{
		"core": {"-test.skip=TestStackIsCompletedFromPlaces"}, // it needs an executable with all tables
		// The skipped tests look for their own lines in the master.
		"contexts": {"-test.skip=TestErrorsKeepTheirMeaning|TestPanicWhereThereAreNoLines|TestPanicElsewhere"},
		// A fast part: carriers, guards, and every start method.
		"bootstrap": {"-test.run=Carrier|Child|Guard|Dies|StartMethod|Hello|Memory|Own"},
	} {
		if testing.Short() {
			args = append(args, "-test.short")
			if part := inShort[pkg]; part != "" {
				args = append(args, "-test.run="+part)
			}
		}
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			bin := filepath.Join(t.TempDir(), pkg+".test")
			cmd := exec.Command("go", "test", "-c", "-o", bin, "../../../"+pkg)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			exe, err := os.ReadFile(bin)
			if err != nil {
				t.Fatal(err)
			}
			if exe, err = strip(exe); err != nil {
				t.Fatal(err)
			}
			slim := bin + ".slim"
			if err := os.WriteFile(slim, exe, 0o700); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `exec "$@"`, "sh", slim}, args...)...)
			cmd.Dir = "../../../" + pkg
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
