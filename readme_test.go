package mitosis_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goBlocks returns the blocks of Go code of a document, in order.
func goBlocks(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// goBuild builds a program of one file with the packages of this module, and
// returns what the compiler says.
func goBuild(t *testing.T, source, bin string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-o", bin, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A reader pastes the first program of README.md into a file and builds it.
func TestTheProgramInTheReadmeBuilds(t *testing.T) {
	blocks := goBlocks(t, "README.md")
	if len(blocks) == 0 || !strings.Contains(blocks[0], "package main") {
		t.Fatal("the first block of Go code in README.md is no program; want one that a reader can paste and build")
	}
	bin := filepath.Join(t.TempDir(), "lines")
	if out, err := goBuild(t, blocks[0], bin); err != nil {
		t.Fatalf("the program in README.md does not build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), bin).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "usage: lines HOST") {
		t.Errorf("the program without its argument: %v, %q; want its usage and a failure", err, out)
	}
}

// The other blocks are pieces of a program that has made contexts. A piece may
// leave a variable unused and declare one again; everything else in it has to be right.
func TestThePiecesInTheReadmeBuild(t *testing.T) {
	const program = `package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/attach"
	"github.com/mitosis-go/mitosis/contexts/broker"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/fakessh"
)

var (
	_ = fleet.New
	_ = fmt.Println
	_ = attach.Detach
	_ = broker.Dial
	_ = fakessh.Command
	_ = files.Put
	_ time.Duration
)

func main() {}

func piece(ctx context.Context, root, web, host *contexts.Node) {
%s}
`
	forgiven := regexp.MustCompile(`declared and not used|no new variables on left side`)
	pieces := goBlocks(t, "README.md")[1:]
	if len(pieces) < 3 {
		t.Fatalf("README.md has %d pieces of Go code behind its program; want those on commands, files and fakessh", len(pieces))
	}
	for _, piece := range pieces {
		out, _ := goBuild(t, fmt.Sprintf(program, piece), os.DevNull)
		for line := range strings.Lines(out) {
			if strings.Contains(line, ".go:") && !forgiven.MatchString(line) {
				t.Errorf("%sin this piece of README.md:\n%s", line, piece)
			}
		}
	}
}
