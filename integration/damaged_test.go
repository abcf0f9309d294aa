//go:build linux

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect/container"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// A patient is a damaged host, and the result that is wanted of a program on it.
type patient struct {
	host lab.Host
	user string // the user who logs in; "" is deploy
	hop  string // a further hop behind the login; "" for none
	// harm is a script with which root damages the host once sshd runs.
	harm string
	// noTerminals says that another process holds the last terminal.
	noTerminals bool
	// method is the start method that a probe predicts; "" if it predicts none, or is not
	// checked.
	method string
	// says are parts of the error. If it is empty, a program has to run.
	says []string
	// warns is a part of the warning of a program that runs.
	warns string
	// except are files that may change.
	except []string
}

// closedPlaces are all directories that a user can write to. Patients have them closed.
var closedPlaces = append([]string{"/home", "/root", "/var/tmp"}, inMemory...)

// noInterpreter removes the programs that make anonymous files.
var noInterpreter = []string{"perl", "python3"}

// smallGroup is a memory cgroup.
const smallGroup = "/sys/fs/cgroup/memory/small"

// startUp is the file that bash reads before it executes the command of sshd.
func startUp(script string) map[string]string {
	return map[string]string{"/home/deploy/.bashrc": script}
}

// withoutMemfd returns a start-up file that runs the command behind a seccomp filter for
// memfd_create. The call fails with an errno, as in container runtimes, or kills the process, as
// with systemd.
func withoutMemfd(action string) map[string]string {
	return startUp(`[ "$FILTERED" ] || WANTED=$BASH_EXECUTION_STRING FILTERED=1 exec python3 -c '
import ctypes, os, struct
def op(code, k, jt=0, jf=0): return struct.pack("HBBI", code, jt, jf, k)
code = op(0x20, 0) + op(0x15, 319, 0, 1) + op(0x06, ` + action + `) + op(0x06, 0x7fff0000)
memory = ctypes.create_string_buffer(code, len(code))
program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execv("/bin/bash", ["bash", "-c", os.environ["WANTED"]])
'
`)
}

const (
	refusedBySeccomp = "0x00050026" // SECCOMP_RET_ERRNO, ENOSYS
	killedBySeccomp  = "0x80000000" // SECCOMP_RET_KILL_PROCESS
)

// sshdInTree makes /srv/tree, whose programs are all busybox, the root of logins.
const sshdInTree = `mount -t proc proc /srv/tree/proc; chmod 755 /srv /srv/tree; mkdir -p /srv/tree/home/deploy
printf '#!/bin/sh\nexec /bin/sh "$@"\n' >/srv/tree/bin/bash; chmod 755 /srv/tree/bin/bash
mknod -m 666 /srv/tree/dev/tty c 5 0; mkdir /srv/tree/usr; ln -s ../bin /srv/tree/usr/bin`

