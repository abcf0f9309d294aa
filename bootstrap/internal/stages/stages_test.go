package stages

import (
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// parts returns the names of the parts of a file for sh.
func parts(t *testing.T, file string) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#: (\w+)$`).FindAllStringSubmatch(source(file), -1) {
		names = append(names, m[1])
	}
	return names
}

// sources returns the names of the files of a language.
func sources(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("the files %s are %v, error %v, want at least one", pattern, names, err)
	}
	return names
}

// check has a program read a script from its standard input, and returns its output. The
// program must succeed.
func check(t *testing.T, script string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v does not accept the script: %v\n%s\nThe script is:\n%s", argv, err, out, script)
	}
	return string(out)
}

// Every shell of this machine accepts the files, and the parts of them in the form that is sent.
func TestShellsTakeTheScripts(t *testing.T) {
	shells := [][]string{{"sh"}, {"dash"}, {"bash"}, {"busybox", "sh"}, {"ksh93"}, {"mksh"}, {"yash"}, {"posh"}, {"zsh", "--emulate", "sh"}}
	checked := 0
	for _, shell := range shells {
		if _, err := exec.LookPath(shell[0]); errors.Is(err, exec.ErrNotFound) {
			continue
		}
		checked++
		argv := append(shell[:len(shell):len(shell)], "-n")
		for _, file := range sources(t, "*.sh") {
			source := source(file)
			check(t, source, argv...)
			for _, part := range parts(t, file) {
				check(t, Shell(file, part)+"\n", argv...)
				check(t, "if :;then "+Shell(file, part)+";fi\n", argv...) // as it stands in a plan
			}
		}
	}
	if checked < 3 {
		t.Errorf("%d shells have checked the scripts, want at least sh, dash and bash", checked)
	}
}

// A part means the same before and after it is minified: bash reads both, and prints them as the
// same code.
func TestShellMeansTheSame(t *testing.T) {
	for _, file := range sources(t, "*.sh") {
		source := source(file)
		for _, part := range parts(t, file) {
			form := func(script string) string {
				return check(t, "f() {\n"+script+"\n}\ndeclare -f f\n", "bash")
			}
			if want, got := form(partOf(source, part)), form(Shell(file, part)); got != want || want == "" {
				t.Errorf("part %s of %s means, minified,\n%s\nwant\n%s", part, file, got, want)
			}
		}
	}
}

