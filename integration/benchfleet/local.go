//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/local"
	"github.com/mitosis-go/mitosis/contexts"
	"github.com/mitosis-go/mitosis/contexts/fleet"
)

// bareRole makes this program a bare process: it says that it is there and waits for the end
// of its input. It is what a context costs at the least.
const bareRole = "bare-process"

func bare() {
	_, _ = os.Stdout.Write([]byte{'.'})
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// bareAtOnce is how many starts of bare processes are under way at once.
const bareAtOnce = 32

// startBare starts so many bare processes and returns how long it takes until all are there.
func startBare(n int) (took time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmds, inputs := make([]*exec.Cmd, n), make([]io.Closer, n)
	errs := make([]error, n)
	began := time.Now()
	var all sync.WaitGroup
	slots := make(chan struct{}, bareAtOnce)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			cmd := exec.Command(self, bareRole)
			in, err := cmd.StdinPipe()
			out, err2 := cmd.StdoutPipe()
			if errs[i] = errors.Join(err, err2); errs[i] != nil {
				return
			}
			if errs[i] = cmd.Start(); errs[i] == nil {
				cmds[i], inputs[i] = cmd, in
				_, errs[i] = io.ReadFull(out, make([]byte, 1))
			}
		})
	}
	all.Wait()
	took = time.Since(began)
	for i := range n {
		if cmds[i] != nil {
			inputs[i].Close()
			errs = append(errs, cmds[i].Wait())
		}
	}
	return took, errors.Join(errs...)
}

// namedChild is a local child with a name: members behind equal hops share a context.
type namedChild struct {
	local.Child
	Name string
}

func init() { connect.Register[namedChild]("benchfleet.child") }

// Label implements connect.Method.
func (c namedChild) Label() string { return c.Name }

// process returns the pids of a context: of itself and of its guard.
var process = contexts.NewFunc("benchfleet.process", func(context.Context, struct{}) ([]int, error) {
	return []int{os.Getpid(), os.Getppid()}, nil
})

// nothing is a call that does nothing.
var nothing = contexts.NewFunc("benchfleet.nothing", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })

