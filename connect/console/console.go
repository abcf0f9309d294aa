// Package console logs in on a serial line, for hosts without a working network: see [Login].
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/bootstrap"
	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/check"
	"github.com/mitosis-go/mitosis/connect/internal/failure"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
)

// Login logs in on a serial line and continues over it, to reach a host without a working
// network. It copes with a getty, a shell that somebody left, the shell or the password
// prompt of a rescue system, and a line that is silent until Enter is pressed. The line has to
// pass 8 bits.
//
// The login name is typed at a prompt that ends with "login:". The password is typed at the
// prompt that follows, or at that of a rescue shell, and nowhere else, since the echo of the
// far terminal can't be seen from here. A shell is recognised by executing a command: it
// prints a word that the command has in two parts.
//
// # What happens to the far side
//
// A shell to which the hop has logged in is replaced, so that the getty is back in the end. A
// shell that was found, such as that of a rescue system, waits, and gets its terminal back
// with the same settings. Meanwhile the kernel prints only emergencies on the console, if the
// user may set that; with KernelMessages the level stays. Each message would break the link,
// and so does text that others write to that terminal, such as that of wall(1).
//
// If this process dies, a line without modem control signals does not tell the far side. A
// child then ends by the heartbeat (45 s), and a bootstrap after 10 s of silence. The next
// login on the line ends it at once.
//
// # Speed and errors of the line
//
// An image of 2.4 MB takes 210 s at 115,200 baud, and 42 minutes at 9,600. If ctx has no
// deadline, this time is added to Config.ConnectTimeout. Lost bytes are not sent again: the
// image is checked before it is executed, and a byte that is lost later ends the link. Linux
// keeps up to 68 KiB for a late reader. Without RTSCTS, bytes are only lost if the buffer of
// the port overflows before an interrupt is served.
//
// Errors: [connect.ErrStart] if the line can't be opened or another program uses it;
// [connect.ErrRefused]; [connect.ErrTimeout] if no login works in time, with the output of the
// line; [connect.ErrPassword], [connect.ErrPasswordRequired], [connect.ErrPermission],
// [connect.ErrEOF].
type Login struct {
	// Device is a serial port ("/dev/ttyS0"), or a Unix socket such as that of qemu's
	// -serial unix:PATH. Close restores the settings of a port.
	Device string
	// Address is the HOST:PORT of a terminal server, in place of Device. The server has to
	// pass bytes on unchanged, without the telnet protocol.
	Address string

	Baud   int  // of the line, 0 is 115200; 8 bits, no parity, 1 stop bit
	RTSCTS bool // flow control by these wires

	User     string         // "" is root
	Password connect.Secret // "" is asked for through OpenRequest.Prompt, if login wants one

	// Boot is for a host that is starting. Nothing is typed before a prompt is recognised,
	// so that no boot loader takes it for an answer, and only ctx bounds the silence.
	Boot bool
	// Silence is how long the line may show nothing while a shell is looked for.
	// 0 is 30 s.
	Silence time.Duration

	KernelMessages bool // leave the level of kernel messages on the console alone
}

const (
	defaultBaud    = 115200
	defaultSilence = 30 * time.Second
	// bitsPerByte of a line: 8, and those for start and stop.
	bitsPerByte = 10
	// imageRoom is more than the image of a program is expected to have, in
	// bytes, packed.
	imageRoom = 4 << 20
)

func init() {
	connect.Register[Login]("console")
	connect.RegisterSyntax("console", parseConsole)
}

// Label implements Method.
func (c Login) Label() string { return "console:" + c.target(defaultBaud) }

// target is [USER@]DEVICE[:BAUD] or [USER@]tcp:HOST:PORT, without the usual speed of the line.
func (c Login) target(usual int) string {
	where := strings.TrimPrefix(c.Device, deviceDir)
	switch {
	case c.Address != "":
		where = "tcp:" + c.Address
	case check.Name("device", where, notInDevice) != nil || where == "tcp":
		where = "[" + c.Device + "]"
	}
	if c.User != "" {
		where = c.User + "@" + where
	}
	if c.Address == "" && c.Baud != 0 && c.Baud != usual {
		where += ":" + strconv.Itoa(c.Baud)
	}
	return where
}

// HopWord implements [connect.WordMethod].
func (c Login) HopWord(w *connect.Word) connect.Method {
	w.TargetAsIs(c.target(0))
	w.Flag("rtscts", &c.RTSCTS)
	w.Flag("boot", &c.Boot)
	w.Time("silence", &c.Silence)
	w.Flag("kernel-messages", &c.KernelMessages)
	w.Secret(&c.Password)
	w.Check(c.check())
	return c
}

func (c Login) baud() int { return cmp.Or(c.Baud, defaultBaud) }

// Traits implements Method.
func (c Login) Traits() connect.Traits {
	return connect.Traits{ImageTime: time.Duration(imageRoom*bitsPerByte/max(c.baud(), 1)) * time.Second}
}

