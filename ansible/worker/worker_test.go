//go:build linux

package worker

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// library is a small library of the kind that payloads have.
var library = map[string]string{
	"ansible/__init__.py":              "",
	"ansible/module_utils/__init__.py": "",
	"ansible/module_utils/basic.py":    "import os\n_ANSIBLE_ARGS = None\nLOADED = os.getpid()\n",
	"ansible/modules/__init__.py":      "",
}

// module returns the task of a module with that source, and more files.
func module(t *testing.T, source string, more map[string]string) task {
	t.Helper()
	files := maps.Clone(library)
	files["ansible/modules/try.py"] = source
	maps.Copy(files, more)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := base64.StdEncoding.EncodeToString(b.Bytes())
	return task{Interpreter: interpreter, Shell: "/bin/sh", Zip: fmt.Sprintf("%x", sha256.Sum256([]byte(data))), Data: data, Task: order(t, nil)}
}

// order is a task for the zygote.
func order(t *testing.T, env map[string]string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"form": "runpy", "module": "ansible.modules.try", "params": `{"größe": 1}`, "env": env})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const interpreter = "/usr/bin/python3"

// newFarm makes a farm that ends with the test, with all its processes.
func newFarm(t *testing.T) *farm {
	t.Helper()
	if _, err := os.Stat(interpreter); err != nil {
		t.Fatal(err)
	}
	f := &farm{zygotes: make(map[place]*zygote), rests: make(map[string]*rest)}
	t.Cleanup(func() {
		f.mu.Lock()
		var all []*zygote
		for _, z := range f.zygotes {
			all = append(all, z)
		}
		f.mu.Unlock()
		for _, z := range all {
			z.mu.Lock()
			z.endLocked()
			z.mu.Unlock()
			select {
			case <-z.gone:
			case <-time.After(20 * time.Second):
				t.Error("a Python was told to end, and goes on after 20 s")
			}
		}
	})
	return f
}

func (f *farm) must(t *testing.T, task task) result {
	t.Helper()
	r, err := f.run(t.Context(), task)
	if err != nil || r.Refused != "" {
		t.Fatalf("the task ended with %+v, %v", r, err)
	}
	return r
}

func TestModuleRuns(t *testing.T) {
	f := newFarm(t)
	m := module(t, `
import os, sys
from ansible.module_utils import basic
sys.stderr.write("said")
print(basic._ANSIBLE_ARGS.decode(), os.environ["GIVEN"], os.getsid(0) == os.getpid(), repr(sys.stdin.read()), __name__, _module_fqn, basic.LOADED == os.getppid())
sys.exit(3)
`, nil)
	m.Task = order(t, map[string]string{"GIVEN": "a b"})
	first := f.must(t, m)
	const want = `{"größe": 1} a b True '' __main__ ansible.modules.try True` + "\n"
	if string(first.Stdout) != want || string(first.Stderr) != "said" || first.Status != 3 || !first.First {
		t.Errorf("the module ended with %q, %q, %d, first %v, want %q, said, 3, true", first.Stdout, first.Stderr, first.Status, first.First, want)
	}
	m.Data = ""
	if again := f.must(t, m); string(again.Stdout) != want || again.First {
		t.Errorf("with a known zip the module ended with %q, first %v, want %q, false", again.Stdout, again.First, want)
	}
}

func TestUnknownZipIsAskedFor(t *testing.T) {
	f := newFarm(t)
	m := module(t, "", nil)
	data := m.Data
	m.Data = ""
	if r := f.must(t, m); !r.Need {
		t.Errorf("the result for an unknown zip is %+v, want that it is needed", r)
	}
	m.Data = data
	if r := f.must(t, m); r.Need || r.Status != 1 || !strings.Contains(string(r.Stdout), "did not handle its own exit") {
		t.Errorf("the result with the zip is %+v, want that the module did not end itself", r)
	}
}

