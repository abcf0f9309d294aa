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
	"github.com/mitosis-go/mitosis/connect/become"
	"github.com/mitosis-go/mitosis/connect/ssh"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/integration/bench/work"
)

// loop is a loop of 100 commands, for a shell.
const loop = "i=0; while [ $i -lt 100 ]; do /bin/true; i=$((i+1)); done"

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

// insideClient is the role "inside": it measures in the client host, and prints rows. Its
// arguments are the program that does one job, the command line's program, and the directory of
// this project's source.
func insideClient(ctx context.Context, args []string) error {
	program, mitosis, source := args[0], args[1], args[2]
	var errs []error
	for _, measure := range []func(context.Context) ([]row, error){
		func(ctx context.Context) ([]row, error) { return wholeRows(ctx, program) },
		func(ctx context.Context) ([]row, error) { return contactRows(ctx, program) },
		func(ctx context.Context) ([]row, error) { return hopRows(ctx, mitosis, source) },
		func(ctx context.Context) ([]row, error) { return brokerRows(ctx, mitosis) },
	} {
		rows, err := measure(ctx)
		errs = append(errs, err)
		for _, r := range rows {
			if err := tell(r); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}

// contactRows measures the first contact of new programs with a host. The image was packed by an
// earlier program, or by none. The limit is the time that the same bytes take by ssh and cat.
func contactRows(ctx context.Context, program string) ([]row, error) {
	if err := os.Mkdir(work.PackedDir, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(work.PackedDir)
	if _, err := once("packing", program, "prepare").bounded(ctx); err != nil {
		return nil, err
	}
	image, err := work.PackedImage()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(image)
	if err != nil {
		return nil, err
	}
	warm := once("warm cache", program, "warm")
	native := once("native ssh", program, "native")
	userSSH := once("OpenSSH as carrier", program, "openssh")
	cat := &subject{name: "ssh cat", measure: func(ctx context.Context) (float64, error) {
		in, err := os.Open(image)
		if err != nil {
			return 0, err
		}
		defer in.Close()
		cmd := exec.CommandContext(ctx, "ssh", serverName, "cat >/dev/null")
		cmd.Stdin = in
		began := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
		return millis(time.Since(began)), nil
	}}
	if err := inTurns(ctx, rounds(9), warm, native, userSSH, cat); err != nil {
		return nil, err
	}
	limit := cat.results.median()
	const limitIs = "ssh 'cat >/dev/null' <image"
	return []row{
		{What: "new program, image packed before, to its first answer", Unit: "ms", Measured: warm.results.median(), Limit: limit, LimitIs: limitIs, Factor: 1.15,
			Note: fmt.Sprintf("the packed image has %.2f MB", float64(info.Size())/1e6)},
		{What: "the same, image not packed yet", Unit: "ms", Measured: native.results.median(), Limit: limit, LimitIs: limitIs, Factor: 1.5},
		{What: "the same by the OpenSSH program", Unit: "ms", Measured: userSSH.results.median(), Limit: limit, LimitIs: limitIs, Factor: 1.5},
	}, nil
}

// wholeRows compares whole programs, from start to end.
func wholeRows(ctx context.Context, program string) ([]row, error) {
	true1 := openssh("ssh true", "true")
	loop1 := openssh("ssh sudo loop", "sudo sh -c '"+loop+"'")
	native := once("native ssh", program, "native")
	cached := once("second contact", program, "cached")
	if _, err := cached.measure(ctx); err != nil { // the first one fills the cache
		return nil, err
	}
	far := once("loop at the far side", program, "far")
	near := once("loop in the master", program, "near")
	if err := inTurns(ctx, rounds(9), true1, cached, loop1, far, near); err != nil {
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
	var trueWire, firstWire, secondWire traffic
	for s, t := range map[*subject]*traffic{true1: &trueWire, native: &firstWire, cached: &secondWire} {
		if err := t.measure(func() error { _, err := s.measure(ctx); return err }); err != nil {
			return nil, err
		}
	}
	secondNote := fmt.Sprintf("on the wire, the whole connection: %.0f bytes out, %.0f in; without the cache %.0f kB out; ssh true %.0f out, %.0f in",
		secondWire.sent, secondWire.read, firstWire.sent/1e3, trueWire.sent, trueWire.read)
	bytesNote := func(t traffic) string {
		return fmt.Sprintf("on the wire: %.0f kB out, %.0f kB in; OpenSSH %.0f kB out, %.0f kB in", t.sent/1e3, t.read/1e3, shell.sent/1e3, shell.read/1e3)
	}
	t, l := true1.results.median(), loop1.results.median()
	return []row{
		{What: "new program, image in the cache there", Unit: "ms", Measured: cached.results.median(), Limit: t, LimitIs: trueIs, Factor: 1, Note: secondNote},
		{What: "100 x true by ssh, sudo; loop at far side", Unit: "ms", Measured: far.results.median(), Limit: l, LimitIs: loopIs, Factor: 1, Note: bytesNote(loops[0])},
		{What: "100 x true by ssh, sudo; loop in master", Unit: "ms", Measured: near.results.median(), Limit: l, LimitIs: loopIs, Factor: 1.2, Note: bytesNote(loops[1])},
	}, nil
}

// hopRows measures in this process, whose tree lives for all of the measurements.
func hopRows(ctx context.Context, program, source string) (rows []row, err error) {
	master, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, master.Close()) }()
	web, err := master.Connect(ctx, ssh.Login{Host: serverName})
	if err != nil {
		return nil, err
	}

	true1 := openssh("ssh true", "true")
	again := &subject{name: "another connection", measure: func(ctx context.Context) (float64, error) {
		return connectTime(ctx, master, ssh.Login{Host: serverName})
	}}
	sudo := &subject{name: "sudo hop", measure: func(ctx context.Context) (float64, error) {
		return connectTime(ctx, web, become.Sudo{})
	}}
	exe, err := os.Executable() // the hosts see it at the same path
	if err != nil {
		return nil, err
	}
	bare := &subject{name: "sudo, one start", measure: func(ctx context.Context) (float64, error) {
		took, err := work.Run.Call(ctx, web, work.Command{Argv: []string{"sudo", "-n", exe, "hello"}, Times: 1})
		return millis(took), err
	}}
	if err := inTurns(ctx, rounds(9), true1, again, sudo, bare); err != nil {
		return nil, err
	}
	rows = append(rows,
		row{What: "another connection of the same program", Unit: "ms", Measured: again.results.median(), Limit: true1.results.median(), LimitIs: "ssh true", Factor: 1},
		row{What: "sudo hop, to its first answer", Unit: "ms", Measured: sudo.results.median(), Limit: bare.results.median(), LimitIs: "sudo -n, one start of the same program", Factor: 1.5},
	)
	for _, measure := range []func(context.Context, *contexts.Node) ([]row, error){
		callOnWire, callsOverSSH, transferRow, copyRows,
		func(ctx context.Context, web *contexts.Node) ([]row, error) {
			return syncRows(ctx, web, program, source)
		},
		shimRows,
	} {
		more, moreErr := measure(ctx, web)
		rows, err = append(rows, more...), errors.Join(err, moreErr)
	}
	return rows, err
}

// callsOverSSH measures calls on a link through sshd and its ciphers.
func callsOverSSH(ctx context.Context, web *contexts.Node) ([]row, error) {
	root, err := web.Connect(ctx, become.Sudo{})
	if err != nil {
		return nil, err
	}
	defer root.Close()
	overSSH, overBoth := calls("call over ssh", web, 200), calls("call over ssh and sudo", root, 200)
	busy := duringBulk("call over ssh during bulk both ways", web, func(ctx context.Context) error { return bothWays(ctx, web, 32<<20) })
	if err := inTurns(ctx, rounds(9), overSSH, overBoth, busy); err != nil {
		return nil, err
	}
	return []row{
		{What: overSSH.name, Unit: "us", Measured: overSSH.results.median()},
		{What: overBoth.name, Unit: "us", Measured: overBoth.results.median()},
		{What: busy.name, Unit: "us", Measured: busy.results.median(), Limit: overSSH.results.median(), LimitIs: "the same on an idle link",
			Note: "no budget where both hosts, ssh's ciphers included, share the processors of one machine"},
	}, nil
}

// connectTime measures one hop, from its start to the first answer of the child, in milliseconds.
func connectTime(ctx context.Context, from *contexts.Node, m connect.Method) (float64, error) {
	began := time.Now()
	n, err := from.Connect(ctx, m)
	if err != nil {
		return 0, err
	}
	_, err = work.Empty.Call(ctx, n, struct{}{})
	took := millis(time.Since(began))
	return took, errors.Join(err, n.Close())
}

// once measures a program that does one job, in milliseconds. A connect counts until the byte by
// which the program says that its work is done. Other jobs count until the program's end.
func once(name, program, way string) *subject {
	return &subject{name: name, measure: func(ctx context.Context) (float64, error) {
		began := time.Now()
		p, err := startPartner(exec.CommandContext(ctx, program, serverName, way))
		if err != nil {
			return 0, err
		}
		_, err = p.out.Read(make([]byte, 1))
		answered := time.Since(began)
		if err := errors.Join(err, p.close()); err != nil {
			return 0, err
		}
		if way == "native" || way == "openssh" || way == "warm" {
			return millis(answered), nil // a connect
		}
		return millis(time.Since(began)), nil
	}}
}
