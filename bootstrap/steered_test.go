//go:build linux

package bootstrap

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// steeredMethods are the start methods, and what the far side needs for each besides [basics];
// hashers that are scripts are among that.
var steeredStartMethods = map[string][]string{
	StartPerl:   {"perl", "gzip", "tee", "shasum"},
	StartPython: {"python3", "zstd"},
	StartRAM:    {"gzip", "shasum", "perl"},
	StartTmpfs:  {"xz", "python3", "unshare"},
	StartDisk:   {"gzip", "sha256sum"},
}

// environment is what the child at the other end of s was started with, but for
// variables that every shell sets, and the context's mark.
func environment(t *testing.T, s *Session) []string {
	t.Helper()
	var env []string
	for {
		line := readLine(t, s)
		if line == "END" {
			slices.Sort(env)
			return env
		}
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"_", "SHLVL", "PWD", "OLDPWD", "SHELLOPTS", "BASHOPTS", "MITOSIS_CONTEXT"}, name) {
			env = append(env, line)
		}
	}
}

// orderEnvironment has the child print it.
const orderEnvironment = "run /usr/bin/env;echo END"

// Variables by which a shell, an interpreter or a tool can be steered do not reach the
// bootstrap, and reach the child.
func TestEnvironmentDoesNotSteerTheBootstrap(t *testing.T) {
	needRoot(t)
	sh := bashAsSh(t)   // it has the most to be steered by
	evil := t.TempDir() // a place for modules, each of which notes that it was loaded
	ran := filepath.Join(evil, "ran")
	for name, text := range map[string]string{
		"Evil.pm": "open F,'>','" + ran + "';1;\n", "Digest/SHA.pm": "open F,'>','" + ran + "';1;\n", "open.pm": "open F,'>','" + ran + "';1;\n",
		"rc": "touch " + ran + "\nexit 3\n",
	} {
		path := filepath.Join(evil, name)
		if err := firstOf(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	plantModules(t, evil, ran)
	sets := map[string][]string{
		"PERL_UNICODE":    {"PERL_UNICODE=SAD"},
		"PERL_UNICODE 2":  {"PERL_UNICODE=", "PERLIO=:utf8", "PERL_ENCODING=latin1"},
		"PERLIO":          {"PERLIO=:crlf"},
		"PERL5OPT":        {"PERL5OPT=-MEvil -C7 -w", "PERL5LIB=" + evil},
		"PERL5OPT debug":  {"PERL5OPT=-d", "PERL5DB=BEGIN{open F,'>','" + ran + "'}"},
		"PERL5OPT taint":  {"PERL5OPT=-T"},
		"PERL5OPT layers": {"PERL5OPT=-Mopen=:std,:encoding(UTF-16)", "PERLLIB=" + evil},
		"PERL5LIB":        {"PERL5LIB=" + evil + ":.", "PERL_USE_UNSAFE_INC=1"},
		"locale":          {"LC_ALL=xx_YY.nothing", "LANG=tr_TR.UTF-8", "LANGUAGE=de"},
		"no locale":       {"LC_ALL=C"},
		"PYTHON":          {"PYTHONPATH=" + evil, "PYTHONSTARTUP=" + evil + "/rc", "PYTHONINSPECT=1", "PYTHONUNBUFFERED=1"},
		"PYTHONHOME":      {"PYTHONHOME=/nonexistent", "PYTHONIOENCODING=utf-16", "PYTHONVERBOSE=1", "PYTHONWARNINGS=error"},
		"PYTHON locale":   {"PYTHONUTF8=0", "PYTHONCOERCECLOCALE=warn", "LC_ALL=C", "LC_CTYPE=POSIX", "PYTHONSAFEPATH="},
		"ENV":             {"ENV=" + evil + "/rc", "BASH_ENV=" + evil + "/rc", "ZDOTDIR=" + evil},
		"posix":           {"POSIXLY_CORRECT=1", "_POSIX2_VERSION=209912", "IFS=0123456789abcdef/", "CDPATH=" + evil + ":/usr"},
		"nounset":         {"SHELLOPTS=nounset"},
		"everything set":  {"SHELLOPTS=allexport:errexit:noglob:nounset:noclobber:pipefail:physical:posix:onecmd"},
		"traces":          {"SHELLOPTS=xtrace:verbose", "PS4=$(touch " + ran + ")+"},
		"BASHOPTS":        {"BASHOPTS=failglob:nullglob:extglob:lastpipe:xpg_echo:nocasematch:dotglob", "XDG_RUNTIME_DIR=/nowhere*[a"},
		"functions":       {"BASH_FUNC_cd%%=() { touch " + ran + "\n}", "BASH_FUNC_command%%=() { touch " + ran + "\n}", "BASH_FUNC_perl%%=() { touch " + ran + "\n}", "BASH_FUNC_printf%%=() { touch " + ran + "\n}"},
		"functions 2":     {"BASH_FUNC_head%%=() { touch " + ran + "\n}", "BASH_FUNC_rm%%=() { touch " + ran + "\n}", "BASH_FUNC_unset%%=() { touch " + ran + "\n}", "BASH_FUNC_python3%%=() { touch " + ran + "\n}"},
		"unpackers":       {"GZIP=-t", "XZ_OPT=-t", "XZ_DEFAULTS=--format=raw", "ZSTD_CLEVEL=x", "ZSTD_NBTHREADS=x"},
		"hashers":         {"OPENSSL_CONF=/nonexistent/x", "TAR_OPTIONS=-x", "GREP_OPTIONS=-v", "LS_COLORS=x", "QUOTING_STYLE=c", "TIME_STYLE=x", "BLOCK_SIZE=x"},
		"one-letter ones": {"m=x", "w=x", "h=x", "c=x", "f=x", "s=x", "t=x", "d=x", "x=x", "p=x", "y=x", "u=x", "n=x", "i=x", "r=x", "e=x", "z=x", "k=x", "o=x"},
	}
	for i, name := range slices.Sorted(maps.Keys(sets)) {
		set := sets[name]
		methods := []string{StartPerl, StartPython, StartRAM}
		if testing.Short() {
			switch {
			case strings.HasPrefix(name, "PERL"):
				methods = []string{StartPerl, StartRAM} // the latter hashes by perl
			case strings.HasPrefix(name, "PYTHON"):
				methods = []string{StartPython}
			default:
				methods = methods[i%3:][:1]
			}
		}
		for _, method := range methods {
			has := steeredStartMethods[method]
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				path := tools(t, append(slices.Clone(basics), has...)...)
				want := []string{"PATH=" + path, "HOME=/root"}
				cmd := exec.Command(sh, "-c", l.script())
				cmd.Env = append([]string{"PATH=" + path, "HOME=/root"}, set...)
				for _, v := range set {
					if name, _, _ := strings.Cut(v, "="); name != "SHELLOPTS" && name != "BASHOPTS" && name != "IFS" {
						want = append(want, v)
					}
				}
				s := born(t, l, start(t, cmd), orderEnvironment)
				got := environment(t, s)
				slices.Sort(want)
				// Functions that were in the way are gone, the stage has names of one letter
				// itself, and bash sets these otherwise.
				changed := strings.HasPrefix(name, "functions") || slices.Contains([]string{"one-letter ones", "everything set", "posix", "traces"}, name)
				if !changed && !slices.Equal(got, want) {
					t.Errorf("the child has the variables\n%q, not\n%q", got, want)
				}
				if s.StartMethod != method {
					t.Errorf("start method %s", s.StartMethod)
				}
				if _, err := os.Stat(ran); err == nil {
					t.Error("something of the environment was executed")
					os.Remove(ran)
				}
			})
		}
	}
}

