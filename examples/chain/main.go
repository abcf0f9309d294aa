// Chain goes from hop to hop: over ssh to a host, through sudo to another
// account there, and into a child of that one; then it asks all three who
// they are.
//
//	go run ./examples/chain -host web1 -user deploy -become root
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// Who is what a context says about itself.
type Who struct {
	Path     string
	Hostname string
	UID, PID int
}

var who = contexts.NewFunc("chain.who", func(ctx context.Context, _ struct{}) (Who, error) {
	host, err := os.Hostname()
	return Who{contexts.Self(ctx).String(), host, os.Getuid(), os.Getpid()}, err
})

var firstLine = contexts.NewFunc("chain.firstline", func(_ context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Scan()
	return s.Text(), s.Err()
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
		become    = flag.String("become", "root", "user to become through sudo")
		file      = flag.String("file", "/etc/shadow", "file whose first line to read as that user")
	)
	flag.Parse()
	// The tree ends with the program in any case. With the signal turned into
	// a cancellation it ends in order, and the error says where it was.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	hop := connect.SSH{Host: *host, Port: *port, User: *user}
	if *identity != "" {
		hop.IdentityFiles = []string{*identity}
	}
	if *known != "" {
		hop.KnownHostsFiles = []string{*known}
	}
	if *acceptNew {
		hop.HostKeys = connect.HostKeysAcceptNew
	}
	if err := run(ctx, hop, connect.Sudo{User: *become}, *file); err != nil {
		log.SetFlags(0)
		log.Print(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, ssh connect.SSH, sudo connect.Sudo, file string) error {
	self, err := contexts.Start(ctx, &contexts.Config{Prompt: ask})
	if err != nil {
		return err
	}
	defer self.Close()

	login, err := self.Connect(ctx, ssh)
	if err != nil {
		return err
	}
	root, err := login.Connect(ctx, sudo) // asks for the password here, types it there
	if errors.Is(err, connect.ErrPassword) {
		return fmt.Errorf("that was not the password: %w", err)
	} else if err != nil {
		return err
	}
	child, err := root.Connect(ctx, connect.Local{})
	if err != nil {
		return err
	}
	for node, r := range who.Each(ctx, []*contexts.Node{login, root, child}, struct{}{}) {
		if r.Err != nil {
			return r.Err
		}
		fmt.Printf("%v: uid %d, pid %d on %s\n", node, r.Value.UID, r.Value.PID, r.Value.Hostname)
	}
	line, err := firstLine.Call(ctx, child, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Printf("%s is not there\n", file)
	case err != nil:
		return err
	default:
		fmt.Printf("%s begins with %d bytes\n", file, len(line))
	}
	return self.Close()
}

// ask asks the person at the terminal.
func ask(_ context.Context, p connect.Prompt) (string, error) {
	fmt.Fprintf(os.Stderr, "%s: %s ", p.Path, p.Text)
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		return trimLine(line), err
	}
	answer, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	return string(answer), err
}

func trimLine(s string) string {
	for len(s) > 0 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') {
		s = s[:len(s)-1]
	}
	return s
}
