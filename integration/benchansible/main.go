//go:build linux

// Command benchansible measures playbooks over plain ssh, with and without pipelining, over Mitogen and
// over mitosis, in turns and in one run. It prints a row for each playbook, as ratios to the first way, which is pipelining.
//
//	benchansible [-rounds N] [-tasks N] [-mitogen DIRECTORY] [loop|tasks|copy|facts|hosts ...]
//
// The clock runs from the second task of a playbook to its end: the first connects. Bytes are those
// that pass the host's link in the whole run, connecting included. It needs root, and Ansible.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/integration/lab"
)

var (
	rounds  = flag.Int("rounds", 5, "runs of each playbook in each way; medians are shown")
	tasks   = flag.Int("tasks", 100, "tasks of the playbooks loop and tasks, and files of copy")
	mitogen = flag.String("mitogen", "", "`DIRECTORY` with ansible_mitogen and mitogen; else those that are installed")
	plain   = flag.Bool("plain", false, "measure ssh without pipelining, too, which takes long")
	verbose = flag.Bool("verbose", false, "print what Ansible prints with -vvvv, which takes time of its own")
	only    = flag.String("only", "", "the `WAYS` to measure, with commas between them")
	program = flag.String("program", "bin/mitosis", "the program mitosis")
)

// A way is a way to run a playbook.
type way struct {
	name string
	env  []string
}

// A sample is the outcome of one run.
type sample struct {
	Seconds float64
	Failed  []string
	bytes   int
}

func main() {
	flag.Parse()
	if err := measure(context.Background(), flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "benchansible: %v\n", err)
		os.Exit(1)
	}
}

func ways() []way {
	all := []way{{"pipelining", []string{"ANSIBLE_PIPELINING=1"}}}
	if *plain {
		all = append(all, way{"plain", nil})
	}
	dir := *mitogen
	if dir == "" {
		dir = "/usr/lib/python3/dist-packages"
	}
	if dir, err := filepath.Abs(dir); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "ansible_mitogen")); err == nil {
			all = append(all, way{"mitogen_linear", []string{
				"ANSIBLE_STRATEGY=mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS=" + filepath.Join(dir, "ansible_mitogen/plugins/strategy"), "PYTHONPATH=" + dir,
			}})
		}
	}
	mitosis := []string{"ANSIBLE_TRANSPORT=mitosis_go.ansible.mitosis"}
	all = append(all,
		way{"mitosis", mitosis},
		way{"mitosis, cache", append(slices.Clone(mitosis), "ANSIBLE_MITOSIS_CACHE=yes")},
		way{"mitosis, exec", append(slices.Clone(mitosis), "ANSIBLE_MITOSIS_PYTHON=exec")},
	)
	if *only != "" {
		all = slices.DeleteFunc(all, func(w way) bool { return !slices.Contains(strings.Split(*only, ","), w.name) })
	}
	return all
}

// playbooks are those that are measured, by their names.
var playbooks = []struct{ name, text string }{
	{"loop", "- {command: /bin/true, become: true, loop: '{{ range(TASKS) | list }}'}\n"},
	{"tasks", "REPEATED- {command: /bin/true, become: true}\n"},
	{"copy", "- {copy: {content: 'number {{ item }}', dest: '/tmp/f{{ item }}'}, loop: '{{ range(TASKS) | list }}'}\n"},
	{"facts", "- {setup: , loop: '{{ range(5) | list }}'}\n"},
	{"hosts", "TWENTY- {command: /bin/true, become: true}\n"},
}

// text is a playbook, with a first task that connects.
func text(name, tasksText string) string {
	hosts := "target"
	if name == "hosts" {
		hosts = "all"
	}
	lines := []string{"- hosts: " + hosts, "  gather_facts: false", "  tasks:", "  - {command: /bin/true, become: true}"}
	if name == "copy" || name == "facts" {
		lines = append(lines[:3], "  - ping:")
	}
	times := 1
	if rest, ok := strings.CutPrefix(tasksText, "REPEATED"); ok {
		tasksText, times = rest, *tasks
	} else if rest, ok := strings.CutPrefix(tasksText, "TWENTY"); ok {
		tasksText, times = rest, 20
	}
	for range times {
		lines = append(lines, "  "+strings.TrimSpace(strings.ReplaceAll(tasksText, "TASKS", fmt.Sprint(*tasks))))
	}
	return strings.Join(lines, "\n") + "\n"
}

func measure(ctx context.Context, wanted []string) error {
	all := ways()
	d, err := openDesk(ctx, slices.Contains(wanted, "hosts"))
	if err != nil {
		return err
	}
	defer d.close()
	for _, p := range playbooks {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) || len(wanted) == 0 && p.name == "hosts" {
			continue
		}
		samples := map[string][]sample{}
		for round := range *rounds {
			for i := range all {
				w := all[(i+round)%len(all)]
				s, err := d.play(ctx, text(p.name, p.text), w)
				if err != nil {
					return fmt.Errorf("%s over %s: %w", p.name, w.name, err)
				}
				samples[w.name] = append(samples[w.name], s)
			}
		}
		show(p.name, all, samples)
	}
	return nil
}