func patients(t *testing.T) map[string]patient {
	return map[string]patient{
		"read-only root": {user: "root", method: bootstrap.StartPerl, host: lab.Host{ReadOnlyRoot: true}},
		"read-only everywhere": {method: bootstrap.StartPerl, host: lab.Host{
			ReadOnlyRoot: true, ReadOnly: []string{"/home", "/root", "/tmp", "/dev/shm"},
		}},
		"read-only everywhere, no interpreter": {
			host: lab.Host{
				Remove: noInterpreter, ReadOnlyRoot: true, ReadOnly: []string{"/home", "/root", "/tmp", "/dev/shm"},
			},
			says: []string{
				"no start method works there: memfd-perl: no interpreter: perl not found; memfd-python3: no interpreter: python3 not found; " +
					"ram: no writable directory in memory; tmpfs: not root; disk: /home/deploy: Read-only file system, ",
				"; install perl or python3 there, which must be allowed to call memfd_create, or make a writable directory that allows execution and has ",
			},
		},
		"no /dev/shm": {method: bootstrap.StartRAM, host: lab.Host{
			Remove: noInterpreter, Setup: []string{"umount /dev/shm; rmdir /dev/shm"},
		}},
		"noexec as root": {user: "root", method: bootstrap.StartTmpfs, host: lab.Host{Remove: noInterpreter, Noexec: closedPlaces}},
		"noexec as a user": {
			host: lab.Host{Remove: noInterpreter, Noexec: closedPlaces},
			says: []string{
				"ram: /dev/shm: execution not allowed, Permission denied, /tmp: execution not allowed, Permission denied; tmpfs: not root; " +
					"disk: /home/deploy: execution not allowed, Permission denied, /var/tmp: execution",
				"install perl or python3 there",
			},
		},
		"no interpreter": {method: bootstrap.StartRAM, host: lab.Host{Remove: noInterpreter}},
		"busybox only": {method: bootstrap.StartRAM, host: lab.Host{
			Setup: []string{withTree(t), sshdInTree, "mkdir -p /srv/tree/dev/shm; mount -t tmpfs -o mode=1777 shm /srv/tree/dev/shm"},
			SSHD:  &lab.SSHD{Config: []string{"ChrootDirectory /srv/tree"}},
		}},
		"little memory": {user: "root", method: bootstrap.StartPerl, host: lab.Host{
			Cgroups: true, Setup: []string{"mkdir " + smallGroup + " && echo 32M > " + smallGroup + "/memory.limit_in_bytes"},
			Files: map[string]string{"/root/.bashrc": "echo $$ > " + smallGroup + "/cgroup.procs\n"},
		}},
		"full disk": {method: bootstrap.StartPerl, host: lab.Host{DiskSize: "32m"}, harm: "cat /dev/zero > /var/tmp/full 2>/dev/null; ! echo more > /var/tmp/more"},
		"no space in memory": {
			method: bootstrap.StartRAM, // a probe sends no image, and can't know better
			host:   lab.Host{Remove: noInterpreter}, harm: "mount -o remount,size=1m /dev/shm; mount -o remount,size=1m /tmp",
			warns: "the child's executable had to be put on a disk",
		},
		"no /proc": {
			user: "root", method: bootstrap.StartPerl, harm: "mount --make-rshared /; umount -l /proc",
			warns: "/proc is not mounted there",
		},
		"no /proc, no interpreter": {
			user: "root", method: bootstrap.StartRAM, harm: "umount -l /proc", host: lab.Host{Remove: noInterpreter},
			warns: "/proc is not mounted there",
		},
		"no /proc, as a user": {harm: "umount -l /proc", says: []string{
			"memfd-perl, memfd-python3, ram, tmpfs, disk: /proc is not mounted; proc: none can be mounted for the child alone: not root; " +
				"mount it there, as root: mount -t proc proc /proc",
		}},
		"memfd_create refused":  {method: bootstrap.StartRAM, host: lab.Host{Files: withoutMemfd(refusedBySeccomp)}},
		"memfd_create is fatal": {method: bootstrap.StartRAM, host: lab.Host{Files: withoutMemfd(killedBySeccomp)}},
		"no terminals": {
			hop: "/sudo", noTerminals: true, method: bootstrap.StartExec,
			host: lab.Host{Sudoers: "deploy ALL=(ALL) NOPASSWD: ALL"},
		},
		"no terminals for a password": {
			hop: "/sudo", noTerminals: true,
			host: lab.Host{Sudoers: "deploy ALL=(ALL) ALL"}, says: []string{"no terminal could be opened", "no space left on device"},
		},
		"few descriptors":          {method: bootstrap.StartPerl, host: lab.Host{Files: startUp("ulimit -n 64\n")}},
		"no processes left":        {host: lab.Host{Files: startUp("ulimit -u 1\n")}, says: []string{"Cannot fork", "; no more processes can be started there: raise ulimit -u, or pids.max of its cgroup"}},
		"killed by a filter":       {host: lab.Host{Files: startUp("kill -SYS $$\n")}, says: []string{"the far command was killed by a signal that SSH has no name for, such as the SIGSYS"}},
		"no /dev/null":             {harm: "rm /dev/null", says: []string{"the server closed the connection without a word"}},
		"/dev/null is a file":      {method: bootstrap.StartPerl, harm: "rm /dev/null; touch /dev/null; chmod 666 /dev/null", except: []string{"/dev/null"}},
		"the clock in 1970":        {method: bootstrap.StartPerl, host: lab.Host{Files: startUp(in1970)}},
		"the same, no interpreter": {method: bootstrap.StartRAM, host: lab.Host{Remove: noInterpreter, Files: startUp(in1970)}},
		"everything is of 1970":    {method: bootstrap.StartRAM, host: lab.Host{Remove: noInterpreter}, harm: "touch -d @0 /dev/shm /tmp /home/deploy /bin/sh /usr/bin/dash /etc/passwd"},
	}
}

// in1970 sets the clock for all programs of a login that use the C library: shells,
// interpreters and unpackers. Namespaces have no wall clock of their own.
const in1970 = `[ "$FAKETIME" ] || exec faketime '1970-01-01 00:10:00' bash -c "$BASH_EXECUTION_STRING"
[ "$(date +%Y)" = 1970 ] || exit 19
`

