package fakessh

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/mitosis-go/mitosis/fakessh/internal/shim"
)

// Cmd is a local command whose calls of ssh reach contexts. It is used as an exec.Cmd. Fields
// are set before Start; if you set Env, apply [Proxy.Environ] to it.
type Cmd struct {
	*exec.Cmd
	// Ended, if not nil, is called by Wait when the command has ended. Calls of ssh may go
	// on in the background then, as with ssh -f.
	Ended func() error
	proxy *Proxy
	err   error  // of Open
	untie func() // set by Start, called by Wait
}

// Command returns a local command for which ssh, and every tool that runs ssh, reaches the
// hosts. When ctx ends, the command is killed, and so are its commands at the far side. When
// this program dies, it gets SIGTERM, on Linux and FreeBSD; its own child processes do not,
// but their calls of ssh fail. Call Wait, which removes the shim.
//
//	cmd := fakessh.Command(ctx, fakessh.Hosts{Default: root}, "rsync", "-a", "site/", "web:/srv/www/")
//	out, err := cmd.CombinedOutput()
func Command(ctx context.Context, hosts Hosts, name string, arg ...string) *Cmd {
	proxy, err := Open(ctx, hosts)
	if err != nil {
		return &Cmd{Cmd: exec.CommandContext(ctx, name, arg...), err: err}
	}
	path := name
	if slices.Contains(shim.Names[:], name) {
		path = filepath.Join(filepath.Dir(proxy.Path()), name)
	}
	cmd := exec.CommandContext(ctx, path, arg...)
	cmd.Args[0] = path
	cmd.Env = proxy.Environ(cmd.Environ())
	return &Cmd{Cmd: cmd, proxy: proxy}
}

// Start is exec.Cmd.Start.
func (c *Cmd) Start() error {
	if c.err != nil {
		return c.err
	}
	untie, err := startTied(c.Cmd)
	if err != nil {
		return errors.Join(err, c.proxy.Close())
	}
	c.untie = untie
	return nil
}

// Wait is exec.Cmd.Wait. It ends calls of ssh by processes that the command left running.
func (c *Cmd) Wait() error {
	err := c.Cmd.Wait()
	if c.untie != nil {
		c.untie()
		c.untie = nil
	}
	if c.Ended != nil && c.ProcessState != nil {
		if endedErr := c.Ended(); err == nil {
			err = endedErr
		}
	}
	if closeErr := c.proxy.Close(); err == nil {
		err = closeErr
	}
	return err
}

// WaitBackground waits until no call of ssh is running any more. It is for Ended.
func (c *Cmd) WaitBackground(ctx context.Context) error { return c.proxy.idle(ctx) }

// Run is exec.Cmd.Run.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd.Output. If Stderr is not set, the error has the standard error.
func (c *Cmd) Output() ([]byte, error) {
	var out, errOut bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &errOut
	}
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		exit.Stderr = errOut.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput is exec.Cmd.CombinedOutput.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
