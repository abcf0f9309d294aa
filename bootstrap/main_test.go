//go:build linux

package bootstrap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/bootstrap/image"
	"github.com/mitosis-go/mitosis/bootstrap/internal/guard"
	"github.com/mitosis-go/mitosis/core"
)

// The test binary is the image: started as a child it does what the welcome
// tells it to.
func TestMain(m *testing.M) {
	if IsChild() {
		childMain()
	}
	if len(os.Args) > 1 && os.Args[1] == refuseRole {
		refuse(os.Args[2], os.Args[3:])
	}
	// A program with the race detector otherwise sleeps for a second at exit.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

// builtIn are the codecs in which images can be packed here.
var builtIn = []image.Codec{image.Raw, image.Gzip, image.Zstd}

var testFingerprint = [32]byte{1, 2, 3}

// childMain is the program of a child under test. The parent says in
// Welcome.Extra what to do first; after that lines are echoed.
func childMain() {
	b, err := Accept(testFingerprint)
	if err != nil {
		fmt.Println("accept:", err)
		Exit(9)
	}
	what, arg, _ := strings.Cut(string(b.Welcome.Extra), " ")
	switch what {
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "spin":
		signal.Ignore(syscall.SIGTERM)
		for range 4 {
			go func() {
				for n := 0; ; n++ {
				}
			}()
		}
		select {}
	case "run", "orderly":
		// Start a shell script, and report the lines that it prints.
		cmd := exec.Command("/bin/sh", "-c", arg)
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(b.Link, err)
		}
		io.Copy(b.Link, out)
		cmd.Wait()
	case "print":
		fmt.Print(arg)
		go func() {
			time.Sleep(20 * time.Millisecond) // for a second piece of output, not one with the first
			fmt.Fprintln(os.Stderr, "and stderr")
		}()
		buf := make([]byte, 4096)
		for {
			n, err := b.Output.Read(buf)
			b.Link.Write(buf[:n])
			if err != nil {
				break
			}
		}
	case "close":
		b.Link.Close()
		select {}
	}
	lines := bufio.NewScanner(b.Link)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "fds":
			names, _ := os.ReadDir("/proc/self/fd")
			for _, n := range names {
				to, _ := os.Readlink("/proc/self/fd/" + n.Name())
				fmt.Fprintf(b.Link, "%s=%s ", n.Name(), to)
			}
			fmt.Fprintln(b.Link)
		case line == "let go of the guard":
			// The pipe that tells of the guard's end is one that never ends.
			var p [2]int
			if err := errors.Join(unix.Pipe(p[:]), unix.Dup2(p[0], guard.WorkerLife)); err != nil {
				fmt.Fprintln(b.Link, err)
			}
			fmt.Fprintln(b.Link, "done")
		case line == "panic":
			panic("as ordered")
		case line == "keep":
			harmed, err := image.KeepInCache()
			fmt.Fprintf(b.Link, "harmed %v, %v\n", harmed, err)
		case line == "exit":
			Exit(3)
		case line == "goodbye":
			fmt.Println("goodbye")
			Exit(0)
		case line == "kill":
			n := KillDescendants(context.Background(), time.Second)
			fmt.Fprintf(b.Link, "survivors %d\n", n)
		default:
			fmt.Fprintf(b.Link, "%s %s\n", line, b.Welcome.Path)
		}
	}
	if what == "orderly" {
		KillDescendants(context.Background(), 0)
	}
	Exit(0)
}

// A procCarrier is a command whose standard input and output are the carrier.
type procCarrier struct {
	in     io.WriteCloser
	out    io.Reader
	cmd    *exec.Cmd
	extra  []io.Closer
	stderr lockedBuffer
	once   sync.Once
	done   chan struct{}
	state  error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (p *procCarrier) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *procCarrier) Write(b []byte) (int, error) { return p.in.Write(b) }

func (p *procCarrier) Close() error {
	p.once.Do(func() {
		p.in.Close()
		for _, c := range p.extra {
			c.Close()
		}
		select {
		case <-p.done:
		case <-time.After(6 * time.Second):
			syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	<-p.done
	return nil
}

func (p *procCarrier) Cause(ctx context.Context) error {
	select {
	case <-p.done:
		if p.state != nil {
			return fmt.Errorf("%w: %s", p.state, strings.TrimSpace(p.stderr.String()))
		}
	case <-ctx.Done():
	}
	return nil
}

// start runs a command as carrier. It is closed with the test at the latest.
func start(tb testing.TB, cmd *exec.Cmd) *procCarrier {
	tb.Helper()
	p := &procCarrier{cmd: cmd, done: make(chan struct{})}
	inR, inW, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.in, p.out = inW, outR
	p.extra = []io.Closer{outR}
	cmd.Stdin, cmd.Stdout = inR, outW
	p.run(tb)
	inR.Close()
	outW.Close()
	return p
}

func (p *procCarrier) run(tb testing.TB) {
	tb.Helper()
	if p.cmd.Stderr == nil {
		p.cmd.Stderr = &p.stderr
	}
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		p.state = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() { p.Close() })
}

// command runs the first stage of l by /bin/sh.
func (l *Launch) command() *exec.Cmd {
	argv := l.Argv()
	return exec.Command(argv[0], argv[1:]...)
}

// direct runs our own executable.
func (l *Launch) direct() *exec.Cmd {
	path, argv := l.Exec()
	return &exec.Cmd{Path: path, Args: argv}
}

func bound(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// born runs l over c and welcomes the child with an order.
func born(tb testing.TB, l *Launch, c Carrier, order string) *Session {
	tb.Helper()
	s, err := l.Run(bound(tb), c)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Welcome(Welcome{ID: 7, Ancestors: []core.ID{0}, Path: "test", Extra: []byte(order)}); err != nil {
		tb.Fatal(err)
	}
	return s
}

// answers checks that the child at the other end of s lives.
func answers(tb testing.TB, s *Session) {
	tb.Helper()
	if got := ask(tb, s, "ping"); got != "ping test" {
		tb.Fatalf("child answered %q", got)
	}
}

func ask(tb testing.TB, s *Session, line string) string {
	tb.Helper()
	if _, err := io.WriteString(s.Link, line+"\n"); err != nil {
		tb.Fatal(err)
	}
	return readLine(tb, s)
}

func readLine(tb testing.TB, s *Session) string {
	tb.Helper()
	var line []byte
	var b [1]byte
	for {
		n, err := s.Link.Read(b[:])
		if n == 1 && b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[:n]...)
		if err != nil {
			tb.Fatalf("after %q: %v", line, err)
		}
	}
}

func opts() Options { return Options{Fingerprint: testFingerprint} }
