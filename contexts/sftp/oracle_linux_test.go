package sftp_test

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/contexts/sftp"
)

// openSSH is the server of OpenSSH: of Debian, Fedora or FreeBSD. Its package at
// Debian is openssh-sftp-server.
func openSSH(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	const why = "OpenSSH's sftp-server is not installed"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// somebody has no rights beyond others'.
const somebody = 65534

// Requests have the same answers, and leave the same files behind, as with the
// server of OpenSSH, whatever is asked in whatever order.
func TestTheSameAsOpenSSH(t *testing.T) {
	program := openSSH(t)
	users := []int{os.Geteuid()}
	if users[0] == 0 {
		users = append(users, somebody)
	}
	seeds := uint64(100)
	if testing.Short() {
		seeds = 40
	}
	for _, uid := range users {
		for seed := range seeds {
			t.Run(fmt.Sprintf("user %d, seed %d", uid, seed), func(t *testing.T) {
				compare(t, program, uid, seed)
			})
		}
	}
}

// side is one of the two servers.
type side struct {
	client *raw
	name   string
	dir    string
	slots  map[int]string // handles, by what both sides call them
}

// start starts both servers, each in a directory of its own. Those are so deep that no
// chain of links out of them leads out of the test's.
func start(t *testing.T, program string, uid int) (ours, theirs *side) {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o711); err != nil {
		t.Fatal(err)
	}
	sides := make([]*side, 2)
	for i, name := range []string{"us", "it"} {
		dir := filepath.Join(root, name, strings.Repeat("n/", 30))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if uid != os.Geteuid() {
			if err := os.Chown(dir, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
		sides[i] = &side{name: name, dir: dir, slots: make(map[int]string)}
	}
	sides[0].client = newRaw(t, serveAs(t, uid, sides[0].dir))
	sides[1].client = newRaw(t, execute(t, program, uid, sides[1].dir))
	return sides[0], sides[1]
}

// serveAs starts our server with the rights of a user: of a thread, as far as files
// are concerned.
func serveAs(t *testing.T, uid int, dir string) io.ReadWriter {
	t.Helper()
	if uid == os.Geteuid() {
		return serve(t, sftp.Options{Dir: dir})
	}
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked, so that the thread ends
		if _, _, err := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); err != 0 {
			t.Error(err)
		}
		_ = unix.Setfsgid(uid)
		_ = unix.Setfsuid(uid)
		_ = sftp.Serve(theirs, sftp.Options{Dir: dir})
		theirs.Close()
	}()
	t.Cleanup(func() { ours.Close(); <-ended })
	return ours
}

type duplex struct {
	io.Reader
	io.Writer
}

func execute(t *testing.T, program string, uid int, dir string) io.ReadWriter {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Dir = dir
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server of OpenSSH ends with %v, want no error", err)
		}
	})
	return duplex{out, in}
}

// A step is a request that both servers get. Handles in it are slots.
type step struct {
	kind  byte
	parts []any
	slot  int // where the handle of the answer is put; 0: nowhere
}

type slot int

func (s step) String() string { return fmt.Sprintf("type %d: %.100q", s.kind, fmt.Sprint(s.parts...)) }

func (s step) packet(id uint32, on *side) []byte {
	parts := slices.Clone(s.parts)
	for i, p := range parts {
		if n, ok := p.(slot); ok {
			parts[i] = on.slots[int(n)]
		}
	}
	return request(s.kind, id, parts...)
}

