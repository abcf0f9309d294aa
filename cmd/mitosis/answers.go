package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/mitosis-go/mitosis/connect"
)

// givenPassword is that of --password-from.
var givenPassword password

// password is one that a file has. It is read when it is first asked for.
type password struct {
	source string // FILE or FD; "" where none is given

	once sync.Once
	text string
	err  error
}

// from takes what stands behind --password-from.
func (p *password) from(source string) error {
	if source == "" {
		return errors.New("give the name of a file, or the number of a descriptor")
	}
	p.source = source
	return nil
}

// answer returns the password. A server that has refused it gets it no second time: that may
// lock an account.
func (p *password) answer(q connect.Prompt) (string, error) {
	p.once.Do(p.read)
	if p.err == nil && q.Attempt > 1 {
		return "", fmt.Errorf("the password from %s is wrong", p.source)
	}
	return p.text, p.err
}

func (p *password) read() {
	file, err := (*os.File)(nil), error(nil)
	if fd, notNumber := strconv.ParseUint(p.source, 10, 16); notNumber == nil {
		file = os.NewFile(uintptr(fd), "descriptor "+p.source)
	} else if file, err = os.Open(p.source); err != nil {
		p.err = fmt.Errorf("--password-from: %w", err)
		return
	}
	var line []byte
	for b := make([]byte, 1); len(line) < 1<<12; { // no byte behind the line: that is for others
		n, err := file.Read(b)
		if n > 0 && b[0] == '\n' || errors.Is(err, io.EOF) && len(line) > 0 {
			break
		}
		if err != nil {
			p.err = fmt.Errorf("--password-from: %s: %w", p.source, err)
			return
		}
		line = append(line, b[:n]...)
	}
	p.text = strings.TrimSuffix(string(line), "\r")
}

// askProgram returns the program that asks in place of the terminal, "" if none does. As with
// ssh, SSH_ASKPASS names it, and it is for those without a terminal who have a screen, unless
// SSH_ASKPASS_REQUIRE says more.
func askProgram() string {
	program, require := os.Getenv("SSH_ASKPASS"), os.Getenv("SSH_ASKPASS_REQUIRE")
	switch require {
	case "never":
		return ""
	case "force", "prefer":
		return program
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return ""
	}
	if tty, err := openTTY(); err == nil {
		_ = tty.Close()
		return ""
	}
	return program
}

// askBy has a program ask.
func askBy(ctx context.Context, program string, p connect.Prompt) (string, error) {
	out, err := exec.CommandContext(ctx, program, p.Path+": "+strings.TrimSpace(p.Text)).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	answer, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSuffix(answer, "\r"), nil
}

// canAsk reports whether questions can be answered at all.
func canAsk() bool {
	if givenPassword.source != "" || askProgram() != "" {
		return true
	}
	tty, err := openTTY()
	if err == nil {
		_ = tty.Close()
	}
	return err == nil
}

// advice returns what would help against an error, as a line of its own, "" if nothing is known.
func advice(err error) string {
	switch {
	case errors.Is(err, connect.ErrPasswordRequired) && !canAsk():
		return "there is no terminal to ask for a password: use a key (-i) or an agent, --password-from FILE, or SSH_ASKPASS"
	case errors.Is(err, connect.ErrHostKeyUnknown) && !canAsk():
		return "--accept-new takes the key of a host that was never seen"
	}
	return ""
}
