package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/internal/treetest"
)

func TestMain(m *testing.M) {
	contexts.Init()
	if name := os.Getenv("JOURNAL_TO_WRITE"); name != "" {
		rollOut(name)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, name string) *Journal {
	t.Helper()
	j, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func group(self *contexts.Node, p fleet.Policy) (*fleet.Group, error) {
	return fleet.New(self, fleet.NewHosts("a", "b", "c", "d", "e"), &fleet.Config{
		Policy: p, Hops: func(string) ([]connect.Method, error) { return nil, nil },
	})
}

// rollOut is a process that is killed: it does a, fails on b, and does not end with c.
func rollOut(name string) {
	ctx := context.Background()
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		panic(err)
	}
	j, err := Open(name)
	if err != nil {
		panic(err)
	}
	g, err := group(self, fleet.Policy{FanOut: 1, Journal: j, Name: "roll"})
	if err != nil {
		panic(err)
	}
	for range fleet.Do(ctx, g, func(_ context.Context, m *fleet.Member, _ *contexts.Node) (int, error) {
		switch m.Name() {
		case "b":
			return 0, errors.New("not today")
		case "c":
			fmt.Println("at c")
			time.Sleep(time.Hour) // until it is killed
		}
		return 1, nil
	}) {
	}
}

// A process is killed in the middle. The next one does not do again what was done, does not
// touch what had begun, tries again what has failed, and goes on with the rest.
func TestResume(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "JOURNAL_TO_WRITE="+name)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "at c\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	if _, err := Open(name); !errors.Is(err, ErrInUse) {
		t.Errorf("a journal in use: %v, want ErrInUse", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	j := open(t, name)
	if j.Unknown("roll").String() != "c" {
		t.Errorf("the unknown members are %v, want c", j.Unknown("roll"))
	}
	g, err := group(treetest.Start(t, nil), fleet.Policy{FanOut: 1, Journal: j, Name: "roll"})
	if err != nil {
		t.Fatal(err)
	}
	again := func(name string) (string, *fleet.Results[int]) {
		var tried []string
		do := func(_ context.Context, m *fleet.Member, _ *contexts.Node) (int, error) {
			tried = append(tried, m.Name())
			return 1, nil
		}
		r := fleet.Collect(fleet.Do(t.Context(), g.With(fleet.Policy{FanOut: 1, Journal: j, Name: name}), do))
		return strings.Join(tried, " "), r
	}
	tried, r := again("roll")
	if tried != "b d e" || r.OK().String() != "a,b,d,e" || !errors.Is(r.Err(), fleet.ErrUnknown) {
		t.Errorf("%s were tried, %v are done, %v; want b d e, all but c, and ErrUnknown", tried, r.OK(), r.Err())
	}
	if a, _ := r.Of("a"); !a.Before || a.Attempts != 0 {
		t.Errorf("the result of a is %+v, want one from before", a)
	}
	if tried, _ := again("roll"); tried != "" {
		t.Errorf("a third run has tried %s", tried)
	}
	if err := j.Forget("roll", "c"); err != nil {
		t.Fatal(err)
	}
	if tried, r := again("roll"); tried != "c" || r.Err() != nil {
		t.Errorf("once it is forgotten %s was tried, %v, want c", tried, r.Err())
	}
	if tried, _ := again("another"); tried != "a b c d e" {
		t.Errorf("another operation has tried %s, want all", tried)
	}
}

func TestDamagedJournals(t *testing.T) {
	line := `{"time":"2026-01-02T03:04:05Z","operation":"o","member":"m","state":"done"}` + "\n"
	name := filepath.Join(t.TempDir(), "journal")
	for _, cut := range []string{"{", line[:len(line)-1], line[:20]} {
		if err := os.WriteFile(name, []byte(line+cut), 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(name)
		if err != nil {
			t.Fatalf("with a last line %q: %v", cut, err)
		}
		if j.State("o", "m") != fleet.StateDone || j.Begin("o", "n") != nil || j.Close() != nil {
			t.Errorf("with a last line %q: the state is %v, or nothing can be written", cut, j.State("o", "m"))
		}
		if j = open(t, name); j.State("o", "m") != fleet.StateDone || j.State("o", "n") != fleet.StateUnknown {
			t.Errorf("with a last line %q: what was written behind it is lost", cut)
		}
		j.Close()
	}
	for _, text := range []string{"nonsense\n" + line, line + "{}\n", `{"state":"odd"}` + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", text, err)
		}
		if after, err := os.ReadFile(name); err != nil || string(after) != text {
			t.Errorf("%q was changed to %q, %v", text, after, err)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the journal: %v, %v", info.Mode(), err)
	}
}

// A journal that can't be written keeps members from being tried.
func TestJournalOnAFullDisk(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	j.file.Close()
	if err := j.Begin("o", "m"); err == nil {
		t.Fatal("a closed file was written")
	}
	g, err := group(treetest.Start(t, nil), fleet.Policy{Journal: j, Name: "o"})
	if err != nil {
		t.Fatal(err)
	}
	r := fleet.Collect(fleet.Do(t.Context(), g, func(context.Context, *fleet.Member, *contexts.Node) (int, error) {
		t.Error("a member was tried that could not be recorded")
		return 0, nil
	}))
	if r.NotTried().Len() != 5 {
		t.Errorf("%d members were not tried, want all 5: %v", r.NotTried().Len(), r.Err())
	}
}
