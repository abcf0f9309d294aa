// Chain makes three hops: over ssh to a host, through sudo to another account there, and to a
// child of that. It prints the identity of all three contexts, and reads a file as the last one
// that the first may not read.
//
// If a hop asks for a passphrase or a password, the question comes at this terminal.
//
//	go run ./examples/chain -host web1 -user deploy -become root
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
)

// Who is the identity of a context.
type Who struct {
	Path     string
	Hostname string
	UID, PID int
}

var who = contexts.NewFunc("chain.who", func(ctx context.Context, _ struct{}) (Who, error) {
	host, err := os.Hostname()
	return Who{contexts.Self(ctx).String(), host, os.Getuid(), os.Getpid()}, err
})

var countLines = contexts.NewFunc("chain.countlines", func(_ context.Context, path string) (int, error) {
	b, err := os.ReadFile(path)
	return bytes.Count(b, []byte{'\n'}), err
})

func main() {
	contexts.Init()
	var (
		host      = flag.String("host", "localhost", "host to connect to")
		port      = flag.Int("port", 0, "its port; 0 is what the ssh configuration says")
		user      = flag.String("user", "", "user to log in as; empty is what the ssh configuration says")
		identity  = flag.String("identity", "", "file of the private key; empty is what the ssh configuration says")
		known     = flag.String("known-hosts", "", "known_hosts file; empty is what the ssh configuration says")
		acceptNew = flag.Bool("accept-new", false, "accept and remember the key of a host that was never seen")
		asUser    = flag.String("become", "root", "user to become through sudo")
		file      = flag.String("file", "/etc/shadow", "file whose lines to count as that user")
	)
	flag.Parse()
	// The tree ends with the program in any case. As the signal cancels ctx, it ends in
	// order, and the error names the hop that was being made.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	hop := ssh.Login{Host: *host, Port: *port, User: *user}
	if *identity != "" {
		hop.IdentityFiles = []string{*identity}
	}
	if *known != "" {
		hop.KnownHostsFiles = []string{*known}
	}
	if *acceptNew {
		hop.HostKeys = connect.HostKeysAcceptNew
	}
	stdin := int(os.Stdin.Fd())
	screen, noTerminal := term.GetState(stdin)
	err := run(ctx, hop, become.Sudo{User: *asUser}, *file)
	if noTerminal == nil {
		// After Ctrl-C at a question, echo is still off.
		_ = term.Restore(stdin, screen)
	}
	if err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ssh ssh.Login, sudo become.Sudo, file string) error {
	self, err := contexts.Start(ctx, &contexts.Config{Prompt: ask, Notify: tell})
	if err != nil {
		return err
	}
	defer self.Close()

	login, err := self.Connect(ctx, ssh)
	if err != nil {
		return err
	}
	root, err := login.Connect(ctx, sudo) // asks for the password here, and types it there
	if errors.Is(err, connect.ErrPassword) {
		return fmt.Errorf("that was not the password: %w", err)
	} else if err != nil {
		return err
	}
	child, err := root.Connect(ctx, local.Child{})
	if err != nil {
		return err
	}
	for node, r := range contexts.CallAll(ctx, who, []*contexts.Node{login, root, child}, struct{}{}) {
		if r.Err != nil {
			return r.Err
		}
		fmt.Printf("%v: uid %d, pid %d on %s\n", node, r.Value.UID, r.Value.PID, r.Value.Hostname)
	}
	// Errors keep their meaning over any number of hops.
	if _, err := countLines.Call(ctx, login, file); errors.Is(err, fs.ErrPermission) {
		fmt.Printf("%v may not read %s\n", login, file)
	}
	lines, err := countLines.Call(ctx, child, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Printf("%s is not there\n", file)
	case err != nil:
		return err
	default:
		fmt.Printf("%v reads %d lines of %s\n", child, lines, file)
	}
	return self.Close()
}

// input keeps lines that were read ahead, if standard input is no terminal.
var input = bufio.NewReader(os.Stdin)

// tell shows a notice of a hop.
func tell(_ context.Context, n connect.Notice) {
	fmt.Fprintf(os.Stderr, "[%s] %s\n", n.Path, n.Text)
}

// ask asks the person at the terminal. The hops are made one after the other, so there is one
// question at a time.
func ask(_ context.Context, p connect.Prompt) (string, error) {
	if p.Attempt > 1 {
		fmt.Fprintln(os.Stderr, "that was wrong")
	}
	fmt.Fprintf(os.Stderr, "%s: %s ", p.Path, strings.TrimSpace(p.Text))
	defer fmt.Fprintln(os.Stderr)
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		line, err := input.ReadString('\n')
		return strings.TrimRight(line, "\r\n"), err
	}
	answer, err := term.ReadPassword(int(os.Stdin.Fd()))
	return string(answer), err
}
