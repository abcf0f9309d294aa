//go:build unix

package shim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// shim is the process that tools start in place of ssh. It does not read its command line: it
// passes its arguments and its standard descriptors to the program, and tells it of signals. An
// input that is a terminal is not passed on, because only the process group in the foreground
// can read it. The shim copies from there.
type shim struct {
	conn    *net.UnixConn
	orders  *Sender
	files   [3]*os.File // what is handed over
	typed   *os.File    // gets a copy of the terminal's input; nil: the input is no terminal
	restore func()      // of the terminal
	dir     string      // the private directory of the program
	sockets []string    // to be removed if the program is gone
}

// Signals are the signals of which the shim tells the program.
var Signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// runShim is the life of a shim. It returns the exit status.
func runShim(socket string, args []string) int {
	signals := make(chan os.Signal, 16)
	for _, s := range Signals {
		if !signal.Ignored(s) { // as by nohup
			signal.Notify(signals, s)
		}
	}
	var conn *net.UnixConn
	var err error
	fd, _, succeeds := inherited()
	if succeeds {
		conn, err = ConnOf(os.NewFile(uintptr(fd), "connection"))
	} else {
		conn, err = dialProgram(socket)
	}
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	s := &shim{conn: conn, orders: &Sender{W: conn}, dir: filepath.Dir(socket), restore: func() {}}
	status := 0
	if succeeds {
		err = s.orders.Send(Order{PID: os.Getpid()})
	} else {
		err = s.greet(args)
	}
	if err == nil {
		go s.forward(signals)
		status, err = s.follow(args)
		s.restore()
	}
	switch {
	case err == nil:
		return status
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		removeStale(s.sockets)
		err = errProgramEnded
	}
	return failed(err)
}

// dialProgram connects to the program that a shim belongs to.
func dialProgram(socket string) (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil && isNobody(err) {
		err = errProgramEnded
	}
	return conn, err
}

// isNobody reports whether an error means that nobody listens on a socket: its program has
// ended.
func isNobody(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}

var errProgramEnded = errors.New(EndedText)

func failed(err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\r\n", filepath.Base(os.Args[0]), err)
	return ExitFailed
}

// greet sends the greeting, with the standard descriptors.
func (s *shim) greet(args []string) error {
	g := Greeting{PID: os.Getpid()}
	if dir, err := os.Getwd(); err == nil {
		g.Dir = []byte(dir)
	}
	for _, a := range args {
		g.Args = append(g.Args, []byte(a))
	}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "_=") {
			g.Env = append(g.Env, []byte(e))
		}
	}
	for i, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		if err := s.prepare(i, f, &g); err != nil {
			return err
		}
	}
	if size, ok := terminalSize(); ok {
		g.Rows, g.Cols = size.Rows, size.Cols
	}
	err := SendGreeting(s.conn, g, []int{int(s.files[0].Fd()), int(s.files[1].Fd()), int(s.files[2].Fd())})
	// The reader of the copied input must see its end.
	for i, f := range s.files {
		if f.Fd() != uintptr(i) {
			f.Close()
		}
	}
	return err
}

// SendGreeting sends a greeting and the descriptors.
func SendGreeting(conn *net.UnixConn, g Greeting, fds []int) error {
	b, err := Encode(g)
	if err != nil {
		return err
	}
	n, _, err := conn.WriteMsgUnix(b, unix.UnixRights(fds...), nil)
	if err == nil && n < len(b) {
		_, err = conn.Write(b[n:])
	}
	return err
}

// prepare chooses the file that is passed on as a standard descriptor.
func (s *shim) prepare(i int, f *os.File, g *Greeting) error {
	if !term.IsTerminal(i) {
		s.files[i] = f
		return nil
	}
	g.Terminals |= 1 << i
	s.files[i] = f
	if i > 0 {
		return nil
	}
	var err error
	s.files[i], s.typed, err = os.Pipe()
	return err
}

// forward tells the program of signals.
func (s *shim) forward(signals chan os.Signal) {
	signal.Notify(signals, syscall.SIGWINCH)
	for sig := range signals {
		o := Order{Signal: int(sig.(syscall.Signal))}
		if sig == syscall.SIGWINCH {
			size, ok := terminalSize()
			if !ok {
				continue
			}
			o = size
		}
		if s.orders.Send(o) != nil {
			return
		}
	}
}

func terminalSize() (Order, bool) {
	for fd := range 3 {
		if cols, rows, err := term.GetSize(fd); err == nil && cols > 0 && rows > 0 {
			return Order{Rows: uint16(rows), Cols: uint16(cols)}, true
		}
	}
	return Order{}, false
}

// follow executes the news of the program, up to the one that ends the shim.
func (s *shim) follow(args []string) (status int, err error) {
	r := bufio.NewReader(s.conn)
	for {
		var n News
		if err := Receive(r, MaxMessage, &n); err != nil {
			return 0, err
		}
		if len(n.Text) > 0 {
			show(n)
		}
		switch n.Kind {
		case NewsExit:
			return n.Status, nil
		case NewsPassOn:
			return passOn("ssh", args)
		case NewsCooked:
			s.restore()
		case NewsFork, NewsForkTelling:
			return n.Status, s.succeed(s.dir, n.Kind == NewsForkTelling)
		case NewsOwns:
			s.sockets = append(s.sockets, string(n.File))
		case NewsRaw:
			if state, err := term.MakeRaw(0); err == nil {
				s.restore = func() { _ = term.Restore(0, state) }
			}
			fallthrough
		case NewsInput:
			if s.typed != nil {
				go func() {
					_, _ = io.Copy(s.typed, os.Stdin)
					_ = s.typed.Close()
				}()
			}
		}
	}
}

func show(n News) {
	out := os.Stderr
	if len(n.File) > 0 {
		f, err := os.OpenFile(string(n.File), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			defer f.Close()
			out = f
		}
	}
	_, _ = out.Write(n.Text)
}

// runWrapped becomes the real scp or sftp, and tells it where the shim is: by themselves they
// run ssh by a fixed path.
func runWrapped(name, socket string, args []string) int {
	conn, err := dialProgram(socket)
	if err == nil {
		conn.Close()
		ssh := filepath.Join(filepath.Dir(socket), "ssh")
		_, err = passOn(name, append([]string{"-S", ssh}, args...))
	}
	return failed(err)
}

// passOn becomes the real program of a name. It returns only if that fails.
func passOn(name string, args []string) (int, error) {
	path, err := realProgram(name)
	if err == nil {
		err = syscall.Exec(path, append([]string{name}, args...), os.Environ())
	}
	return ExitFailed, err
}

// realProgram looks in PATH for a program of that name that is not this executable.
func realProgram(name string) (string, error) {
	self, err := os.Stat(SelfPath())
	if err != nil {
		return "", err
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		s, err := os.Stat(path)
		switch {
		case !filepath.IsAbs(dir), isOurDir(dir), err != nil:
		case !s.Mode().IsRegular(), unix.Access(path, unix.X_OK) != nil, os.SameFile(s, self):
		default:
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s in PATH but the one that leads here", name)
}