// DryRun implements DryRunner: no program is run here.
func (c Login) DryRun() ([]string, error) {
	return nil, &connect.Error{Hop: c.Label(), Err: cmp.Or(c.check(), errors.ErrUnsupported)}
}

func (c Login) check() error {
	if (c.Device == "") == (c.Address == "") {
		return fmt.Errorf("%w: set either Device or Address", connect.ErrBadName)
	}
	if c.Baud < 0 || c.Silence < 0 {
		return fmt.Errorf("%w: neither Baud nor Silence can be negative", connect.ErrBadName)
	}
	if c.Address != "" {
		_, host, port, err := check.Address(c.Address)
		if err == nil && port == 0 {
			err = fmt.Errorf("%w: the address %q has no port", connect.ErrBadName, printable.Name(c.Address))
		}
		return cmp.Or(err, check.Host(host), check.Optional("user", c.User))
	}
	return cmp.Or(check.Dir("device", c.Device), check.Optional("user", c.User))
}

// Open implements Method. It returns when a shell has started the first stage.
func (c Login) Open(ctx context.Context, e *connect.OpenRequest) (bootstrap.Carrier, error) {
	hop := c.Label()
	if err := c.check(); err != nil {
		return nil, &connect.Error{Hop: hop, Err: err}
	}
	conn, err := c.dial(ctx, e)
	if err != nil {
		return nil, &connect.Error{Hop: hop, Phase: "opening the line", Err: err, Hint: deviceHint(err)}
	}
	l := newLogin(c, e, newPort(hop, conn))
	if err := l.logIn(ctx); err != nil {
		l.abandon()
		return nil, &connect.Error{Hop: hop, Phase: l.phase, Err: err, Output: l.shown.String(), Hint: l.hint(err)}
	}
	l.port.start(e)
	return l.port, nil
}

// lineConn is a port or a socket.
type portConn interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetWriteDeadline(time.Time) error
	Close() error
}

// socketBuffer bounds the bytes that wait in a socket. A slow line takes long for them, and
// nothing can overtake them.
const socketBuffer = 8 << 10

func (c Login) dial(ctx context.Context, e *connect.OpenRequest) (portConn, error) {
	network, address := "tcp", c.Address
	if address == "" {
		network, address = "unix", c.Device
		info, err := os.Stat(c.Device)
		if err != nil {
			return nil, failure.Classify(connect.ErrStart, err)
		}
		if info.Mode()&fs.ModeSocket == 0 {
			return openSerial(c.Device, c.baud(), c.RTSCTS)
		}
	}
	dial := e.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, failure.OfDial(err)
	}
	if s, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = s.SetWriteBuffer(socketBuffer)
	}
	return conn, nil
}

func deviceHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "serial ports are often open to a group only, dialout for instance"
	}
	return ""
}

// deviceDir is the directory of devices, which hop paths may leave out.
const deviceDir = "/dev/"

// notInDevice are the characters that separate a device from the rest of a hop in a path.
const notInDevice = ":@[],"

// parseConsole reads the argument of a hop in a path: [USER@]DEVICE[:BAUD] or
// [USER@]tcp:HOST:PORT; see [connect.ParsePath]. The error matches [connect.ErrBadName].
func parseConsole(arg string) (connect.Method, error) {
	var c Login
	where := arg
	head, _, _ := strings.Cut(arg, "[")
	if at := strings.LastIndexByte(head, '@'); at >= 0 {
		c.User, where = arg[:at], arg[at+1:]
		if err := check.User(c.User); err != nil {
			return nil, err
		}
	}
	if address, ok := strings.CutPrefix(where, "tcp:"); ok {
		c.Address = address
		return c, c.check()
	}
	device, baud := where, ""
	if rest, ok := strings.CutPrefix(where, "["); ok {
		end := strings.LastIndexByte(rest, ']')
		if ok = end >= 0; ok {
			device, baud = rest[:end], rest[end+1:]
		}
		if !ok || !strings.HasPrefix(device, "/") || printable.Name(device) != device {
			return nil, fmt.Errorf("%w: %q is no path in brackets", connect.ErrBadName, printable.Name(where))
		}
		c.Device = device
	} else {
		if at := strings.LastIndexByte(where, ':'); at >= 0 {
			device, baud = where[:at], where[at:]
		}
		device = strings.TrimPrefix(device, deviceDir)
		if err := check.Name("device", device, notInDevice); err != nil {
			return nil, err
		}
		c.Device = deviceDir + device
	}
	if baud != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(baud, ":"))
		if err != nil || n < 1 || baud[0] != ':' {
			return nil, fmt.Errorf("%w: %q is no speed of a line", connect.ErrBadName, printable.Name(baud))
		}
		c.Baud = n
	}
	return c, c.check()
}