func TestPerlTakesTheProgram(t *testing.T) {
	for _, file := range sources(t, "*.pl") {
		source := source(file)
		line := strings.ReplaceAll(strings.ReplaceAll(Perl(file), "# @LOAD@\n", ""), "\n", "")
		for _, program := range []string{source, line} {
			check(t, program, "perl", "-c")
		}
		if strings.Contains(line, "'") {
			t.Errorf("%s has a single quote, which would end the word that it is sent in", file)
		}
		// With the module Deparse, perl prints the code that it has read.
		if exec.Command("perl", "-MO=Deparse", "-e", "1").Run() != nil {
			continue
		}
		if want, got := check(t, source, "perl", "-MO=Deparse"), check(t, line, "perl", "-MO=Deparse"); got != want {
			t.Errorf("%s means, minified,\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestPythonTakesTheProgram(t *testing.T) {
	for _, file := range sources(t, "*.py") {
		source := source(file)
		const print = "import ast,sys;print(ast.dump(ast.parse(sys.stdin.read())))"
		if want, got := check(t, source, "python3", "-c", print), check(t, Python(file), "python3", "-c", print); got != want || want == "" {
			t.Errorf("%s means, minified,\n%s\nwant\n%s", file, got, want)
		}
	}
	for _, file := range []string{"memfd.py", "trial.py"} {
		whole := Put(Python(file), "CREATE", Python("create.py"))
		if file == "memfd.py" {
			whole = Put(whole, "LOAD", Python("load.py"))
		}
		check(t, Python("clean.py")+whole, "python3", "-c", "import sys;compile(sys.stdin.read(),'stage','exec')")
	}
}

// No script executes a file by /proc/self. A sudo that intercepts the execution looks for the path
// as well, and there self is sudo.
func TestNothingIsExecutedBySelf(t *testing.T) {
	executes := regexp.MustCompile(`(^|exec |exec\{.*|system.*|(exec|spawn)v.*|[;&|({] ?)["]?/proc/self/fd`)
	for _, pattern := range []string{"*.sh", "*.pl", "*.py"} {
		for _, file := range sources(t, pattern) {
			for _, line := range code(source(file)) {
				if executes.MatchString(strings.TrimSpace(line)) {
					t.Errorf("%s executes a file by /proc/self, want the number of the process: %s", file, line)
				}
			}
		}
	}
	for _, line := range []string{"exec /proc/self/fd/8 8<&8", "{ /proc/self/fd/8 x; }", `exec{"/proc/self/fd/3"}`, `os.execv("/proc/self/fd/%d"%d)`} {
		if !executes.MatchString(line) {
			t.Errorf("%s is not recognised, want it found", line)
		}
	}
}

// The scripts as sent have the sizes that this test knows. The first stage has a bound, so
// nobody should add to it unnoticed.
func TestSizesAsSent(t *testing.T) {
	sizes := map[string]int{}
	for _, pattern := range []string{"*.sh", "*.pl", "*.py"} {
		for _, file := range sources(t, pattern) {
			switch path.Ext(file) {
			case ".sh":
				for _, part := range parts(t, file) {
					sizes[file] += len(Shell(file, part)) + 1
				}
			case ".pl":
				sizes[file] = len(Perl(file))
			case ".py":
				sizes[file] = len(Python(file))
			}
		}
	}
	want := map[string]int{
		"clean.py": 56, "create.py": 458, "first.sh": 1008, "load.pl": 39, "load.py": 119,
		"memfd.pl": 1616, "memfd.py": 1762, "plan.sh": 3066, "trial.pl": 543, "trial.py": 522,
	}
	if fmt.Sprint(sizes) != fmt.Sprint(want) {
		t.Errorf("the sizes are %#v, want %#v", sizes, want)
	}
}

func TestMinifiedShell(t *testing.T) {
	for _, test := range []struct{ source, want string }{
		{"# a comment\n\n\ta  b\n", "a  b"},
		{"a\nb\n", "a;b"},
		{"a && b || c | d\n", "a&&b||c|d"},
		{"a &&\n\tb\n", "a&&b"},
		{"a & b\n", "a & b"},
		{"a 2>&1 >&2\n", "a 2>&1 >&2"},
		{"a 2>&1 | b\n", "a 2>&1|b"},
		{"f() {\n\ta\n\tb\n}\nc\n", "f(){ a;b;};c"},
		{"f() { a; b; }\n", "f(){ a;b;}"},
		{"if a; then\n\tb\nelse\n\tc\nfi\n", "if a;then b;else c;fi"},
		{"for x in a b; do\n\tc\ndone\n", "for x in a b;do c;done"},
		{"case $x in\na|b)\n\tc\n\t;;\n*)\n\td\nesac\n", "case $x in a|b)c;;*)d;esac"},
		{"x=$(a)\nb\n", "x=$(a);b"},
		{"echo \"a && b ; # c\" 'd | e' f\\ \\;  g\n", "echo \"a && b ; # c\" 'd | e' f\\ \\;  g"},
		{"echo \"it's\" && b\n", "echo \"it's\"&&b"},
		{"echo 'a\\' && b\n", "echo 'a\\'&&b"},
		{"(a; b) && c\n", "(a;b)&&c"},
		{"dodo\nb\n", "dodo;b"},
		{"", ""},
	} {
		if got := minifyShell(test.source); got != test.want {
			t.Errorf("%q becomes %q, want %q", test.source, got, test.want)
		}
	}
}

func TestMinifiedPython(t *testing.T) {
	const source = "# a\ndef f():\n    # b\n\n    if a:\n        b  # c\n# @PLACE@\n"
	if got, want := minifyPython(source), "def f():\n if a:\n  b  # c\n# @PLACE@\n"; got != want {
		t.Errorf("it becomes %q, want %q", got, want)
	}
	if got, want := Put("a\n# @PLACE@\nb\n", "PLACE", "c\n"), "a\nc\nb\n"; got != want {
		t.Errorf("with a piece it becomes %q, want %q", got, want)
	}
}

// A caller's wrong name for a file, a part or a place makes a panic.
func TestNamesMustBeThere(t *testing.T) {
	for name, f := range map[string]func(){
		"file":  func() { Perl("none.pl") },
		"part":  func() { Shell("first.sh", "none") },
		"place": func() { Put("a\n", "NONE", "b") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a %s that does not exist made no panic, want one", name)
				}
			}()
			f()
		}()
	}
	if !slices.Contains(parts(t, "first.sh"), "loop") {
		t.Errorf("the parts of first.sh are %v, want loop among them", parts(t, "first.sh"))
	}
}
