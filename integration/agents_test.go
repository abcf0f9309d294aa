//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// packed has the command pack make the files of a program for this system, in a directory
// of the test.
func packed(t *testing.T, pkg, codecs string) string {
	t.Helper()
	dir := t.TempDir()
	goCommand(t, "run", module+"cmd/pack", "-o", dir, "-systems", runtime.GOOS+"/"+runtime.GOARCH, "-codecs", codecs, pkg)
	return dir
}

// embedded builds a program of this module as if the files of a directory lay in a folder of its
// sources, which it embeds. It returns the program's path. If files is "", the folder is empty.
func embedded(t *testing.T, pkg, folder, files string) string {
	t.Helper()
	var names []string
	if files != "" {
		var err error
		if names, err = filepath.Glob(filepath.Join(files, "*")); err != nil || len(names) == 0 {
			t.Fatalf("the files to embed in %s are %v, error %v, want at least one", files, names, err)
		}
	}
	at, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	replace := make(map[string]string)
	stale, _ := filepath.Glob(filepath.Join(at, "*_*"))
	for _, name := range stale {
		replace[name] = "" // this build does not see files that a developer has packed there
	}
	for _, name := range names {
		replace[filepath.Join(at, filepath.Base(name))] = name
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "program")
	goCommand(t, "build", "-trimpath", "-ldflags", "-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", bin, pkg)
	return bin
}

// unpackedSize returns the size of the executable that the files in dir hold, packed.
func unpackedSize(t *testing.T, dir string) (size int) {
	t.Helper()
	sum, err := os.ReadFile(filepath.Join(dir, runtime.GOOS+"_"+runtime.GOARCH+".sum"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(sum), "%s %d", new(string), &size); err != nil {
		t.Fatal(err)
	}
	return size
}

// agentLimits bound the size of the command line's agent as it is sent, in bytes, by codec.
var agentLimits = map[string]int64{".zst": 2_500_000, ".xz": 2_200_000, ".gz": 3_100_000}

// The command line sends its agent, which is smaller and has the same functions. It does so
// without a message. The agent makes further hops itself, and copies files.
func TestCommandLineSendsItsAgent(t *testing.T) {
	t.Parallel()
	o := newOffice(t, map[string]string{"/home/deploy/file": "a file\n"})
	agent := packed(t, module+"cmd/agent", "gzip,zstd,xz")
	for suffix, limit := range agentLimits {
		info, err := os.Stat(filepath.Join(agent, runtime.GOOS+"_"+runtime.GOARCH+suffix))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the agent's %s form has %d bytes", suffix, info.Size())
		if info.Size() > limit {
			t.Errorf("the agent is sent as %d bytes (%s), want at most %d", info.Size(), suffix, limit)
		}
	}
	const look = "stat -Lc %s /proc/$PPID/exe"
	sizeThere := func(path string) int {
		t.Helper()
		r := finish(t, o.command(t.Context(), "run", path, "--", "sh", "-c", look))
		size, err := strconv.Atoi(strings.TrimSpace(r.out))
		if err != nil || r.err != "" || r.status != 0 {
			t.Fatalf("the run at %s ended with %+v, want the size of a program and nothing else", path, r)
		}
		return size
	}
	own := sizeThere(o.path)

	program, err := os.ReadFile(embedded(t, module+"cmd/mitosis", "../cmd/mitosis/agents", agent))
	if err == nil {
		err = os.WriteFile(o.program, program, 0o755) // the file that the desk has
	}
	if err != nil {
		t.Fatal(err)
	}
	want := unpackedSize(t, agent)
	if want >= own {
		t.Errorf("the agent has %d bytes, the program itself as it is sent %d: want less", want, own)
	}
	for _, path := range []string{o.path, o.path + "/sudo", o.path + "/sudo/sudo:app"} {
		if got := sizeThere(path); got != want {
			t.Errorf("at %s runs a program of %d bytes, want the agent, which has %d", path, got, want)
		}
	}
	if r := finish(t, o.command(t.Context(), "get", o.path, "/home/deploy/file", "/tmp/file")); r.status != 0 || r.err != "" {
		t.Errorf("copying a file by way of the agent ended with %+v, want status 0 and no message", r)
	}
}

// An agent with other functions is not used. The program warns of it and sends itself.
func TestStaleAgent(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	program, err := os.ReadFile(embedded(t, module+"cmd/mitosis", "../cmd/mitosis/agents", packed(t, module+"examples/callback", "gzip")))
	if err == nil {
		err = os.WriteFile(o.program, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := finish(t, o.command(t.Context(), "run", o.path, "--", "echo", "done"))
	if r.status != 0 || r.out != "done\n" || !strings.Contains(r.err, "the image in Config.Images is not used") {
		t.Errorf("the run ended with %+v, want the output and a warning", r)
	}
}

// The example sends its agent to a shell of this host.
func TestAgentOfTheExample(t *testing.T) {
	t.Parallel()
	agent := packed(t, module+"examples/agent/agent", "gzip")
	run := func(bin string) int {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, bin)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+nothingKept)
		out, err := cmd.CombinedOutput()
		found := regexp.MustCompile(`^command:shell: \S+ runs a program of (\d+) bytes\n$`).FindSubmatch(out)
		if err != nil || found == nil {
			t.Fatalf("the example ended with %v and printed %q, want a line with a size", err, out)
		}
		size, _ := strconv.Atoi(string(found[1]))
		return size
	}
	if got, want := run(embedded(t, module+"examples/agent", "../examples/agent/images", agent)), unpackedSize(t, agent); got != want {
		t.Errorf("the program that runs there has %d bytes, want the agent, which has %d", got, want)
	}
	alone := embedded(t, module+"examples/agent", "../examples/agent/images", "")
	if got, agent := run(alone), unpackedSize(t, agent); got <= agent {
		t.Errorf("without the files the program that runs there has %d bytes, want more than the %d of the agent", got, agent)
	}
}
