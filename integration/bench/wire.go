//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/contexts"
)

// traffic counts the bytes that have passed the client host's interface, with IP headers and
// without Ethernet headers. The kernel counts a large packet that it has not split yet as one. So
// some headers of bulk transfers are missing.
type traffic struct{ sent, read float64 }

const ethernetHeader = 14

func (t *traffic) measure(do func() error) error {
	before, err := counters()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := counters()
	t.sent, t.read = after.sent-before.sent, after.read-before.read
	return err
}

func counters() (t traffic, err error) {
	f, err := os.Open("/proc/self/net/dev")
	if err != nil {
		return t, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if name != "eth0" {
			continue
		}
		var n [10]float64 // bytes, packets and six others read, bytes and packets sent
		for i, s := range strings.Fields(rest)[:10] {
			if _, err := fmt.Sscan(s, &n[i]); err != nil {
				return t, err
			}
		}
		return traffic{sent: n[8] - ethernetHeader*n[9], read: n[0] - ethernetHeader*n[1]}, nil
	}
	return t, fmt.Errorf("there is no eth0")
}

// callOnWire counts the bytes of small calls one after the other.
func callOnWire(ctx context.Context, on *contexts.Node) ([]row, error) {
	const n = 200
	var out, in series
	for range rounds(5) + 1 {
		var t traffic
		err := t.measure(func() error { _, err := callTime(ctx, on, n); return err })
		if err != nil {
			return nil, err
		}
		out, in = append(out, t.sent/n), append(in, t.read/n)
	}
	return []row{
		{What: "small call over ssh, on the wire out", Unit: "bytes", Measured: out.median(), Size: 130},
		{What: "small call over ssh, on the wire back", Unit: "bytes", Measured: in.median(), Size: 130},
	}, nil
}

// transferRow compares sending a file over a stream with cat | ssh cat. Both connections exist
// before the measurement.
func transferRow(ctx context.Context, web *contexts.Node) ([]row, error) {
	n := streamBytes() / 2
	const name = "/dev/shm/bench-file"
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer os.Remove(name)
	defer f.Close()
	if err := writeZeros(f, n); err != nil {
		return nil, err
	}
	ours := &subject{name: "stream over ssh", measure: func(ctx context.Context) (float64, error) {
		return upload(ctx, web, n, func(c net.Conn) error { return sendFile(c, name) })
	}}
	theirs := &subject{name: "cat | ssh cat", measure: func(ctx context.Context) (float64, error) {
		return catOverSSH(ctx, name, n)
	}}
	if err := inTurns(ctx, rounds(5), ours, theirs); err != nil {
		return nil, err
	}
	return []row{
		{What: "stream over ssh", Unit: "MB/s", Measured: ours.results.median(), Limit: theirs.results.median(),
			LimitIs: "cat file | ssh cat", Factor: 0.9, AtLeast: true},
	}, nil
}

func sendFile(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	// The kernel could splice a file to a pipe, but not to a stream. So both are copied.
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, make([]byte, block))
	return err
}

func catOverSSH(ctx context.Context, name string, n int64) (float64, error) {
	s, err := overSSH(ctx, "cat >/dev/null; echo done")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := sendFile(s.in, name); err != nil {
		return 0, err
	}
	took, err := s.finish(began)
	return megabytes(n, took), err
}

// session is a command at the server that already runs, by ssh.
type session struct {
	cmd     *exec.Cmd
	in, out *os.File
}

// overSSH starts a command at the server and waits until it runs.
func overSSH(ctx context.Context, remote string) (*session, error) {
	s := &session{cmd: exec.CommandContext(ctx, "ssh", serverName, "echo ready; "+remote)}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	defer stdout.Close()
	s.in, s.out, s.cmd.Stdin, s.cmd.Stdout = in, out, stdin, stdout
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return s, s.line()
}

// line reads a line, and no byte behind it.
func (s *session) line() error {
	for b := []byte{0}; b[0] != '\n'; {
		if _, err := s.out.Read(b); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the input, and waits for a line and then the end.
func (s *session) finish(began time.Time) (time.Duration, error) {
	s.in.Close()
	err := s.line()
	took := time.Since(began)
	return took, errors.Join(err, s.cmd.Wait(), s.out.Close())
}
