//go:build linux

package connecttest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mitosis-go/mitosis/connect/internal/tool"
)

// stubEnv makes this test binary a stub of a tool that asks. Its value is a
// list of words that say how the tool behaves.
const stubEnv = "CONNECT_TEST_STUB"

// Main is TestMain for packages whose tests use stubs.
func Main(m *testing.M) {
	if how := os.Getenv(stubEnv); how != "" {
		os.Unsetenv(stubEnv)
		os.Exit(stub(strings.Split(how, ",")))
	}
	tool.Starter() // its goroutine and thread stay for good
	os.Exit(m.Run())
}

// StubPassword is the password of the stubs.
const StubPassword = "correct horse\x03\x15\x16\x04 *x"

// asker is a stub under way.
type asker struct {
	tty  *os.File
	in   *bufio.Reader
	opts map[string]bool
}

// stub stands for sudo and its like: it asks on /dev/tty and runs what comes
// after "--".
func stub(words []string) int {
	opts := map[string]bool{}
	for _, w := range words {
		opts[w] = true
	}
	args := os.Args[1:]
	prompt, command := "Password: ", args
	if own := os.Getenv("SUDO_PROMPT"); own != "" {
		prompt = strings.ReplaceAll(own, "%p", "alice")
	}
	for i, arg := range args {
		if arg == "--" {
			command = args[i+1:]
			break
		}
	}
	for fd := 3; fd < 20; fd++ {
		syscall.Close(fd) // as sudo and ssh do
	}
	if opts["ignorehup"] {
		exec.Command("sh", "-c", "true").Run()
	}
	switch {
	case opts["translated"]:
		prompt = "[sudo] Mot de passe de alice : "
	case opts["rs"]:
		prompt = "[sudo: " + prompt + "] Password: "
	case opts["oldrs"]:
		prompt = "[sudo: authenticate] Password: "
	case opts["colour"]:
		prompt = "\x1b[1;31m" + prompt + "\x1b[0m"
	case opts["odd"]:
		prompt = "Say friend and enter> "
	}
	if opts["banner"] {
		fmt.Fprint(os.Stderr, "Enter your password:\n")
	}
	if !opts["noask"] {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, "stub: a terminal is required to read the password")
			return 1
		}
		a := &asker{tty: tty, in: bufio.NewReader(tty), opts: opts}
		if opts["banner"] {
			fmt.Fprint(tty, "This host asks for your password:\r\n[mitosis-] password: not really\r\nlast words: password: ")
			time.Sleep(50 * time.Millisecond)
		}
		if code := a.ask(prompt); code >= 0 {
			return code
		}
	}
	if opts["fail"] {
		fmt.Fprintln(os.Stderr, "stub: the password was "+StubPassword)
		return 1
	}
	if opts["deny"] {
		fmt.Fprintln(os.Stderr, "alice n'est pas dans le fichier sudoers.")
		return 1
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return 0
}

func (a *asker) ask(prompt string) int {
	tries := 3
	if a.opts["once"] {
		tries = 1
	}
	for range tries {
		answer := a.read(prompt)
		if answer == StubPassword {
			if a.opts["otp"] && a.read("Verification code: ") != "123456" {
				return 1
			}
			if a.opts["challenge"] {
				fmt.Fprint(a.tty, "challenge 4711\n")
				if a.read("Response: ") != "1174" {
					return 1
				}
			}
			return -1
		}
		fmt.Fprintln(os.Stderr, "Désolé, essayez de nouveau.")
	}
	fmt.Fprintln(os.Stderr, "stub: 3 saisies de mot de passe incorrectes")
	return 1
}

// read reads as sudo's tgetpass does, or in one of the other ways that there
// are.
func (a *asker) read(prompt string) string {
	fd := int(a.tty.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		panic(err)
	}
	quiet := *old
	quiet.Lflag &^= unix.ECHO | unix.ECHONL
	if a.opts["pwfeedback"] {
		quiet.Lflag &^= unix.ICANON | unix.IEXTEN
		quiet.Lflag |= unix.ISIG
	}
	if a.opts["printfirst"] {
		fmt.Fprint(a.tty, prompt)
		time.Sleep(100 * time.Millisecond)
	}
	if !a.opts["echo"] {
		unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet) // drops what was typed ahead
	}
	if !a.opts["printfirst"] {
		for _, b := range []byte(prompt) {
			a.tty.Write([]byte{b})
		}
	}
	if a.opts["hang"] {
		time.Sleep(time.Hour)
	}
	var answer []byte
	for {
		b, err := a.in.ReadByte()
		if err != nil {
			fmt.Fprintln(os.Stderr, "stub: the terminal was hung up")
			os.Exit(1)
		}
		if b == '\n' {
			break
		}
		answer = append(answer, b)
		if a.opts["pwfeedback"] {
			a.tty.WriteString("*")
		}
	}
	if a.opts["pwfeedback"] {
		a.tty.WriteString(strings.Repeat("\b \b", len(answer)))
	}
	io.WriteString(a.tty, "\n")
	unix.IoctlSetTermios(fd, unix.TCSETS, old)
	return string(answer)
}

// StubAs makes a program that behaves as the words say.
func StubAs(t *testing.T, words string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stub")
	script := "#!/bin/sh\nGORACE=atexit_sleep_ms=0 " + stubEnv + "=" + words + " exec " + self + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
