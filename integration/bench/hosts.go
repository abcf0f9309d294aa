//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/mitosis-go/mitosis/integration/lab"
)

const (
	serverName = "server"
	userName   = "deploy"
)

// hosts are a server with sshd and sudo, and a client whose root may log in there by a key. Both
// have OpenSSH's default configuration.
type hosts struct {
	server, client *lab.Running
}

// openHosts makes them. The client sees some paths of the machine, read-only.
func openHosts(ctx context.Context, visible ...string) (h *hosts, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	h = &hosts{}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	h.server, err = lab.Open(ctx, lab.Host{
		Name:    serverName,
		Users:   []lab.User{{Name: userName, Keys: []string{string(ssh.MarshalAuthorizedKey(key))}}},
		Sudoers: userName + " ALL=(ALL) NOPASSWD: ALL",
		SSHD:    &lab.SSHD{},
	})
	if err != nil {
		return h, err
	}
	var binds []string
	for _, path := range visible {
		binds = append(binds, path+":ro")
	}
	h.client, err = lab.Open(ctx, lab.Host{
		Name:  "client",
		Binds: binds,
		Files: map[string]string{
			"/root/.ssh/id_ed25519":  string(pem.EncodeToMemory(block)),
			"/root/.ssh/known_hosts": h.server.KnownHosts(),
			// With this, all tools log in as the same user.
			"/root/.ssh/config": "Host " + serverName + "\n\tUser " + userName + "\n",
		},
		Setup: []string{"chmod 700 /root/.ssh; chmod 600 /root/.ssh/*"},
	})
	return h, err
}

func (h *hosts) close() error {
	var errs []error
	for _, r := range []*lab.Running{h.client, h.server} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}

// run runs a command in the client and returns its output.
func (h *hosts) run(ctx context.Context, argv ...string) ([]byte, error) {
	cmd := h.client.Command(ctx, argv...)
	if quick {
		cmd.Env = append(cmd.Env, "BENCH_QUICK=1")
	}
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%w: %s", err, strings.TrimSpace(messages.String()))
	}
	if messages.Len() > 0 {
		fmt.Fprintf(os.Stderr, "in the client host: %s", messages.String())
	}
	return out.Bytes(), nil
}

// networkRows returns the rows that are measured between hosts of the lab.
func networkRows(ctx context.Context, peers bool) (rows []row, err error) {
	leftOut := func(why string) []row {
		return []row{{What: "everything over ssh and through sudo", Missing: "left out: " + why}}
	}
	if os.Geteuid() != 0 {
		return leftOut("the hosts of package lab need root"), nil
	}
	for _, name := range []string{"ssh", "sshd", "sudo", "rsync"} {
		if _, err := exec.LookPath(name); err != nil {
			return leftOut(name + " is not installed"), nil
		}
	}
	program, remove, err := build(ctx, "integration/bench/program")
	if err != nil {
		return leftOut(err.Error()), nil
	}
	defer remove()
	mitosis, remove, err := build(ctx, "cmd/mitosis")
	if err != nil {
		return leftOut(err.Error()), nil
	}
	defer remove()
	spread, remove, err := build(ctx, "integration/testdata/spread")
	if err != nil {
		return leftOut(err.Error()), nil
	}
	defer remove()
	source, err := sourceRoot(ctx)
	if err != nil {
		return leftOut(err.Error()), nil
	}
	h, err := openHosts(ctx, program, mitosis, source, spread)
	if err != nil {
		return leftOut("no host can be made: " + err.Error()), nil
	}
	defer func() { err = errors.Join(err, h.close()) }()
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, err := h.run(ctx, exe, "inside", program, mitosis, source)
	rows, decodeErr := decodeLines[row](out)
	if err := errors.Join(err, decodeErr); err != nil {
		return rows, err
	}
	long, err := longRows(ctx, h, spread)
	if rows = append(rows, long...); err != nil {
		return rows, err
	}
	if peers {
		more, err := peerRows(ctx, h)
		return append(rows, more...), err
	}
	return rows, nil
}