// On a damaged host a program runs if any start method works. Otherwise one error names the
// attempts, the reason why each has failed, and the remedy. The host stays as it was in either
// case.
//
// The program is the real one: the image of the tests is too large for some of these
// hosts.
func TestDamagedHosts(t *testing.T) {
	t.Parallel()
	o := newOffice(t, nil)
	for name, p := range patients(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p.user == "" {
				p.user = "deploy"
			}
			p.host.Users = append(p.host.Users, lab.User{Name: p.user, Keys: []string{o.key.Authorized}})
			if p.host.SSHD == nil {
				p.host.SSHD = &lab.SSHD{}
			}
			host := lab.Start(t, p.host)
			if out, err := o.desk.Shell("cat >>/root/.ssh/known_hosts <<'.'\n" + host.KnownHosts() + ".\n"); err != nil {
				t.Fatal(out, err)
			}
			if p.harm != "" {
				if out, err := host.Shell(p.harm); err != nil {
					t.Fatal(out, err)
				}
			}
			if p.noTerminals {
				terminal, err := host.Command(t.Context(), "sleep", "1000").StartPty()
				if err != nil {
					t.Fatal(err)
				}
				defer terminal.Close()
				// The host's devpts may have one terminal, which the sleep holds. The
				// ptmx of the file system does not count.
				if out, err := host.Shell("mount -o remount,max=1 /dev/pts"); err != nil {
					t.Fatal(out, err)
				}
			}
			before := look(host)
			path := "ssh:" + p.user + "@" + host.Addr() + p.hop
			p.examine(t, finish(t, o.command(t.Context(), "run", path, "--", "sh", "-c", "id -u; cat; exit 3")))
			before.restored(t, patience, p.except...)

			offer := finish(t, o.command(t.Context(), "probe", path))
			if p.method != "" && (offer.status != 0 || !strings.Contains(offer.out, "would start by      "+p.method+"\n")) {
				t.Errorf("the probe ended with %+v, want status 0 and a start by %s", offer, p.method)
			}
			if strings.HasPrefix(name, "no /proc") != strings.Contains(offer.out, "/proc               not mounted\n") {
				t.Errorf("the probe of the patient %q says about /proc: %s, want \"not mounted\" only where it is not mounted", name, offer.out)
			}
			before.restored(t, patience, p.except...)
		})
	}
}

// examine checks how a program ended.
func (p *patient) examine(t *testing.T, r result) {
	t.Helper()
	t.Logf("%d %q %s", r.status, r.out, r.err)
	if len(p.says) > 0 {
		if r.status != 255 || r.out != "" || strings.Count(strings.TrimSpace(r.err), "\n") > 1 {
			t.Errorf("the program ended with %+v, want status 255, no output, and an error of one line, with advice on another", r)
		}
		for _, want := range p.says {
			if !strings.Contains(r.err, want) {
				t.Errorf("the error is %q, want %q in it", r.err, want)
			}
		}
		return
	}
	uid := "2000\n"
	if p.user == "root" || p.hop != "" {
		uid = "0\n"
	}
	if r.status != 3 || r.out != uid {
		t.Errorf("status %d and output %q, want 3 and %q: the program has not run", r.status, r.out, uid)
	}
	if p.warns == "" && r.err != "" || !strings.Contains(r.err, p.warns) {
		t.Errorf("the message is %q, want a warning with %q (none if that is empty)", r.err, p.warns)
	}
}

// In a tree without /proc a child gets a /proc of its own, and has children, if the tree is a
// mount point. The root of a damaged system under repair is one.
func TestChrootWithoutProc(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{Setup: []string{
		withTree(t), "mkdir /mnt/sysimage; mount --bind /srv/tree /mnt/sysimage; mount --make-shared /mnt/sysimage",
	}})
	self := master(t, nil)
	from := enter(t, self, host, "")
	before := look(host)
	n := child(t, from, container.Chroot{Dir: "/mnt/sysimage"})
	if method := methodOf(t, self, n); method == bootstrap.StartExec {
		t.Errorf("the child was started by %s, want a method that sends an image", method)
	}
	answers(t, child(t, n, local.Child{}), 0)
	if place, err := readFile.Call(t.Context(), n, "/etc/place"); place != "tree\n" {
		t.Errorf("/etc/place has %q, %v, want tree", place, err)
	}
	if out, err := host.Shell("ls /mnt/sysimage/proc; cat /proc/mounts | grep sysimage/proc"); err == nil || out != "" {
		t.Errorf("the host sees a /proc in the tree (%s), want only the child to see it", out)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	before.restored(t, 5*time.Second)
	// If the tree is no mount point, root has to mount /proc first.
	err := refused(t, from, container.Chroot{Dir: "/srv/tree"}, bootstrap.ErrNoStartMethod, patience)
	if !strings.Contains(err.Error(), "mount it there, as root: mount -t proc proc /proc") {
		t.Errorf("the error is %v, want the command that mounts /proc", err)
	}
}

// A child starts in a tree without /dev/null, because the shell of the first stage makes a file
// of that name.
func TestChrootWithoutNull(t *testing.T) {
	lab.Require(t)
	t.Parallel()
	host := start(t, lab.Host{Setup: []string{
		withTree(t), "mount -t proc proc /srv/tree/proc; rm /srv/tree/dev/null",
	}})
	from := enter(t, master(t, nil), host, "")
	before := look(host)
	n := child(t, from, container.Chroot{Dir: "/srv/tree"})
	answers(t, n, 0)
	if place, err := readFile.Call(t.Context(), n, "/etc/place"); place != "tree\n" {
		t.Errorf("/etc/place has %q, %v, want tree", place, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	before.restored(t, 5*time.Second, "/srv/tree/dev/null")
}
