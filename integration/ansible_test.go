//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mitosis-go/mitosis/integration/lab"
)

// A playHost is a desk with Ansible and a host for it to change. Both have file systems of their own.
type playHost struct {
	desk, target *lab.Running
	program      string
	dir          string // of the playbook, at the desk
	core         string // directory of another ansible-core; "": the one that is installed
}

// coresVariable lists directories of further versions of ansible-core, separated by colons: see
// testdata/ansible/fetch.sh.
const coresVariable = "MITOSIS_TEST_ANSIBLE_CORES"

// cores returns the versions of ansible-core for tests.
func cores() []string {
	return append([]string{""}, filepath.SplitList(os.Getenv(coresVariable))...)
}

const carolsPassword = "carol's own"

// newPlayHost makes a desk and a host. All that are made have the same accounts and files.
func newPlayHost(t *testing.T, core string) *playHost {
	t.Helper()
	program := buildProgram(t)
	collection, err := filepath.Abs("../ansible")
	if err != nil {
		t.Fatal(err)
	}
	key := lab.NewClientKey(t)
	target := lab.Start(t, lab.Host{
		Name: "target",
		Users: []lab.User{
			{Name: "root", Password: rightPassword},
			{Name: "deploy", Password: rightPassword, Keys: []string{key.Authorized}},
			{Name: "carol", Password: carolsPassword, Keys: []string{key.Authorized}},
			{Name: "app", Password: rightPassword},
			{Name: "fish", Shell: "/usr/bin/fish", Keys: []string{key.Authorized}},
			{Name: "tcsh", Shell: "/usr/bin/tcsh", Keys: []string{key.Authorized}},
		},
		Sudoers: "Defaults timestamp_timeout=0\nDefaults:carol requiretty\ndeploy ALL=(ALL:ALL) NOPASSWD: ALL\ncarol ALL=(ALL:ALL) ALL",
		SSHD:    &lab.SSHD{Config: []string{"MaxStartups 100"}},
	})
	files := map[string]string{
		"/root/.ssh/id_ed25519":  key.Private,
		"/root/.ssh/known_hosts": target.KnownHosts(),
		"/root/play/page.j2":     "for {{ inventory_hostname }}: {{ 6 * 7 }}\n",
		"/root/play/script.sh":   "#!/bin/sh\nprintf '<%s>' \"$@\"; id -un\n",
		"/root/play/tree/a":      "a\n",
		"/root/play/tree/b/c":    "c\n",
		"/root/play/big":         strings.Repeat("0123456789abcdef\n", 20000),
		"/root/play/inventory": fmt.Sprintf(`
[all:vars]
ansible_host=%s
ansible_python_interpreter=/usr/bin/python3
root_password=%s
asks_password="%s"
[all]
target ansible_user=deploy ansible_ssh_pipelining=true
asks ansible_user=carol
nobody ansible_port=1
`, target.IP(), rightPassword, carolsPassword),
	}
	for name, in := range map[string]string{"suite.yml": "", "outcomes.py": "callback"} {
		content, err := os.ReadFile(filepath.Join("testdata/ansible", in, name))
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Join("/root/play", in, name)] = string(content)
	}
	binds := []string{program + ":ro", collection + ":/root/collections/ansible_collections/mitosis_go/ansible:ro"}
	if core != "" {
		binds = append(binds, core+":ro")
	}
	desk := lab.Start(t, lab.Host{
		Name:  "desk",
		Binds: binds,
		Files: files,
		Setup: []string{"tar -C /root/play/tree -cf /root/play/tree.tar a"},
	})
	return &playHost{desk, target, program, "/root/play", core}
}