// show prints the medians of a playbook.
func show(name string, all []way, samples map[string][]sample) {
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%s, medians of %d, load %.4s\n", name, *rounds, load)
	base := medianOf(samples[all[0].name], func(s sample) float64 { return s.Seconds })
	for _, w := range all {
		seconds := medianOf(samples[w.name], func(s sample) float64 { return s.Seconds })
		bytes := medianOf(samples[w.name], func(s sample) float64 { return float64(s.bytes) })
		fmt.Printf("  %-16s %8.2f s %6.3f x %s %9.0f kB\n", w.name, seconds, seconds/base, all[0].name, bytes/1e3)
	}
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, value(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// A desk is a host with Ansible, and the hosts that it plays to.
type desk struct {
	*lab.Running
	hosts   []*lab.Running
	program string
}

func openDesk(ctx context.Context, many bool) (*desk, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "bench")
	if err != nil {
		return nil, err
	}
	authorized, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	d := &desk{}
	if d.program, err = filepath.Abs(*program); err != nil {
		return nil, err
	}
	n := 1
	if many {
		n = 30
	}
	inventory, known := "[all:vars]\nansible_user=deploy\nansible_python_interpreter=/usr/bin/python3\n[all]\n", ""
	for i := range n {
		h, err := lab.Open(ctx, lab.Host{
			Users:   []lab.User{{Name: "deploy", Keys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(authorized)))}}},
			Sudoers: "deploy ALL=(ALL:ALL) NOPASSWD: ALL",
			SSHD:    &lab.SSHD{Config: []string{"MaxStartups 100", "MaxSessions 100"}},
		})
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		d.hosts = append(d.hosts, h)
		name := map[bool]string{true: "target", false: fmt.Sprint("h", i)}[i == 0]
		inventory += fmt.Sprintf("%s ansible_host=%s\n", name, h.IP())
		known += h.KnownHosts()
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, err
	}
	top := strings.TrimSuffix(strings.TrimSpace(string(root)), "/integration")
	stamps, err := os.ReadFile(filepath.Join(top, "integration/benchansible/stamps.py"))
	if err != nil {
		return nil, err
	}
	binds := []string{d.program + ":ro", filepath.Join(top, "ansible") + ":/root/collections/ansible_collections/mitosis_go/ansible:ro"}
	if *mitogen != "" {
		dir, err := filepath.Abs(*mitogen)
		if err != nil {
			return nil, err
		}
		binds = append(binds, dir+":ro")
	}
	d.Running, err = lab.Open(ctx, lab.Host{
		Binds: binds,
		Files: map[string]string{
			"/root/.ssh/id_ed25519": string(pem.EncodeToMemory(block)), "/root/.ssh/known_hosts": known,
			"/root/play/inventory": inventory, "/root/play/callback/stamps.py": string(stamps),
		},
	})
	return d, err
}

func (d *desk) close() (err error) {
	for _, h := range d.hosts {
		err = errors.Join(err, h.Close())
	}
	if d.Running != nil {
		err = errors.Join(err, d.Close())
	}
	return err
}

// play runs a playbook once.
func (d *desk) play(ctx context.Context, playbook string, w way) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	write := d.Command(ctx, "tee", "/root/play/play.yml")
	write.Stdin = strings.NewReader(playbook)
	if _, err := write.Output(); err != nil {
		return sample{}, err
	}
	capture, err := d.hosts[0].Capture()
	if err != nil {
		return sample{}, err
	}
	cmd := d.Command(ctx, "ansible-playbook", "-i", "inventory", "-f", "30", "play.yml")
	cmd.Dir = "/root/play"
	if *verbose {
		cmd.Args = append(cmd.Args, "-vvvv")
	}
	cmd.Env = append(cmd.Env, slices.Concat([]string{
		"LANG=C.UTF-8", "ANSIBLE_STDOUT_CALLBACK=stamps", "ANSIBLE_CALLBACK_PLUGINS=callback", "ANSIBLE_TIMEOUT=300", "BENCH_RESULT=/root/play/result",
		"ANSIBLE_COLLECTIONS_PATH=/root/collections", "ANSIBLE_MITOSIS_EXECUTABLE=" + d.program,
	}, w.env)...)
	out, err := cmd.CombinedOutput()
	flows, captureErr := capture.Stop()
	if err != nil || captureErr != nil {
		return sample{}, fmt.Errorf("%w: %s", errors.Join(err, captureErr), out)
	}
	text, err := d.Exec(ctx, "cat", "/root/play/result")
	if err != nil {
		return sample{}, err
	}
	if *verbose {
		fmt.Printf("%s", out)
	}
	var s sample
	if err := json.Unmarshal([]byte(text), &s); err != nil || len(s.Failed) > 0 {
		return sample{}, fmt.Errorf("%v, %q: %s", err, s.Failed, out)
	}
	for _, f := range flows {
		s.bytes += len(f.Data)
	}
	// ssh's masters stay for a minute, and the next run is to connect for itself.
	_, _ = d.Shell("for s in /root/.ansible/cp/*; do test -S \"$s\" && ssh -o ControlPath=\"$s\" -O exit x; done 2>/dev/null; rm -rf /root/.ansible/cp")
	return s, nil
}
