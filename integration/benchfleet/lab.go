//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/connect"
	nativessh "github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
	"github.com/mitosis-go/mitosis/integration/lab"
)

// labFanOut is that of all tools, and of each context on the way.
const labFanOut = 64

// insideRole makes this program a master in the client host: insideRole flat|tiers ADDRESS...
// It runs true on all, twice, and prints both times in seconds.
const insideRole = "inside"

// labUser is there on all hosts, with the same key.
const labUser = "deploy"

// labHosts has hosts with an sshd each, and the tools in a host beside them.
func labHosts(ctx context.Context) (err error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	files := map[string]string{"/home/" + labUser + "/.ssh/id_ed25519": string(pem.EncodeToMemory(block))}
	user := lab.User{Name: labUser, Keys: []string{string(ssh.MarshalAuthorizedKey(key))}}
	hosts := make([]*lab.Running, *hostsWanted)
	defer func() {
		var closing sync.WaitGroup
		for _, h := range hosts {
			if h != nil {
				closing.Go(func() { _ = h.Close() })
			}
		}
		closing.Wait()
	}()
	addresses := make([]string, len(hosts))
	for i := range hosts {
		hosts[i], err = lab.Open(ctx, lab.Host{Users: []lab.User{user}, Files: files, SSHD: &lab.SSHD{}})
		if err != nil {
			return err
		}
		addresses[i] = hosts[i].IP()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	client, err := lab.Open(ctx, lab.Host{Users: []lab.User{user}, Files: files, Binds: []string{self + ":ro"}})
	if err != nil {
		return err
	}
	defer client.Close()

	const sshOptions = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
	list, fanOut := strings.Join(addresses, ","), fmt.Sprint(labFanOut)
	best := time.Duration(0)
	for _, tool := range [][]string{
		{"clush", "-w", list, "-f", fanOut, "-l", labUser, "-o", sshOptions, "true"},
		{"env", "PDSH_RCMD_TYPE=ssh", "PDSH_SSH_ARGS_APPEND=" + sshOptions, "pdsh", "-w", list, "-f", fanOut, "-l", labUser, "true"},
	} {
		name := tool[0]
		if name == "env" {
			name = "pdsh"
		}
		if _, err := exec.LookPath(name); err != nil {
			tell(name, "not installed", "")
			continue
		}
		took, _, err := inHost(ctx, client, tool...)
		if err != nil {
			return err
		}
		tell(fmt.Sprintf("%s, true on %d hosts", name, len(hosts)), took.Round(time.Millisecond).String(), "")
		if best == 0 || took < best {
			best = took
		}
	}
	for _, shape := range []string{"flat", "tiers"} {
		_, out, err := inHost(ctx, client, append([]string{self, insideRole, shape}, addresses...)...)
		if err != nil {
			return err
		}
		var first, second float64
		if _, err := fmt.Sscan(out, &first, &second); err != nil {
			return fmt.Errorf("%q: %w", out, err)
		}
		for i, s := range []float64{first, second} {
			tell(fmt.Sprintf("fleet, %s, %s", shape, []string{"first contact", "second run"}[i]),
				fmt.Sprintf("%.3f s, %.2f x the better of them", s, s/max(best.Seconds(), 1e-9)), []string{"at most 1.0 x", "at most 0.5 x"}[i])
		}
	}
	return nil
}

// inHost runs a command in a host and returns how long it took, and its output.
func inHost(ctx context.Context, h *lab.Running, argv ...string) (time.Duration, string, error) {
	cmd := h.CommandAs(ctx, labUser, argv...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, "", fmt.Errorf("%s: %w: %s", argv[0], err, bytes.TrimSpace(messages.Bytes()))
	}
	return time.Since(began), out.String(), nil
}

// inside is the master in the client.
func inside(ctx context.Context, shape string, addresses []string) (err error) {
	began := time.Now()
	self, err := contexts.Start(ctx, &contexts.Config{
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, self.Close()) }()
	cfg := fleet.Config{
		Policy: fleet.Policy{FanOut: labFanOut},
		Hops: func(name string) ([]connect.Method, error) {
			return []connect.Method{nativessh.Login{
				Host: name, User: labUser, NoConfig: true, NoAgent: true, HostKeys: connect.InsecureIgnoreHostKeys,
				IdentityFiles: []string{"/home/" + labUser + "/.ssh/id_ed25519"},
			}}, nil
		},
	}
	if shape == "tiers" {
		heads := fleet.NewHosts(addresses[:max(1, len(addresses)/20)]...)
		cfg.Tree = &fleet.Tree{Rules: []fleet.Rule{{Hosts: fleet.NewHosts(addresses...), Via: heads}}}
		cfg.Policy.Gather, cfg.Policy.FanOut = true, len(addresses)
	}
	g, err := fleet.New(self, fleet.NewHosts(addresses...), &cfg)
	if err != nil {
		return err
	}
	for range 2 {
		if err := fleet.Collect(fleet.Run(ctx, g, fleet.Command{Args: []string{"true"}})).Err(); err != nil {
			return err
		}
		fmt.Println(time.Since(began).Seconds())
		began = time.Now()
	}
	return nil
}
