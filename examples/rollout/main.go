// Rollout brings a configuration file to hosts behind a bastion and restarts a service there,
// a few hosts at a time. If it is killed, the same command goes on where it was: hosts that
// are done are left alone, and those that were under way are named, for somebody to look at.
//
//	go run ./examples/rollout -bastion me@bastion -hosts 'web[01-30]' -config app.conf \
//		-to /etc/app/app.conf -restart 'systemctl restart app' -run app-2.journal
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/facts"
	"github.com/mitosis-go/mitosis/contexts/files"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/contexts/fleet/copies"
	"github.com/mitosis-go/mitosis/contexts/fleet/journal"
)

var (
	bastion  = flag.String("bastion", "", "host through which the others are reached: user@host")
	hosts    = flag.String("hosts", "", "the others, as a host set: web[01-30],db1")
	user     = flag.String("user", "root", "user to log in as there")
	identity = flag.String("identity", "", "file of the private key; empty is what the ssh configuration says")
	known    = flag.String("known-hosts", "", "known_hosts file; empty is what the ssh configuration says")
	config   = flag.String("config", "", "the configuration file, here")
	to       = flag.String("to", "", "its path there")
	command  = flag.String("restart", "", "command that restarts the service")
	runFile  = flag.String("run", "rollout.journal", "file that records this rollout")
	again    = flag.String("again", "", "hosts whose state was unknown, and that are to be tried again")
)

func main() {
	contexts.Init()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rollOut(ctx); err != nil {
		log.Fatal(err)
	}
}

func rollOut(ctx context.Context) error {
	self, err := contexts.Start(ctx, nil)
	if err != nil {
		return err
	}
	defer self.Close()
	all, err := group(self)
	if err != nil {
		return err
	}
	record, err := journal.Open(*runFile)
	if err != nil {
		return err
	}
	defer record.Close()
	if err := tryAgain(record); err != nil {
		return err
	}

	// Which systems are these? Nothing happens on hosts that are no Linux, or do not answer.
	known := facts.OfAll(ctx, all)
	report("facts", known)
	linux, unknown := fleet.Where(all, known, func(f facts.Facts) bool { return f.GOOS == "linux" })

	// The file goes to all at once. Where it is already, its contents are not sent.
	put := fleet.Collect(copies.PutAll(ctx, linux, *config, *to, &files.Options{Mode: 0o644}))
	report("configuration", put)

	// The restart is for the careful: five at a time, and no more when a fifth has failed.
	careful := linux.Only(put.OK()).With(fleet.Policy{
		Batches:   []fleet.Share{{N: 5}},
		StopAbove: &fleet.Share{Percent: 20},
		Timeout:   time.Minute,
		Journal:   record,
		Name:      "restart",
	})
	restart := fleet.Command{Args: strings.Fields(*command)}
	restarted := fleet.Collect(fleet.Run(ctx, careful, restart))
	report("restart", restarted)

	// Those that failed get a second chance, if the others went well.
	if failed := careful.Only(restarted.Failed()); failed.Len() > 0 && restarted.NotTried().Len() == 0 {
		restarted = fleet.Collect(fleet.Run(ctx, failed, restart))
		report("second restart", restarted)
	}
	for _, err := range []error{unknown, put.Err(), restarted.Err()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// group returns the hosts, which are reached through the bastion. It sees only ciphertext: keys
// and passwords stay here.
func group(self *contexts.Node) (*fleet.Group, error) {
	login := ssh.Login{User: *user}
	if *identity != "" {
		login.IdentityFiles = []string{*identity}
	}
	if *known != "" {
		login.KnownHostsFiles = []string{*known}
	}
	jump := login
	jump.User, jump.Host, _ = strings.Cut(*bastion, "@")
	through := self.Manage(jump, nil)

	names, err := fleet.ParseHosts(*hosts)
	if err != nil {
		return nil, err
	}
	return fleet.New(self, names, &fleet.Config{Hops: func(name string) ([]connect.Method, error) {
		hop := login
		hop.Host, hop.Through = name, through
		return []connect.Method{hop}, nil
	}})
}

// tryAgain has the journal forget that hosts were under way when a rollout was killed.
func tryAgain(record *journal.Journal) error {
	looked, err := fleet.ParseHosts(*again)
	for name := range looked.All() {
		if err == nil {
			err = record.Forget("restart", name)
		}
	}
	return err
}

// report prints how a step has ended.
func report[Out any](step string, r *fleet.Results[Out]) {
	s := r.Summary()
	fmt.Printf("%s: %d of %d done, %d before, %d failed, %d not tried\n", step, s.OK, s.Hosts, s.Before, s.Failed, s.NotTried)
	for _, e := range s.Errors {
		fmt.Printf("  %v: %s\n", e.Hosts, e.Error)
	}
}
