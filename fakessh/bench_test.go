//go:build unix

package fakessh_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/fakessh"
)

// BenchmarkStart runs a command by the shim and by Node.LoginShell in turn. The
// difference is what the shim costs, from its start to its end.
func BenchmarkStart(b *testing.B) {
	runtimeDir(b)
	n := child(b)
	p, err := fakessh.Open(b.Context(), fakessh.Hosts{Default: n})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	var shim, direct time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := shimCommand(b.Context(), p, nil, nil, "echo x").Run(); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		cmd := n.LoginShell(b.Context(), "-c", "echo x")
		cmd.Stdout = io.Discard
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		shim, direct = shim+middle.Sub(begin), direct+time.Since(middle)
	}
	b.ReportMetric(float64(shim.Microseconds())/float64(b.N), "us/shim")
	b.ReportMetric(float64(direct.Microseconds())/float64(b.N), "us/direct")
}

// BenchmarkThroughput has 256 MiB go each way, by the shim and by the command
// underneath in turn.
func BenchmarkThroughput(b *testing.B) {
	runtimeDir(b)
	n := child(b)
	p, err := fakessh.Open(b.Context(), fakessh.Hosts{Default: n})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const size = 256 << 20
	path := filepath.Join(b.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	ways := []struct{ name, line string }{{"there", "cat >/dev/null"}, {"back", fmt.Sprintf("head -c %d /dev/zero", size)}}
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			var shim, direct time.Duration
			for b.Loop() {
				begin := time.Now()
				if err := withInput(path, func(in *os.File) error { return shimCommand(b.Context(), p, in, null, w.line).Run() }); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				if err := withInput(path, func(in *os.File) error { return directCommand(b.Context(), n, in, null, w.line).Run() }); err != nil {
					b.Fatal(err)
				}
				shim, direct = shim+middle.Sub(begin), direct+time.Since(middle)
			}
			b.ReportMetric(float64(direct)/float64(shim), "of-direct")
			b.ReportMetric(float64(size)*float64(b.N)/shim.Seconds()/1e6, "MB/s-shim")
		})
	}
}

func withInput(path string, f func(in *os.File) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	return f(in)
}

func shimCommand(ctx context.Context, p *fakessh.Proxy, in, out *os.File, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path(), "h", line)
	cmd.Env = p.Environ(os.Environ())
	if in != nil {
		cmd.Stdin, cmd.Stdout = in, out
	}
	return cmd
}

func directCommand(ctx context.Context, n *contexts.Node, in, out *os.File, line string) *contexts.Command {
	cmd := n.LoginShell(ctx, "-c", line)
	cmd.Stdin, cmd.Stdout = in, out
	return cmd
}