func compare(t *testing.T, program string, uid int, seed uint64) {
	begin := time.Now().Add(-5 * time.Second)
	ours, theirs := start(t, program, uid)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), uid: uid, ownsAll: uid != 0 && uid == os.Geteuid()}
	id := uint32(0)
	for range 80 {
		steps := g.burst()
		var a, b [][]byte
		for i, s := range steps {
			a = append(a, s.packet(id+uint32(i), ours))
			b = append(b, s.packet(id+uint32(i), theirs))
		}
		answersA, answersB := ours.client.answers(a...), theirs.client.answers(b...)
		for i, s := range steps {
			got, want := ours.tell(answersA[i], s, begin), theirs.tell(answersB[i], s, begin)
			if got != want {
				t.Fatalf("%v\ngot  %s\nwant %s", s, got, want)
			}
			if answersA[i].kind == fxHandle {
				g.open = append(g.open, s.slot)
			}
			if answersA[i].id != id+uint32(i) {
				t.Fatalf("%v: answered as request %d of the burst, want %d", s, answersA[i].id-id, i)
			}
		}
		id += uint32(len(steps))
	}
	got, want := describe(t, ours.dir, begin), describe(t, theirs.dir, begin)
	if got != want {
		t.Errorf("files differ:\ngot\n%s\nwant\n%s", got, want)
	}
}

// tell says an answer as it may be compared.
func (on *side) tell(a answer, s step, begin time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: ", a.kind)
	switch a.kind {
	case fxStatus:
		fmt.Fprint(&b, a.uint32())
	case fxHandle:
		on.slots[s.slot] = a.string()
	case fxData:
		fmt.Fprintf(&b, "%x", a.string())
	case fxAttrs:
		fmt.Fprint(&b, a.attributes(begin))
	case fxName:
		var names []string
		for range a.uint32() {
			name, long := a.string(), a.string()
			attrs := a.attributes(begin)
			if s.kind == fxReaddir && !strings.Contains(attrs, recent) {
				name += " " + long
			}
			name = strings.ReplaceAll(name, strings.TrimSuffix(on.dir, "/"), "DIR")
			name = strings.ReplaceAll(name, "/"+on.name+"/", "/SIDE/") // of a link that leads further up
			names = append(names, name+" "+attrs)
		}
		slices.Sort(names)
		fmt.Fprintf(&b, "%q", names)
	case fxExtendedReply:
		if s.parts[0] == "statvfs@openssh.com" || s.parts[0] == "fstatvfs@openssh.com" {
			for i := range 11 {
				if n := a.uint64(); i < 3 || i > 7 { // the others change at any time
					fmt.Fprintf(&b, "%d ", n)
				}
			}
			break
		}
		fmt.Fprintf(&b, "%q", a.body)
		a.body = nil
	}
	if a.kind != fxStatus && len(a.body) > 0 {
		fmt.Fprintf(&b, " and %q", a.body)
	}
	return b.String()
}

const recent = "just now"

// attributes says what a file is. What happened in this test happened just now.
func (a *answer) attributes(begin time.Time) string {
	flags := a.uint32()
	said := fmt.Sprintf("flags %x", flags)
	if flags&hasSize != 0 {
		said += fmt.Sprintf(" size %d", a.uint64())
	}
	if flags&hasOwners != 0 {
		said += fmt.Sprintf(" of %d:%d", a.uint32(), a.uint32())
	}
	if flags&hasMode != 0 {
		said += fmt.Sprintf(" mode %o", a.uint32())
	}
	if flags&hasTimes != 0 {
		for _, what := range []string{"atime", "mtime"} {
			said += fmt.Sprintf(" %s %s", what, moment(int64(a.uint32()), begin))
		}
	}
	return said
}

func moment(sec int64, begin time.Time) string {
	if sec >= begin.Unix() && sec <= time.Now().Unix()+1 {
		return recent
	}
	return fmt.Sprint(sec)
}

// describe tells all about the files below a directory.
func describe(t *testing.T, dir string, begin time.Time) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		rest, _ := filepath.Rel(dir, name)
		fmt.Fprintf(&b, "%s mode %o of %d:%d, %d names, size %d, atime %s, mtime %s", rest, st.Mode, st.Uid, st.Gid, st.Nlink, st.Size,
			moment(int64(st.Atim.Sec), begin), moment(int64(st.Mtim.Sec), begin))
		if st.Mode&syscall.S_IFMT == syscall.S_IFLNK {
			target, _ := os.Readlink(name)
			fmt.Fprintf(&b, " -> %s", target)
		}
		if st.Mode&syscall.S_IFMT == syscall.S_IFREG {
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", content)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