// What one module does to its process is not seen by the next.
func TestModulesDoNotSeeEachOther(t *testing.T) {
	f := newFarm(t)
	m := module(t, `
import os, sys
from ansible.module_utils import basic
print(getattr(basic, "spoilt", "clean"), os.environ.get("SPOILT", "clean"), os.getcwd(), "json.tool" in sys.modules)
basic.spoilt = os.environ["SPOILT"] = "spoilt"
import json.tool
os.chdir("/tmp")
os.umask(0)
sys.exit(0)
`, nil)
	first, second := f.must(t, m), f.must(t, m)
	if !bytes.Equal(first.Stdout, second.Stdout) || !strings.HasPrefix(string(first.Stdout), "clean clean ") {
		t.Errorf("the module says %q and then %q, want twice the same", first.Stdout, second.Stdout)
	}
}

// A zip with another library than the one that was imported gets its own.
func TestOtherLibrary(t *testing.T) {
	f := newFarm(t)
	const says = "import sys\nfrom ansible.module_utils import basic\nprint(getattr(basic, 'VERSION', 'old'))\nsys.exit(0)\n"
	f.must(t, module(t, says, nil))
	other := module(t, says, map[string]string{"ansible/module_utils/basic.py": "VERSION = 'new'\n"})
	if r := f.must(t, other); string(r.Stdout) != "new\n" {
		t.Errorf("the module says %q, %q, want that of its own library", r.Stdout, r.Stderr)
	}
	other.Data = ""
	if r := f.must(t, other); string(r.Stdout) != "new\n" {
		t.Errorf("the second time the module says %q, %+v", r.Stdout, r)
	}
}

func TestErrorsOfModules(t *testing.T) {
	f := newFarm(t)
	for source, want := range map[string]struct {
		status int
		err    string
	}{
		"raise ValueError('odd')":                    {1, "ValueError: odd"},
		"import sys; sys.exit('a text')":             {1, "a text\n"},
		"import os, signal; os.kill(os.getpid(), 9)": {137, ""},
		"import nothing_of_that_name":                {1, "ModuleNotFoundError"},
		"x = (":                                      {1, "SyntaxError"},
		"import sys, atexit; atexit.register(lambda: sys.stderr.write('at exit')); sys.exit(0)": {0, "at exit"},
	} {
		r := f.must(t, module(t, source, nil))
		if r.Status != want.status || !strings.Contains(string(r.Stderr), want.err) {
			t.Errorf("%q ended with %d, %q, want %d, %q", source, r.Status, r.Stderr, want.status, want.err)
		}
	}
}

func TestLargeOutputComesInPieces(t *testing.T) {
	f := newFarm(t)
	r := f.must(t, module(t, "import sys\nprint('x' * 2000000)\nsys.stderr.write('y' * 1000000)\nsys.exit(0)", nil))
	out, errOut := r.Stdout, r.Stderr
	pieces := 1
	for ; r.More != ""; pieces++ {
		if len(r.Stdout)+len(r.Stderr) > maxInline {
			t.Fatalf("a piece has %d bytes", len(r.Stdout)+len(r.Stderr))
		}
		var err error
		if r, err = f.more(r.More); err != nil {
			t.Fatal(err)
		}
		out, errOut = append(out, r.Stdout...), append(errOut, r.Stderr...)
	}
	if string(out) != strings.Repeat("x", 2000000)+"\n" || string(errOut) != strings.Repeat("y", 1000000) || pieces < 4 {
		t.Errorf("%d bytes and %d bytes came in %d pieces", len(out), len(errOut), pieces)
	}
	if _, err := f.more("1000"); err == nil {
		t.Error("an output of no task was there")
	}
}