// write writes a file beside the playbook.
func (p *playHost) write(t *testing.T, name, content string) {
	t.Helper()
	cmd := p.desk.Command(t.Context(), "tee", p.dir+"/"+name)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// command prepares to run a playbook with some more environment.
func (p *playHost) command(t *testing.T, playbook string, env ...string) *lab.Cmd {
	t.Helper()
	argv := []string{"ansible-playbook", "-i", "inventory", playbook}
	if p.core != "" {
		argv = append([]string{python, "-c", "import sys; from ansible.cli.playbook import main; sys.exit(main())"}, argv[1:]...)
		env = append(slices.Clone(env), "PYTHONPATH="+p.core)
	}
	cmd := p.desk.Command(t.Context(), argv...)
	cmd.Dir = p.dir
	cmd.Env = append(cmd.Env, slices.Concat([]string{
		"LANG=C.UTF-8", "ANSIBLE_STDOUT_CALLBACK=outcomes", "ANSIBLE_CALLBACK_PLUGINS=callback", "ANSIBLE_NOCOLOR=1", "ANSIBLE_TIMEOUT=300",
		"ANSIBLE_COLLECTIONS_PATH=/root/collections", "ANSIBLE_MITOSIS_EXECUTABLE=" + p.program, "ANSIBLE_LOCALHOST_WARNING=0",
	}, env)...)
	return cmd
}

// play runs a playbook, and returns what it prints.
func (p *playHost) play(t *testing.T, playbook string, env ...string) string {
	t.Helper()
	out, err := p.command(t, playbook, env...).CombinedOutput()
	if status := shellStatus(t, err); status != 0 && status != 2 && status != 4 { // tasks have failed, hosts were unreachable
		t.Errorf("ansible-playbook ended with status %d", status)
	}
	return string(out)
}

const overMitosis = "ANSIBLE_TRANSPORT=mitosis_go.ansible.mitosis"

// unstable are texts that differ from run to run, or that a connection may word in its own way.
var unstable = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^Traceback[\s\S]*?^\S*(Error|Exception)[^\n]*\n`),
	regexp.MustCompile(`ansible-tmp-[0-9.]+-[0-9]+-[0-9]+`),
	regexp.MustCompile(`ansible-local-[0-9]+[a-z0-9_]+/tmp[a-z0-9_]+`),
	regexp.MustCompile(`"[am]time": [0-9.]+`),
	regexp.MustCompile(`\.[0-9]+\.[0-9-]+@[0-9:]+~`),
	regexp.MustCompile(`(unreachable \| \{).*`),
}

func outcomes(out string) []string {
	for _, u := range unstable {
		out = u.ReplaceAllString(out, "$1")
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// leftBy lists the files that a playbook has made or changed at a host: kind, mode, owner, size, and
// the hash of what is in it.
func leftBy(t *testing.T, s scene) []string {
	t.Helper()
	var names strings.Builder
	for _, line := range lab.Diff(s.files, s.host.Snapshot(), slices.Concat(lab.LoginTraces, []string{"/home/deploy/.ansible", "/home/deploy/.ansible_async", "/home/carol/.ansible"})...) {
		sign, name, _ := strings.Cut(line, " ")
		if own := strings.HasPrefix(name, "/etc/") || strings.Contains(name, "_payload_"); sign != "-" && !own {
			names.WriteString(name + "\x00")
		}
	}
	cmd := s.host.Command(t.Context(), "xargs", "-0", "sh", "-c", `for f; do
		test -f "$f" && sum=$(sha256sum <"$f") || sum=$(readlink "$f")
		stat -c "%n %F %A %U %G $sum" "$f"
	done`, "sh")
	cmd.Stdin = strings.NewReader(names.String())
	out, err := cmd.Output()
	if err != nil {
		t.Error(err)
	}
	return outcomes(string(out))
}

// The suite has the same outcomes, and leaves the same files, over plain ssh and over mitosis, by
// each version of ansible-core.
func TestAnsibleSuite(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	for _, core := range cores() {
		t.Run("core "+filepath.Base(core), func(t *testing.T) {
			t.Parallel()
			testAnsibleSuite(t, core)
		})
	}
}

func testAnsibleSuite(t *testing.T, core string) {
	type run struct {
		way          string
		lines, files []string
	}
	ways := map[string][]string{
		"ssh":  nil,
		"fork": {overMitosis},
		"exec": {overMitosis, "ANSIBLE_MITOSIS_PYTHON=exec"},
	}
	ended := make(chan run, len(ways))
	t.Run("at once", func(t *testing.T) {
		for way, env := range ways {
			t.Run(way, func(t *testing.T) {
				t.Parallel()
				p := newPlayHost(t, core)
				before, desk := look(p.target), look(p.desk)
				out := p.play(t, "suite.yml", env...)
				if env != nil {
					before.quiet(t, patience)
					desk.quiet(t, patience)
				}
				ended <- run{way, outcomes(out), leftBy(t, before)}
				if t.Failed() || testing.Verbose() {
					t.Log(out)
				}
			})
		}
	})
	close(ended)
	runs := map[string]run{}
	for r := range ended {
		runs[r.way] = r
	}
	plain := runs["ssh"]
	for way, r := range runs {
		compare(t, "outcomes over "+way, r.lines, plain.lines)
		compare(t, "files over "+way, r.files, plain.files)
	}
	if len(plain.lines) < 70 || len(plain.files) < 10 {
		t.Errorf("the suite has %d outcomes and %d files, want those of all its tasks:\n%s", len(plain.lines), len(plain.files), strings.Join(plain.lines, "\n"))
	}
}

// compare shows how two lists of lines differ.
func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s differ in line %d:\n got %.1500s\nwant %.1500s", what, i, g, w)
		}
	}
}