// bashAsSh is bash under the name by which it is /bin/sh.
func bashAsSh(t *testing.T) string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	sh := filepath.Join(t.TempDir(), "sh")
	if err := os.Symlink(bash, sh); err != nil {
		t.Fatal(err)
	}
	return sh
}

// plantModules writes a module for each that python has, which notes that it was loaded.
func plantModules(t *testing.T, dir, ran string) {
	t.Helper()
	names, err := exec.Command("/usr/bin/python3", "-c", "import sys;print('\\n'.join(sys.stdlib_module_names))").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(names)) {
		text := "open('" + ran + "','a').write('" + name + "\\n')\n"
		if err := os.WriteFile(filepath.Join(dir, name+".py"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Nothing is executed that lies in the directory where the hop starts: no module of an
// interpreter, and no program where PATH names that directory. The child starts there.
func TestDirectoryDoesNotSteerTheBootstrap(t *testing.T) {
	needRoot(t)
	for method, has := range steeredStartMethods {
		for _, path := range []string{"%s", ".:%s", "bin::./bin:%s"} {
			t.Run(method+" "+path, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				ran := filepath.Join(t.TempDir(), "ran")
				plantModules(t, dir, ran)
				for _, name := range []string{"Digest/SHA.pm", "strict.pm", "Errno.pm", "utf8.pm", "warnings.pm", "bytes.pm"} {
					file := filepath.Join(dir, name)
					if err := firstOf(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("open F,'>','"+ran+"';1;\n"), 0o644)); err != nil {
						t.Fatal(err)
					}
				}
				for _, name := range slices.Concat(stageTools, basics, []string{"openssl", "ls", "true", "printf", "unshare"}) {
					for _, file := range []string{filepath.Join(dir, name), filepath.Join(dir, "bin", name)} {
						if err := firstOf(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("#!/bin/sh\necho "+name+" >>"+ran+"\n"), 0o755)); err != nil {
							t.Fatal(err)
						}
					}
				}
				o := opts()
				o.StartMethods = []string{method}
				l := NewLaunch(o)
				all := strings.Replace(path, "%s", tools(t, append(slices.Clone(basics), has...)...), 1)
				cmd := exec.Command("/bin/sh", "-c", "PERL_USE_UNSAFE_INC=1;export PERL_USE_UNSAFE_INC;PATH="+all+";export PATH;"+l.Line())
				cmd.Dir = dir
				s := born(t, l, start(t, cmd), "run pwd -P")
				if got := readLine(t, s); got != dir {
					t.Errorf("the child starts in %s, not %s", got, dir)
				}
				if s.StartMethod != method {
					t.Errorf("start method %s", s.StartMethod)
				}
				if got, err := os.ReadFile(ran); err == nil {
					t.Errorf("executed from the directory where the hop starts: %q", got)
				}
			})
		}
	}
}