// The end of the call ends the module and all that it has started in its session.
func TestCallEndsTheModule(t *testing.T) {
	f := newFarm(t)
	file := filepath.Join(t.TempDir(), "pids")
	m := module(t, `
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
p = subprocess.Popen(["sleep", "1000"])
with open(os.environ["FILE"] + ".new", "w") as f:
    f.write("%d %d" % (os.getpid(), p.pid))
os.rename(os.environ["FILE"] + ".new", os.environ["FILE"])
while True:
    time.sleep(1000)
`, nil)
	m.Task = order(t, map[string]string{"FILE": file})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	ended := make(chan error, 1)
	go func() {
		_, err := f.run(ctx, m)
		ended <- err
	}()
	var pids []string
	eventually(t, "the module runs", func() bool {
		b, err := os.ReadFile(file)
		pids = strings.Fields(string(b))
		return err == nil
	})
	cancel(reason)
	if err := <-ended; !errors.Is(err, reason) {
		t.Errorf("the call ended with %v, want %v", err, reason)
	}
	for _, word := range pids {
		pid, _ := strconv.Atoi(word)
		eventually(t, "process "+word+" has ended", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
}

// eventually waits for a condition, for 20 seconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came to it that %s", what)
}

func TestManyAtOnce(t *testing.T) {
	f := newFarm(t)
	m := module(t, "import os, sys\nprint(os.environ['N'])\nsys.exit(0)", nil)
	f.must(t, func() task { m := m; m.Task = order(t, map[string]string{"N": "0"}); return m }())
	var all sync.WaitGroup
	for i := range 40 {
		m := m
		m.Task = order(t, map[string]string{"N": fmt.Sprint(i)})
		all.Go(func() {
			if r, err := f.run(t.Context(), m); err != nil || string(r.Stdout) != fmt.Sprintln(i) || r.Status != 0 {
				t.Errorf("task %d ended with %+v, %v", i, r, err)
			}
		})
	}
	all.Wait()
}

// A process that a module leaves running does not hold up the result.
func TestDaemonWithTheOutputOpen(t *testing.T) {
	f := newFarm(t)
	began := time.Now()
	r := f.must(t, module(t, "import subprocess, sys\nprint(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)\nsys.exit(0)", nil))
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("the result took %v, want about %v", d, waitDelay)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(r.Stdout)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon: %v, want that it has been spared", err)
	}
}

func TestNoSuchPython(t *testing.T) {
	f := newFarm(t)
	for _, interpreter := range []string{"/no/python3", "/bin/true", "/bin/cat"} {
		m := module(t, "", nil)
		m.Interpreter = interpreter
		if r, err := f.run(t.Context(), m); err != nil || r.Refused == "" {
			t.Errorf("%s ended with %+v, %v, want that it is refused", interpreter, r, err)
		}
	}
}

// Without a zip there is nothing to run. Other tasks do not notice.
func TestNoZip(t *testing.T) {
	f := newFarm(t)
	good := module(t, "import sys\nsys.exit(4)", nil)
	f.must(t, good)
	bad := good
	bad.Zip, bad.Data = "bad", base64.StdEncoding.EncodeToString([]byte("no zip"))
	if r, err := f.run(t.Context(), bad); err != nil || r.Refused == "" {
		t.Errorf("a task without a zip ended with %+v, %v, want that it is refused", r, err)
	}
	if r := f.must(t, good); r.Status != 4 || r.First {
		t.Errorf("the next task ended with %+v, want status 4 in the same Python", r)
	}
}

// A Python that dies fails its tasks, and the next task gets another one.
func TestZygoteIsKilled(t *testing.T) {
	f := newFarm(t)
	kill := module(t, "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(20)", nil)
	if _, err := f.run(t.Context(), kill); !errors.Is(err, errGone) {
		t.Errorf("the task whose Python was killed ended with %v, want %v", err, errGone)
	}
	if r := f.must(t, module(t, "import sys\nsys.exit(5)", nil)); r.Status != 5 || !r.First {
		t.Errorf("the next task ended with %+v, want status 5 in a new Python", r)
	}
}

// A library that starts Python anew finds a zip on the disk, which is gone afterwards.
func TestZipOnDisk(t *testing.T) {
	f := newFarm(t)
	r := f.must(t, module(t, `
import subprocess, sys
sys.stdout.write(_modlib_path + "\n")
sys.stdout.flush()
sys.exit(subprocess.call([sys.executable, "-c", "import sys; sys.path.insert(0, %r); from ansible.module_utils import basic; print(basic.__file__)" % _modlib_path]))
`, map[string]string{"ansible/module_utils/common/__init__.py": "", "ansible/module_utils/common/respawn.py": ""}))
	path, used, _ := strings.Cut(string(r.Stdout), "\n")
	if r.Status != 0 || used != path+"/ansible/module_utils/basic.py\n" {
		t.Errorf("the module ended with %d, %q, %q, want that another Python has used the zip", r.Status, r.Stdout, r.Stderr)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Errorf("%s is still there", path)
	}
}

func TestScriptIsGoodForOldPythons(t *testing.T) {
	out, err := exec.Command(interpreter, "-c", "import ast, sys; ast.parse(sys.argv[1], feature_version=(3, 6))", script).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
