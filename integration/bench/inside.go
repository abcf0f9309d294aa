//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/contexts"
)

// The loop of 100 commands, for a shell.
const (
	loopTimes = 100
	loop      = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done"
)

// openssh measures ssh with a command for the server, from start to end, in
// milliseconds.
func openssh(name string, args ...string) *subject {
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		out, err := exec.CommandContext(ctx, "ssh", append([]string{serverName}, args...)...).CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
		return millis(time.Since(began)), nil
	}}
}

// insideClient is the role "inside": all that is measured in the client host.
// It prints rows.
func insideClient(ctx context.Context, _ []string) error {
	for _, measure := range []func(context.Context) ([]row, error){wholeRows, hopRows} {
		rows, err := measure(ctx)
		for _, r := range rows {
			if err := tell(r); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wholeRows compare whole programs, from start to end.
func wholeRows(ctx context.Context) ([]row, error) {
	true1 := openssh("ssh true", "true")
	loop1 := openssh("ssh sudo loop", "sudo sh -c '"+loop+"'")
	native := once("native ssh", "native")
	program := once("OpenSSH as carrier", "openssh")
	far := once("loop at the far side", "far")
	near := once("loop in the master", "near")
	if err := inTurns(ctx, rounds(9), true1, native, program, loop1, far, near); err != nil {
		return nil, err
	}
	const (
		trueIs = "ssh true"
		loopIs = "ssh sudo sh -c 'loop'"
	)
	wire := &traffic{}
	if err := wire.measure(func() error { _, err := loop1.measure(ctx); return err }); err != nil {
		return nil, err
	}
	shell := *wire
	var loops [2]traffic
	for i, s := range []*subject{far, near} {
		if err := loops[i].measure(func() error { _, err := s.measure(ctx); return err }); err != nil {
			return nil, err
		}
	}
	bytesNote := func(t traffic) string {
		return fmt.Sprintf("on the wire: %.0f kB out, %.0f kB in; OpenSSH %.0f kB out, %.0f kB in", t.sent/1e3, t.read/1e3, shell.sent/1e3, shell.read/1e3)
	}
	t, l := true1.results.median(), loop1.results.median()
	return []row{
		{What: "new program, ssh, to its first answer", Unit: "ms", Measured: native.results.median(), Limit: t, LimitIs: trueIs, Factor: 1},
		{What: "the same by the OpenSSH program", Unit: "ms", Measured: program.results.median(), Limit: t, LimitIs: trueIs, Factor: 1.2},
		{What: "100 x true by ssh, sudo; loop at far side", Unit: "ms", Measured: far.results.median(), Limit: l, LimitIs: loopIs, Factor: 1, Note: bytesNote(loops[0])},
		{What: "100 x true by ssh, sudo; loop in master", Unit: "ms", Measured: near.results.median(), Limit: l, LimitIs: loopIs, Factor: 1.2, Note: bytesNote(loops[1])},
	}, nil
}

// hopRows are measured in one program that stays.
func hopRows(ctx context.Context) (rows []row, err error) {
	master, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	web, err := master.Connect(ctx, connect.SSH{Host: serverName})
	if err != nil {
		return nil, err
	}

	true1 := openssh("ssh true", "true")
	again := &subject{name: "another connection", measure: func(ctx context.Context) (float64, error) {
		return connectTime(ctx, master, connect.SSH{Host: serverName})
	}}
	sudo := &subject{name: "sudo hop", measure: func(ctx context.Context) (float64, error) {
		return connectTime(ctx, web, connect.Sudo{})
	}}
	bare := &subject{name: "sudo true", measure: func(ctx context.Context) (float64, error) {
		took, err := run.Call(ctx, web, command{Argv: []string{"sudo", "-n", "true"}, Times: 1})
		return millis(took), err
	}}
	if err := inTurns(ctx, rounds(9), true1, again, sudo, bare); err != nil {
		return nil, err
	}
	rows = append(rows,
		row{What: "another connection of the same program", Unit: "ms", Measured: again.results.median(), Limit: true1.results.median(), LimitIs: "ssh true", Factor: 1},
		row{What: "sudo hop, to its first answer", Unit: "ms", Measured: sudo.results.median(), Limit: bare.results.median(), LimitIs: "sudo -n true", Factor: 1.5, Plus: 15},
	)

	small, err := callOnWire(ctx, web)
	if err != nil {
		return rows, err
	}
	rows = append(rows, small...)
	root, err := web.Connect(ctx, connect.Sudo{})
	if err != nil {
		return rows, err
	}
	overSSH, overBoth := calls("call over ssh", web, 200), calls("call over ssh and sudo", root, 200)
	if err := inTurns(ctx, rounds(9), overSSH, overBoth); err != nil {
		return rows, err
	}
	rows = append(rows,
		row{What: overSSH.name, Unit: "us", Measured: overSSH.results.median()},
		row{What: overBoth.name, Unit: "us", Measured: overBoth.results.median()},
	)
	transfer, err := transferRow(ctx, web)
	return append(rows, transfer...), err
}

// connectTime measures one hop to the first answer, in milliseconds.
func connectTime(ctx context.Context, from *contexts.Node, m connect.Method) (float64, error) {
	began := time.Now()
	n, err := from.Connect(ctx, m)
	if err != nil {
		return 0, err
	}
	_, err = empty.Call(ctx, n, struct{}{})
	took := millis(time.Since(began))
	return took, errors.Join(err, n.Close())
}

// once measures this program in the role "once", from its start to the byte
// that says that its work is done.
func once(name, way string) *subject {
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		p, err := newPartner(ctx, "once", way)
		if err != nil {
			return 0, err
		}
		_, err = p.out.Read(make([]byte, 1))
		answered := time.Since(began)
		if err := errors.Join(err, p.close()); err != nil {
			return 0, err
		}
		if way == "native" || way == "openssh" {
			return millis(answered), nil // a connect; the other ways are jobs with an end
		}
		return millis(time.Since(began)), nil
	}}
}

// wholeProgram is the role "once": a program that does one job over ssh.
func wholeProgram(ctx context.Context, args []string) (err error) {
	master, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	var method connect.Method = connect.SSH{Host: serverName}
	if args[0] == "openssh" {
		method = connect.OpenSSH{Host: serverName}
	}
	node, err := master.Connect(ctx, method)
	if err != nil {
		return err
	}
	job, calls := command{Argv: []string{"/bin/true"}, Times: 1}, loopTimes
	switch args[0] {
	case "far":
		job.Times, calls = loopTimes, 1
		fallthrough
	case "near":
		if node, err = node.Connect(ctx, connect.Sudo{}); err != nil {
			return err
		}
		for range calls {
			if _, err := run.Call(ctx, node, job); err != nil {
				return err
			}
		}
	default:
		if _, err := empty.Call(ctx, node, struct{}{}); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write([]byte("x"))
	return err
}