// threeTiers is a group of so many processes of this machine: at most 12 below the master,
// 12 below each of these, and the others below the second tier.
func threeTiers(ctx context.Context, n int) (self *contexts.Node, g *fleet.Group, err error) {
	self, err = contexts.Start(ctx, &contexts.Config{
		CloseTimeout: time.Minute,
		Log:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, nil, err
	}
	const wide = 12
	var tree fleet.Tree
	names := make([]string, 0, n)
	below := make(map[string][]string)
	for i := range min(wide, n) {
		names = append(names, fmt.Sprintf("a%d", i))
	}
	for i := range min(wide*wide, n-len(names)) {
		name, up := fmt.Sprintf("b%d", i), names[i%wide]
		names, below[up] = append(names, name), append(below[up], name)
	}
	for i := range n - len(names) {
		name, up := fmt.Sprintf("c%d", i), names[wide+i%(wide*wide)]
		names, below[up] = append(names, name), append(below[up], name)
	}
	for up, hosts := range below {
		tree.Rules = append(tree.Rules, fleet.Rule{Hosts: fleet.NewHosts(hosts...), Via: fleet.NewHosts(up)})
	}
	g, err = fleet.New(self, fleet.NewHosts(names...), &fleet.Config{
		Tree:   &tree,
		Policy: fleet.Policy{ConnectTimeout: 10 * time.Minute},
		Hops:   func(name string) ([]connect.Method, error) { return []connect.Method{namedChild{Name: name}}, nil },
	})
	return self, g, err
}

func localTiers(ctx context.Context) error {
	n := *contextsWanted
	floor, err := startBare(n)
	if err != nil {
		return err
	}
	tell(fmt.Sprintf("%d bare processes by hand", n), floor.Round(time.Millisecond).String(), "")
	if err := profiled(func() error { return tiers(ctx, n, floor) }); err != nil {
		return err
	}
	return killed(ctx, n)
}

// idleAfter is when a context gives back what it needed for its start.
const idleAfter = 3 * time.Second

func tiers(ctx context.Context, n int, floor time.Duration) error {
	self, g, err := threeTiers(ctx, n)
	if err != nil {
		return err
	}
	defer self.Close()
	began := time.Now()
	if err := fleet.Collect(fleet.Call(ctx, g, nothing, struct{}{})).Err(); err != nil {
		return err
	}
	took := time.Since(began)
	tell(fmt.Sprintf("%d contexts in three tiers, ready", n), fmt.Sprintf("%v, %.2f x that", took.Round(time.Millisecond), took.Seconds()/floor.Seconds()), "at most 1.5 x")
	for _, gather := range []bool{false, true} {
		p := fleet.Policy{Gather: gather, FanOut: n}
		began = time.Now()
		if err := fleet.Collect(fleet.Call(ctx, g.With(p), nothing, struct{}{})).Err(); err != nil {
			return err
		}
		tell(fmt.Sprintf("a call to all, gathered: %v", gather), time.Since(began).Round(time.Millisecond).String(), "at most 1 s")
	}
	pids, err := pidsOf(ctx, g)
	if err != nil {
		return err
	}
	time.Sleep(idleAfter)
	resident, shared, err := memoryOf(pids)
	if err != nil {
		return err
	}
	tell("memory of an idle context with its guard", fmt.Sprintf("%.2f MB resident, %.2f MB proportional", resident/float64(n)/1e6, shared/float64(n)/1e6), "at most 4 MB resident")
	began = time.Now()
	err = self.Close()
	tell("orderly close", time.Since(began).Round(time.Millisecond).String(), "at most 5 s")
	return errors.Join(err, noneLeft(pids, 10*time.Second)) // guards end behind their workers
}

// pidsOf returns the processes of all members.
func pidsOf(ctx context.Context, g *fleet.Group) (pids []int, err error) {
	for _, r := range fleet.Call(ctx, g, process, struct{}{}) {
		err = errors.Join(err, r.Err)
		pids = append(pids, r.Value...)
	}
	slices.Sort(pids)
	if distinct := len(slices.Compact(slices.Clone(pids))); err == nil && distinct != 2*g.Len() {
		err = fmt.Errorf("%d members are %d processes, want two for each", g.Len(), distinct)
	}
	return pids, err
}

// doomedRole makes this program a master that prints the processes of its contexts, and is
// then killed.
const doomedRole = "doomed"

func doomed(ctx context.Context) error {
	_, g, err := threeTiers(ctx, *contextsWanted)
	if err != nil {
		return err
	}
	pids, err := pidsOf(ctx, g)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		fmt.Println(pid)
	}
	fmt.Println("ready")
	<-ctx.Done()
	return ctx.Err()
}

// killed measures how long processes outlive a master that is killed.
func killed(ctx context.Context, n int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-contexts", strconv.Itoa(n), doomedRole)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var pids []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		pids = append(pids, pid)
	}
	began := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // that it was killed
	if err := noneLeft(pids, time.Minute); err != nil {
		return err
	}
	tell("kill -9 of the master, until none is left", fmt.Sprintf("%v, of %d processes", time.Since(began).Round(time.Millisecond), len(pids)), "at most 5 s")
	return nil
}

// noneLeft waits until processes have ended.
func noneLeft(pids []int, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		left := 0
		for _, pid := range pids {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d processes are left", left, len(pids))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// memoryOf adds up the memory of processes, in bytes.
func memoryOf(pids []int) (resident, proportional float64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, 0, err
		}
		for line := range strings.Lines(string(text)) {
			var kb float64
			switch name, rest, _ := strings.Cut(line, ":"); name {
			case "Rss":
				_, err = fmt.Sscan(rest, &kb)
				resident += kb * 1024
			case "Pss":
				_, err = fmt.Sscan(rest, &kb)
				proportional += kb * 1024
			}
			if err != nil {
				return 0, 0, err
			}
		}
	}
	return resident, proportional, nil
}
